//! The hot methods of `Future` and `Task` as plain C functions.
//!
//! PyO3's own wrappers count attachments in thread-local storage, and a method that `Task` inherits misses the
//! interpreter's specialised calls, which want the class that defines it. `gather`, `wait` and `TaskGroup` call
//! these several times for each task.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use super::classes::{argument, slot_functions};
use crate::task::{Future, Task};

/// A pointer to a Python object, as C functions get and return it.
pub type Object = *mut ffi::PyObject;

/// What a C function returns for the outcome of a Rust one.
#[inline]
pub fn returned(py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) -> Object {
    match outcome {
        Ok(object) => object.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}

/// True or False.
#[inline]
pub fn truth(py: Python<'_>, value: bool) -> Object {
    pyo3::types::PyBool::new(py, value).to_owned().into_any().into_ptr()
}

slot_functions! {
    fn done(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        truth(py, future.get().is_done(py))
    } or ptr::null_mut();

    fn cancelled(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        truth(py, future.get().is_cancelled(py))
    } or ptr::null_mut();

    fn result(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        returned(py, future.get().result_native(py))
    } or ptr::null_mut();

    fn exception(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        returned(py, future.get().exception_native(py))
    } or ptr::null_mut();

    fn get_loop(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        returned(py, future.get().loop_object(py))
    } or ptr::null_mut();

    fn set_result(py, slf: Object, value: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        // SAFETY: a live argument of any class.
        let value = unsafe { argument::<PyAny>(py, value) };
        returned(py, Future::finish(&future, value.to_owned()).map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();

    fn add_done_callback(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let future = unsafe { argument::<Future>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let outcome = callback_and_context(&arguments).and_then(|(callback, context)| match context {
            Some(context) if !context.is_none() => Future::add_callback(&future, &callback, &context),
            _ => Future::add_callback(&future, &callback, &super::copy_context(py)?),
        });
        returned(py, outcome.map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();
}

/// The arguments of a C function that takes them as an array, the values of keywords last.
pub struct Arguments<'a, 'py> {
    values: &'a [Object],
    names: Option<Bound<'py, PyTuple>>,
    py: Python<'py>,
}

impl<'py> Arguments<'_, 'py> {
    /// # Safety
    /// They are what the interpreter passed to a function of METH_FASTCALL | METH_KEYWORDS, which does not return
    /// before they are dropped.
    #[inline]
    pub unsafe fn new(py: Python<'py>, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Self {
        // SAFETY: NULL or a tuple of strings.
        let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
        let names = names.and_then(|names| names.cast_into::<PyTuple>().ok());
        let count = count as usize + names.as_ref().map_or(0, |names| names.len());
        let values = match count {
            0 => &[],
            // SAFETY: the caller vouches for it.
            _ => unsafe { std::slice::from_raw_parts(values, count) },
        };
        Self { values, names, py }
    }

    /// Whether there are no arguments.
    #[inline]
    pub fn are_none(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether some are named.
    #[inline]
    pub fn are_named(&self) -> bool {
        self.names.is_some()
    }

    /// Whoever has arguments is attached.
    #[inline]
    pub fn py(&self) -> Python<'py> {
        self.py
    }

    /// The positional ones.
    #[inline]
    pub fn positional(&self) -> &[Object] {
        let named = self.names.as_ref().map_or(0, |names| names.len());
        &self.values[..self.values.len() - named]
    }

    /// The named ones.
    pub fn keywords(&self) -> impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let first = self.positional().len();
        let names = self.names.iter().flatten();
        names.zip(&self.values[first..]).map(|(name, value)| (name, self.own(value)))
    }

    /// A reference of one's own to one of them.
    #[inline]
    pub fn own(&self, value: &Object) -> Bound<'py, PyAny> {
        // SAFETY: a live argument of the running call.
        unsafe { Bound::from_borrowed_ptr(self.py, *value) }
    }

    /// The positional argument, where there is one and nothing else.
    #[inline]
    pub fn only(&self) -> Option<Bound<'py, PyAny>> {
        match (self.values, &self.names) {
            ([value], None) => Some(self.own(value)),
            _ => None,
        }
    }

    /// None, for what is not there.
    pub fn none(&self) -> Bound<'py, PyAny> {
        self.py.None().into_bound(self.py)
    }

    /// The value of `context`, where `function` knows no other keyword.
    #[inline]
    pub fn only_context(&self, function: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.names.is_none() {
            return Ok(None);
        }
        let mut context = None;
        for (name, value) in self.keywords() {
            if !name.eq(intern!(self.py, "context"))? {
                let message = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(PyTypeError::new_err(message));
            }
            context = Some(value);
        }
        Ok(context)
    }
}

/// The arguments of `add_done_callback(fn, /, *, context=None)`.
fn callback_and_context<'py>(
    arguments: &Arguments<'_, 'py>,
) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
    let [callback] = arguments.positional() else {
        let given = arguments.positional().len();
        let message = format!("add_done_callback() takes exactly one positional argument ({given} given)");
        return Err(PyTypeError::new_err(message));
    };
    Ok((arguments.own(callback), arguments.only_context("add_done_callback")?))
}

