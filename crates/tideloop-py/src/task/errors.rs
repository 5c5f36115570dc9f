//! asyncio's errors, in the running version's words.

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::{Future, Task};
use crate::names;
use crate::slots::loop_slot::LoopRef;

/// `InvalidStateError(text)`.
#[cold]
pub(super) fn invalid_state(py: Python<'_>, text: &str) -> PyErr {
    match names::invalid_state_error(py).and_then(|class| class.call1((text,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// What `set_result` and `set_exception` of a future that is done, or was never initialized, raise.
#[cold]
pub(super) fn not_pending(future: &Bound<'_, Future>) -> PyErr {
    let py = future.py();
    match future.get().check_alive(py) {
        Ok(()) => invalid_state(py, "invalid state"),
        Err(error) => error,
    }
}

/// What a step of a task that is done raises.
#[cold]
pub(super) fn already_done(task: &Bound<'_, Task>, thrown: Option<&Bound<'_, PyAny>>) -> PyErr {
    let shown = task.repr().and_then(|task| match thrown {
        Some(thrown) => Ok(format!("__step(): already done: {task} {}", thrown.repr()?)),
        None => Ok(format!("__step(): already done: {task} None")),
    });
    match shown {
        Ok(text) => invalid_state(task.py(), &text),
        Err(error) => error,
    }
}

/// Whether the loop is in debug mode.
#[inline(always)]
pub(crate) fn is_debug(event_loop: &LoopRef<'_>) -> PyResult<bool> {
    match event_loop {
        LoopRef::Native(native) => Ok(native.get().debug(native.py())),
        LoopRef::Foreign(foreign) => foreign.call_method0(intern!(foreign.py(), "get_debug"))?.is_truthy(),
    }
}

/// Whether `object` is a class of exceptions.
pub(super) fn is_exception_class(object: &Bound<'_, PyAny>) -> bool {
    object.cast::<PyType>().is_ok_and(|class| class.is_subclass_of::<PyBaseException>().unwrap_or(false))
}

/// What a future makes of a `StopIteration`: a refusal, or from some version on a `RuntimeError` about it.
#[cold]
pub(super) fn stop_iteration<'py>(exception: &Bound<'py, PyBaseException>) -> PyResult<Bound<'py, PyBaseException>> {
    let py = exception.py();
    let text = "StopIteration interacts badly with generators and cannot be raised into a Future";
    let version = py.version_info();
    if (version.major, version.minor, version.patch) < (3, 12, 6) {
        return if exception.get_type().is(py.get_type::<pyo3::exceptions::PyStopIteration>()) {
            Err(PyTypeError::new_err(text))
        } else {
            Ok(exception.clone())
        };
    }
    let error = PyRuntimeError::new_err(text).into_value(py).into_bound(py);
    error.setattr(intern!(py, "__cause__"), exception)?;
    error.setattr(intern!(py, "__context__"), exception)?;
    Ok(error)
}
