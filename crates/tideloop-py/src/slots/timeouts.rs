//! The raw slots of `Timeout`, its two hot methods, and the memory it lives in.
//!
//! The public class is a Python one that derives from ours and from asyncio's. It adds nothing to the object, so its
//! instances are made and ended here, too, and used again: `_adopt_timeout` is told the class.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::memory::{self, Pool};
use super::methods::{Arguments, Object, add, definition, returned};
use super::signature::Signature;
use super::{allocate_untracked, track, verify, write_contents};
use crate::compose::{Entering, Leaving, Timeout};
use crate::names;

/// The public class; its instances are this pool's.
static TIMEOUT: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static TIMEOUTS: Pool = Pool::new();

/// A new timeout, of the public class.
#[inline]
pub fn new_timeout(py: Python<'_>, timeout: Timeout) -> PyResult<Bound<'_, Timeout>> {
    let mut class = TIMEOUT.load(Ordering::Relaxed);
    if class.is_null() {
        // Its module has us adopt it.
        class = names::timeout_class(py)?.as_type_ptr();
    }
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &TIMEOUTS, class) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Timeout>(object, timeout) };
    // SAFETY: written completely: what follows the contents (dict and weak references) is zero, or a new dict.
    Ok(unsafe { track(py, object) })
}

slot_functions! {
    /// `tp_new`: a timeout whose `__init__` has not run.
    fn timeout_new(py, class: *mut ffi::PyTypeObject, _args: Object, _kwargs: Object) -> Object {
        // SAFETY: the interpreter passes `Timeout` or a class derived from it.
        let object = match unsafe { allocate_untracked(py, class) } {
            Ok(object) => object,
            Err(error) => {
                error.restore(py);
                return ptr::null_mut();
            }
        };
        // SAFETY: fresh and untracked.
        unsafe { write_contents::<Timeout>(object, Timeout::blank()) };
        // SAFETY: written completely.
        unsafe { ffi::PyObject_GC_Track(object.cast()) };
        object
    } or ptr::null_mut();

    /// `tp_dealloc`, of the public class, too.
    fn timeout_dealloc(py, object: Object) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let exact = ptr::eq(unsafe { ffi::Py_TYPE(object) }, TIMEOUT.load(Ordering::Relaxed));
        // SAFETY: the object is on its way out.
        unsafe { memory::detach::<Timeout>(object) };
        // SAFETY: an instance of this class.
        let timeout = unsafe { memory::contents::<Timeout>(object) };
        // SAFETY: nobody else can reach the object.
        unsafe { &mut *timeout }.release(py);
        // SAFETY: emptied.
        unsafe { memory::free(object, exact.then_some(&TIMEOUTS)) };
    } or ();

    fn aenter(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let timeout = unsafe { argument::<Timeout>(py, slf) };
        returned(py, Entering::create(&timeout))
    } or ptr::null_mut();

    fn aexit(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let timeout = unsafe { argument::<Timeout>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let given = AEXIT_SIGNATURE.bind("Timeout.__aexit__", &arguments);
        returned(py, given.and_then(|[class, value, _]| Leaving::create(&timeout, class, value)))
    } or ptr::null_mut();
}

const AEXIT_SIGNATURE: Signature<3> = Signature { parameters: ["exc_type", "exc_val", "exc_tb"], required: 3 };
const AENTER: &CStr = c"__aenter__($self, /)\n--\n\nSet the timer. RuntimeError outside of a task, and where the \
    timeout was entered before. Corresponds to `asyncio.Timeout.__aenter__`.";
const AEXIT: &CStr = c"__aexit__($self, /, exc_type, exc_val, exc_tb)\n--\n\nTake the timer back; TimeoutError where \
    the deadline has come and nobody else has cancelled the task. Corresponds to `asyncio.Timeout.__aexit__`.";

/// The methods, of the public class, too: the interpreter's specialised calls want the very class of the object.
fn methods() -> Vec<ffi::PyMethodDef> {
    use ffi::PyMethodDefPointer as Call;
    vec![
        definition(c"__aenter__", Call { PyCFunction: aenter }, ffi::METH_NOARGS, AENTER),
        definition(
            c"__aexit__",
            Call { PyCFunctionFastWithKeywords: aexit },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            AEXIT,
        ),
    ]
}

/// The public class: from now on timeouts are made of it.
#[pyfunction]
fn adopt_timeout(class: &Bound<'_, PyType>) -> PyResult<()> {
    // SAFETY: a live type.
    let base = unsafe { &*Timeout::type_object_raw(class.py()) };
    // SAFETY: as above.
    let derived = unsafe { &mut *class.as_type_ptr() };
    let same = derived.tp_basicsize == base.tp_basicsize
        && derived.tp_dictoffset == base.tp_dictoffset
        && derived.tp_weaklistoffset == base.tp_weaklistoffset;
    if !same {
        return Err(PyImportError::new_err("the layout of tideloop's timeouts is not what was assumed"));
    }
    add(class, methods())?;
    derived.tp_dealloc = Some(timeout_dealloc);
    TIMEOUT.store(class.as_type_ptr(), Ordering::Relaxed);
    // It has to outlive the pool.
    std::mem::forget(class.clone());
    Ok(())
}

/// Puts the functions above into the type, and adds it. Before this no instance exists.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = Timeout::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    slots.tp_new = Some(timeout_new);
    slots.tp_dealloc = Some(timeout_dealloc);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
    let places = memory::tail::<Timeout>();
    let known =
        slots.tp_dictoffset as usize == places.dict && slots.tp_weaklistoffset as usize == places.weak_references;
    let one = py.get_type::<Timeout>().call1((py.None(),))?.cast_into::<Timeout>()?;
    if !known || !verify(&one) {
        return Err(PyImportError::new_err("the layout of tideloop's timeouts is not what was assumed"));
    }
    add(&py.get_type::<Timeout>(), methods())?;
    module.setattr("_adopt_timeout", wrap_pyfunction!(adopt_timeout, module)?)?;
    module.add_class::<Timeout>()
}
