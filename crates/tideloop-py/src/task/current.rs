//! Which task runs: what `asyncio.current_task()` answers (DESIGN §10.10).
//!
//! asyncio keeps it in a dictionary, from 3.14 on in the thread. On a native loop a step only writes it. Taking it
//! away again is left to [`settle`], which the loop calls before it runs anything that is no step, and before it
//! waits: so one task after another costs one write each, and a task that runs twice in a row none.
//! On foreign loops nobody would call `settle`: there a step enters and leaves as asyncio's do.

use std::cell::Cell;

use pyo3::prelude::*;

use super::Task;
use crate::event_loop::EventLoop;
use crate::names;

thread_local! {
    /// The addresses of the loop and the task that were written last and not taken away. asyncio's own reference
    /// to the task keeps its address from being used again.
    static WRITTEN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Makes `task` the current one of its native loop, until another step or [`settle`].
#[inline]
pub(super) fn enter(event_loop: &Bound<'_, EventLoop>, task: &Bound<'_, Task>) -> PyResult<()> {
    let wanted = (event_loop.as_ptr() as usize, task.as_ptr() as usize);
    if WRITTEN.get() == wanted {
        return Ok(());
    }
    write(event_loop.as_any(), task.as_any())?;
    WRITTEN.set(wanted);
    Ok(())
}

/// Has no task run on the loop any more.
#[inline]
pub fn settle(py: Python<'_>, event_loop: &Bound<'_, EventLoop>) {
    if WRITTEN.get().0 == event_loop.as_ptr() as usize {
        clear(py, event_loop);
    }
}

#[cold]
#[inline(never)]
fn clear(py: Python<'_>, event_loop: &Bound<'_, EventLoop>) {
    let (_, task) = WRITTEN.replace((0, 0));
    if let Err(error) = erase(event_loop.as_any(), task) {
        crate::error::unraisable(py, error, Some(event_loop));
    }
}

/// Runs `f` with `task` as the current one, as asyncio's `_enter_task` and `_leave_task` do.
pub(super) fn while_current<R>(
    event_loop: &Bound<'_, PyAny>,
    task: &Bound<'_, Task>,
    f: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = task.py();
    names::enter_task(py)?.call1((event_loop, task))?;
    let result = f();
    let left = names::leave_task(py).and_then(|leave| leave.call1((event_loop, task)));
    let result = result?;
    left?;
    Ok(result)
}

/// Runs `f` with `task` as the current one, whichever is it now: the start of an eager task.
pub(super) fn swapped<R>(
    event_loop: &Bound<'_, PyAny>,
    task: &Bound<'_, Task>,
    f: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let before = swap(event_loop, task.as_any())?;
    let result = f();
    let after = swap(event_loop, &before);
    let result = result?;
    after?;
    Ok(result)
}

#[cfg(Py_3_14)]
#[inline]
fn write(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    swap(event_loop, task)?;
    Ok(())
}

#[cfg(Py_3_14)]
fn erase(event_loop: &Bound<'_, PyAny>, _task: usize) -> PyResult<()> {
    let none = event_loop.py().None().into_bound(event_loop.py());
    // A loop that is not the thread's running one any more has no current task either.
    if names::get_running_loop_or_none(event_loop.py())?.call0()?.is(event_loop) {
        swap(event_loop, &none)?;
    }
    Ok(())
}

#[cfg(Py_3_14)]
#[inline]
fn swap<'py>(event_loop: &Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    names::swap_current_task(event_loop.py())?.call1((event_loop, task))
}

#[cfg(not(Py_3_14))]
#[inline]
fn write(event_loop: &Bound<'_, PyAny>, task: &Bound<'_, PyAny>) -> PyResult<()> {
    names::current_tasks(event_loop.py())?.set_item(event_loop, task)
}

#[cfg(not(Py_3_14))]
fn erase(event_loop: &Bound<'_, PyAny>, task: usize) -> PyResult<()> {
    use pyo3::types::PyDictMethods;
    let current = names::current_tasks(event_loop.py())?;
    // Somebody else's entry stays.
    match current.get_item(event_loop)? {
        Some(found) if found.as_ptr() as usize == task => current.del_item(event_loop),
        _ => Ok(()),
    }
}

#[cfg(not(Py_3_14))]
fn swap<'py>(event_loop: &Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    use pyo3::types::PyDictMethods;
    let py = event_loop.py();
    let current = names::current_tasks(py)?;
    let before = current.get_item(event_loop)?.unwrap_or_else(|| py.None().into_bound(py));
    if !task.is_none() {
        current.set_item(event_loop, task)?;
    } else if !before.is_none() {
        current.del_item(event_loop)?;
    }
    Ok(before)
}