/// One method: how it is called and what its help says.
pub fn definition(
    name: &'static CStr,
    call: ffi::PyMethodDefPointer,
    flags: i32,
    help: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: call, ml_flags: flags, ml_doc: help.as_ptr() }
}

/// The methods of both classes, and `set_result`, which a task has only to refuse it.
fn definitions(of_task: bool) -> Vec<ffi::PyMethodDef> {
    use ffi::PyMethodDefPointer as Call;
    let none = ffi::METH_NOARGS;
    let mut all = vec![
        definition(c"done", Call { PyCFunction: done }, none, DONE),
        definition(c"cancelled", Call { PyCFunction: cancelled }, none, CANCELLED),
        definition(c"result", Call { PyCFunction: result }, none, RESULT),
        definition(c"exception", Call { PyCFunction: exception }, none, EXCEPTION),
        definition(c"get_loop", Call { PyCFunction: get_loop }, none, GET_LOOP),
        definition(
            c"add_done_callback",
            Call { PyCFunctionFastWithKeywords: add_done_callback },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ADD_DONE_CALLBACK,
        ),
    ];
    if !of_task {
        all.push(definition(c"set_result", Call { PyCFunction: set_result }, ffi::METH_O, SET_RESULT));
    }
    all
}

const DONE: &CStr = c"done($self, /)\n--\n\nWhether there is a result or an exception, or the future was cancelled. \
    Corresponds to `asyncio.Future.done`.";
const CANCELLED: &CStr = c"cancelled($self, /)\n--\n\nWhether the future was cancelled. Corresponds to \
    `asyncio.Future.cancelled`.";
const RESULT: &CStr = c"result($self, /)\n--\n\nReturn the result, or raise the exception, or `CancelledError`; \
    `InvalidStateError` while there is neither. Corresponds to `asyncio.Future.result`.";
const EXCEPTION: &CStr = c"exception($self, /)\n--\n\nReturn the exception that was set, or None; raise \
    `CancelledError` where cancelled and `InvalidStateError` while pending. Corresponds to `asyncio.Future.exception`.";
const GET_LOOP: &CStr = c"get_loop($self, /)\n--\n\nThe event loop that the future belongs to. Corresponds to \
    `asyncio.Future.get_loop`.";
const SET_RESULT: &CStr = c"set_result($self, result, /)\n--\n\nMark the future done with a result. Corresponds to \
    `asyncio.Future.set_result`.";
const ADD_DONE_CALLBACK: &CStr = c"add_done_callback($self, fn, /, *, context=None)\n--\n\nHave `fn(self)` called \
    soon after the future is done, in `context` or a copy of the current one. Corresponds to \
    `asyncio.Future.add_done_callback`.";

/// Adds the methods to both classes.
pub fn install(py: Python<'_>) -> PyResult<()> {
    add(&py.get_type::<Future>(), definitions(false))?;
    add(&py.get_type::<Task>(), definitions(true))
}

/// Puts methods into a class.
pub fn add(class: &Bound<'_, PyType>, methods: Vec<ffi::PyMethodDef>) -> PyResult<()> {
    let py = class.py();
    // Descriptors refer to their definitions for as long as the process runs.
    for method in Vec::leak(methods) {
        // SAFETY: the name is a literal.
        let name = unsafe { CStr::from_ptr(method.ml_name) };
        // SAFETY: a live class; a definition that lives for ever.
        let descriptor = unsafe { ffi::PyDescr_NewMethod(class.as_type_ptr(), method) };
        // SAFETY: a new reference, or NULL with an exception.
        let descriptor = unsafe { Bound::from_owned_ptr_or_err(py, descriptor) }?;
        class.setattr(&*name.to_string_lossy(), descriptor)?;
    }
    Ok(())
}
