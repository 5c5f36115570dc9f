//! The hot attributes of `Future` and `Task` as plain C functions; `slots/methods.rs` says why. `asyncio.isfuture`
//! reads two of them for everything that is awaited in `gather`, `wait` and `shield`.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Object, returned, truth};
use crate::task::{Future, Task};

/// What an assigned value says of truth; NULL is the attribute's deletion.
fn truth_of(py: Python<'_>, value: Object) -> PyResult<bool> {
    // SAFETY: NULL or a live argument.
    match unsafe { Bound::from_borrowed_ptr_or_opt(py, value) } {
        Some(value) => value.is_truthy(),
        None => Err(pyo3::exceptions::PyAttributeError::new_err("cannot delete attribute")),
    }
}

fn assigned(py: Python<'_>, outcome: PyResult<()>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            error.restore(py);
            -1
        }
    }
}

slot_functions! {
    fn get_class(py, slf: Object, _closure: *mut c_void) -> Object {
        // SAFETY: the attribute of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        returned(py, Future::shown_class(&future))
    } or ptr::null_mut();

    fn get_blocking(py, slf: Object, _closure: *mut c_void) -> Object {
        // SAFETY: the attribute of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        truth(py, future.get().blocking(py))
    } or ptr::null_mut();

    fn set_blocking(py, slf: Object, value: Object, _closure: *mut c_void) -> c_int {
        // SAFETY: the attribute of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        assigned(py, truth_of(py, value).and_then(|value| future.get().set_blocking(py, value)))
    } or -1;

    fn get_log_destroy_pending(py, slf: Object, _closure: *mut c_void) -> Object {
        // SAFETY: the attribute of this class.
        let task = unsafe { argument::<Task>(py, slf) };
        truth(py, task.get().logs_destroy_pending(py))
    } or ptr::null_mut();

    fn set_log_destroy_pending(py, slf: Object, value: Object, _closure: *mut c_void) -> c_int {
        // SAFETY: the attribute of this class.
        let task = unsafe { argument::<Task>(py, slf) };
        assigned(py, truth_of(py, value).map(|value| task.get().log_destroy_pending(py, value)))
    } or -1;
}

/// Adds the attributes to both classes.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let (future, task) = (py.get_type::<Future>(), py.get_type::<Task>());
    add(&future, c"__class__", get_class, None)?;
    add(&future, c"_asyncio_future_blocking", get_blocking, Some(set_blocking))?;
    add(&task, c"_log_destroy_pending", get_log_destroy_pending, Some(set_log_destroy_pending))
}

fn add(class: &Bound<'_, PyType>, name: &'static CStr, get: ffi::getter, set: Option<ffi::setter>) -> PyResult<()> {
    let py = class.py();
    let definition =
        ffi::PyGetSetDef { name: name.as_ptr(), get: Some(get), set, doc: ptr::null(), closure: ptr::null_mut() };
    // The descriptor refers to its definition for as long as the process runs.
    let definition = Box::leak(Box::new(definition));
    // SAFETY: a live class; a definition that lives for ever.
    let descriptor = unsafe { ffi::PyDescr_NewGetSet(class.as_type_ptr(), definition) };
    // SAFETY: a new reference, or NULL with an exception.
    let descriptor = unsafe { Bound::from_owned_ptr_or_err(py, descriptor) }?;
    // Into the dictionary itself: assigning `__class__` would change the class of the class.
    // SAFETY: a live type of this crate.
    let dict = unsafe { (*class.as_type_ptr()).tp_dict };
    // SAFETY: a heap type has its dictionary here.
    let dict = unsafe { Borrowed::from_ptr(py, dict) };
    dict.cast::<pyo3::types::PyDict>()?.set_item(&*name.to_string_lossy(), descriptor)?;
    // SAFETY: a live type, which the interpreter looks at anew.
    unsafe { ffi::PyType_Modified(class.as_type_ptr()) };
    Ok(())
}
