//! Calls into the interpreter that PyO3 does not offer, or makes dear.

use std::ptr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

/// What a coroutine did with what it was sent.
pub enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    /// It is done.
    Returned(Bound<'py, PyAny>),
    /// It failed.
    Raised(PyErr),
}

/// `coro.send(None)`, without the exception that carries a result.
#[inline]
pub fn send_none<'py>(coro: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coro.py();
    let mut result = ptr::null_mut();
    let none = py.None();
    // SAFETY: attached; live objects, and a place for the result.
    let outcome = unsafe { ffi::PyIter_Send(coro.as_ptr(), none.as_ptr(), &raw mut result) };
    none.drop_ref(py);
    match outcome {
        // SAFETY: a new reference.
        ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(unsafe { Bound::from_owned_ptr(py, result) }),
        // SAFETY: a new reference.
        ffi::PySendResult::PYGEN_RETURN => Sent::Returned(unsafe { Bound::from_owned_ptr(py, result) }),
        ffi::PySendResult::PYGEN_ERROR => Sent::Raised(PyErr::fetch(py)),
    }
}

/// `loop.call_soon(callback, argument, context=context)`.
pub fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    argument: Option<&Bound<'py, PyAny>>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let names = keyword_context(py)?;
    let method = intern!(py, "call_soon").as_ptr();
    let with = [event_loop, callback, argument.unwrap_or(context), context].map(|object| object.as_ptr());
    let without = [event_loop, callback, context].map(|object| object.as_ptr());
    let (arguments, positional) = if argument.is_some() { (with.as_ptr(), 3) } else { (without.as_ptr(), 2) };
    // SAFETY: attached; as many live objects as positional arguments plus the one keyword.
    let result = unsafe { ffi::PyObject_VectorcallMethod(method, arguments, positional, names.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

/// `future.add_done_callback(callback, context=context)`.
pub fn add_done_callback<'py>(
    future: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let names = keyword_context(py)?;
    let method = intern!(py, "add_done_callback").as_ptr();
    let arguments = [future, callback, context].map(|object| object.as_ptr());
    // SAFETY: attached; two positional arguments (the object counts) and the one keyword.
    let result = unsafe { ffi::PyObject_VectorcallMethod(method, arguments.as_ptr(), 2, names.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

fn keyword_context(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
    static NAMES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let names = NAMES.get_or_try_init(py, || PyTuple::new(py, ["context"]).map(Bound::unbind))?;
    Ok(names.bind(py))
}

/// Gives an exception the traceback that it had when it was stored, so that it does not grow with each `await`.
pub fn set_traceback(exception: &Bound<'_, PyBaseException>, traceback: Option<&Bound<'_, PyAny>>) {
    let traceback = traceback.map_or_else(|| exception.py().None().into_bound(exception.py()), Clone::clone);
    // SAFETY: an exception, and a traceback or None. It fails for nothing else.
    unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), traceback.as_ptr()) };
}

/// `coro.throw(exception)`.
pub fn throw<'py>(coro: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coro.py();
    match coro.call_method1(intern!(py, "throw"), (exception,)) {
        Ok(object) => Sent::Yielded(object),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
            match error.value(py).getattr(intern!(py, "value")) {
                Ok(value) => Sent::Returned(value),
                Err(error) => Sent::Raised(error),
            }
        }
        Err(error) => Sent::Raised(error),
    }
}

/// What `await object` steps through; `TypeError` where it cannot be awaited.
#[inline]
pub fn awaitable_iterator<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if is_exact_coroutine(object) {
        return unawaited(object);
    }
    if is_exact_generator(object) && is_iterable_coroutine(object)? {
        return Ok(object.clone());
    }
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // SAFETY: which keeps its class alive.
    let slots = unsafe { (*class).tp_as_async };
    // SAFETY: NULL or the slots of a live type.
    let am_await = unsafe { slots.as_ref() }.and_then(|slots| slots.am_await);
    let Some(am_await) = am_await else {
        let shown = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!("object {shown} can't be used in 'await' expression")));
    };
    // SAFETY: the slot of this very object.
    let iterator = unsafe { am_await(object.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    let iterator = unsafe { Bound::from_owned_ptr_or_err(object.py(), iterator) }?;
    if is_exact_coroutine(&iterator) {
        return Err(PyTypeError::new_err("__await__() returned a coroutine"));
    }
    // SAFETY: a live object.
    if unsafe { ffi::PyIter_Check(iterator.as_ptr()) } == 0 {
        let shown = iterator.get_type().name()?;
        return Err(PyTypeError::new_err(format!("__await__() returned non-iterator of type '{shown}'")));
    }
    Ok(iterator)
}

/// A coroutine, unless somebody else awaits it.
#[inline]
fn unawaited<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if coroutine.getattr(intern!(coroutine.py(), "cr_await"))?.is_none() {
        return Ok(coroutine.clone());
    }
    Err(PyRuntimeError::new_err("coroutine is being awaited already"))
}

/// Whether a generator may be awaited: `types.coroutine` has said so.
fn is_iterable_coroutine(generator: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = generator.py();
    let flags: i32 = generator.getattr(intern!(py, "gi_code"))?.getattr(intern!(py, "co_flags"))?.extract()?;
    Ok(flags & ffi::CO_ITERABLE_COROUTINE != 0)
}

/// Whether `object` is what `async def` functions return.
#[inline]
pub fn is_exact_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

/// Whether `object` is what generator functions return.
pub fn is_exact_generator(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyGen_CheckExact(object.as_ptr()) != 0 }
}
