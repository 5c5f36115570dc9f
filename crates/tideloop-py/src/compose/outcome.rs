//! How a future that is done has ended, whoever made it.

use pyo3::intern;
use pyo3::prelude::*;

use crate::names;
use crate::slots::classes::exact_future;

/// How a future has ended.
pub enum Outcome<'py> {
    Result(Bound<'py, PyAny>),
    Exception(Bound<'py, PyAny>),
    Cancelled,
}

/// How a future that is done has ended; its exception counts as retrieved.
#[inline]
pub fn of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Outcome<'py>> {
    let py = future.py();
    if let Some(native) = exact_future(future) {
        if native.get().has_result(py) {
            return native.get().result_native(py).map(Outcome::Result);
        }
        if native.get().is_cancelled(py) {
            return Ok(Outcome::Cancelled);
        }
        return native.get().exception_native(py).map(Outcome::Exception);
    }
    if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        return Ok(Outcome::Cancelled);
    }
    let exception = future.call_method0(intern!(py, "exception"))?;
    if !exception.is_none() {
        return Ok(Outcome::Exception(exception));
    }
    future.call_method0(intern!(py, "result")).map(Outcome::Result)
}

/// Whether it is known to have a result, without asking Python.
#[inline]
pub fn is_good(py: Python<'_>, future: &Bound<'_, PyAny>) -> bool {
    exact_future(future).is_some_and(|native| native.get().has_result(py))
}

/// `future.done()`
#[inline]
pub fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match exact_future(future) {
        Some(native) => Ok(native.get().is_done(future.py())),
        None => future.call_method0(intern!(future.py(), "done"))?.is_truthy(),
    }
}

/// `future._make_cancelled_error()`
pub fn cancelled_error<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match exact_future(future) {
        Some(native) => native.get().cancelled_error(future.py()),
        None => future.call_method0(intern!(future.py(), "_make_cancelled_error")),
    }
}

/// The `CancelledError` that stands for a cancelled future in a list of results: with its message, or an empty one.
pub fn cancellation<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let message = future.getattr(intern!(py, "_cancel_message"))?;
    if message.is_none() {
        names::cancelled_error(py)?.call1(("",))
    } else {
        names::cancelled_error(py)?.call1((message,))
    }
}
