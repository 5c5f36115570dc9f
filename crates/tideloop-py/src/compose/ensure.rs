//! A future for any awaitable: `asyncio.ensure_future`, the short way where everything is native.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::event_loop::EventLoop;
use crate::names;
use crate::slots::classes::exact_future;
use crate::slots::coroutine::is_plain_coroutine;
use crate::slots::loop_slot::LoopRef;
use crate::slots::running::running_loop;

/// The future of an awaitable: itself, or a new task, on `event_loop` if one is given.
#[inline]
pub fn ensure_future<'py>(
    awaitable: &Bound<'py, PyAny>,
    event_loop: Option<&LoopRef<'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(future) = exact_future(awaitable) {
        if let Some(wanted) = event_loop
            && !future.get().loop_object(awaitable.py())?.is(wanted.as_any())
        {
            return Err(PyValueError::new_err(
                "The future belongs to a different loop than the one specified as the loop argument",
            ));
        }
        return Ok(awaitable.clone());
    }
    if !is_plain_coroutine(awaitable) {
        return ensure_any(awaitable, event_loop);
    }
    if let Some(event_loop) = event_loop {
        return task_of(awaitable, event_loop);
    }
    match running_loop(awaitable.py()) {
        Ok(event_loop) => task_of(awaitable, &event_loop),
        Err(_) => ensure_any(awaitable, None),
    }
}

/// The task of a coroutine, which is closed where there can be none.
#[inline]
fn task_of<'py>(coro: &Bound<'py, PyAny>, event_loop: &LoopRef<'py>) -> PyResult<Bound<'py, PyAny>> {
    match event_loop {
        LoopRef::Native(native) if native.get().creates_natively() => {
            EventLoop::create_task_native(native, coro, None, None, None).or_else(|error| refused(coro, error))
        }
        other => ensure_any(coro, Some(other)),
    }
}

#[cold]
fn refused<'py>(coro: &Bound<'py, PyAny>, error: PyErr) -> PyResult<Bound<'py, PyAny>> {
    if error.is_instance_of::<PyRuntimeError>(coro.py()) {
        coro.call_method0(intern!(coro.py(), "close"))?;
    }
    Err(error)
}

/// A task of the running loop. Corresponds to `asyncio.create_task`.
#[inline]
pub fn create_task<'py>(
    coro: &Bound<'py, PyAny>,
    name: Option<&Bound<'py, PyAny>>,
    context: Option<&Bound<'py, PyAny>>,
    others: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = coro.py();
    if let LoopRef::Native(native) = running_loop(py)?
        && native.get().creates_natively()
    {
        return EventLoop::create_task_native(&native, coro, name, context, others);
    }
    let keywords = match others {
        Some(others) => others.copy()?,
        None => PyDict::new(py),
    };
    if let Some(name) = name {
        keywords.set_item(intern!(py, "name"), name)?;
    }
    if let Some(context) = context {
        keywords.set_item(intern!(py, "context"), context)?;
    }
    names::create_task(py)?.call((coro,), Some(&keywords))
}

#[cold]
fn ensure_any<'py>(awaitable: &Bound<'py, PyAny>, event_loop: Option<&LoopRef<'py>>) -> PyResult<Bound<'py, PyAny>> {
    let py = awaitable.py();
    let keywords = PyDict::new(py);
    if let Some(event_loop) = event_loop {
        keywords.set_item(intern!(py, "loop"), event_loop.as_any())?;
    }
    names::ensure_future(py)?.call((awaitable,), Some(&keywords))
}

/// The loop of any future.
pub fn loop_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<LoopRef<'py>> {
    let py = future.py();
    if let Some(native) = exact_future(future) {
        return native.get().event_loop(py);
    }
    Ok(LoopRef::to(&match future.getattr_opt(intern!(py, "get_loop"))? {
        Some(get_loop) => get_loop.call0()?,
        None => future.getattr(intern!(py, "_loop"))?,
    }))
}
