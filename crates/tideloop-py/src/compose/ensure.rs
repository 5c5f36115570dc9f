//! A future for any awaitable: `asyncio.ensure_future`, the short way where everything is native.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::event_loop::EventLoop;
use crate::names;
use crate::slots::calls;
use crate::slots::classes::exact_future;
use crate::slots::loop_slot::LoopRef;

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
    if let Some(LoopRef::Native(native)) = event_loop
        && calls::is_exact_coroutine(awaitable)
        && native.get().creates_natively()
    {
        return EventLoop::create_task_native(native, awaitable, None, None, None);
    }
    ensure_any(awaitable, event_loop)
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
