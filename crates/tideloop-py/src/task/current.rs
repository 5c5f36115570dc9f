//! Which task runs: what `asyncio.current_task()` answers (DESIGN §10.10).
//!
//! On 3.11 that function is Python and looks into `asyncio.tasks._current_tasks`, which `tideloop._registry` replaces
//! by a mapping that asks the native loops: a step only notes the task in its loop.
//!
//! Later versions look into a dictionary of the C half, from 3.14 on into the thread. There a step writes it, and
//! taking it away again is left to [`settle`], which the loop calls before it runs anything that is no step, and
//! before it waits: so one task after another costs one write each, and a task that runs twice in a row none.
//!
//! On foreign loops, and in debug mode, a step enters and leaves as asyncio's do.

use pyo3::prelude::*;

use super::Task;
use crate::cell::{Cell, Slot};
use crate::event_loop::EventLoop;
use crate::names;
use crate::slots::loop_slot::LoopRef;

/// What a native loop knows of the task that runs on it.
pub struct Current {
    /// 3.11: the task.
    task: Cell<Slot<Task>>,
    /// Later: the address of the task that was written last and not taken away. asyncio's own reference to the task
    /// keeps its address from being used again.
    written: Cell<usize>,
}

impl Current {
    /// No task runs.
    pub const fn new() -> Self {
        Self { task: Cell::new(Slot::EMPTY), written: Cell::new(0) }
    }

    /// Where the task lies that runs, if that is noted here; else 0.
    #[inline]
    pub fn address(&self, py: Python<'_>) -> usize {
        if cfg!(Py_3_12) {
            return self.written.with(py, |written| *written);
        }
        self.task.with(py, |task| task.as_ref().map_or(0, |task| task.as_ptr() as usize))
    }

    /// Sets the task that runs, and hands out the one that did.
    #[inline]
    fn replace(&self, py: Python<'_>, task: Option<Py<Task>>) -> Option<Py<Task>> {
        self.task.with(py, |slot| slot.replace(task))
    }
}

/// Runs a step of `task` as its native loop's own doing, with the task as the current one.
#[inline]
pub(super) fn during<R>(
    event_loop: &Bound<'_, EventLoop>,
    task: &Bound<'_, Task>,
    step: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    if cfg!(not(Py_3_12)) {
        return noted(event_loop, task, step);
    }
    let py = task.py();
    let address = task.as_ptr() as usize;
    let current = &event_loop.get().current;
    if current.written.with(py, |written| *written) != address {
        swap(event_loop.as_any(), task.as_any())?;
        current.written.with(py, |written| *written = address);
    }
    step()
}

/// Has no task run on the loop any more.
#[inline]
pub fn settle(py: Python<'_>, event_loop: &Bound<'_, EventLoop>) {
    if cfg!(Py_3_12) && event_loop.get().current.written.with(py, |written| *written) != 0 {
        clear(py, event_loop);
    }
}

#[cold]
#[inline(never)]
fn clear(py: Python<'_>, event_loop: &Bound<'_, EventLoop>) {
    let address = event_loop.get().current.written.with(py, std::mem::take);
    if let Err(error) = erase(event_loop.as_any(), address) {
        crate::error::unraisable(py, error, Some(event_loop));
    }
}

/// Runs `step` with the task noted in its loop.
#[inline]
fn noted<R>(
    event_loop: &Bound<'_, EventLoop>,
    task: &Bound<'_, Task>,
    step: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = task.py();
    let current = &event_loop.get().current;
    let before = current.replace(py, Some(task.clone().unbind()));
    let result = step();
    if let Some(task) = current.replace(py, before) {
        task.drop_ref(py);
    }
    result
}

/// Runs `step` with `task` as the current one, as asyncio's `_enter_task` and `_leave_task` do it.
pub(super) fn strictly<R>(
    event_loop: &LoopRef<'_>,
    task: &Bound<'_, Task>,
    step: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = task.py();
    if let (LoopRef::Native(native), true) = (event_loop, cfg!(not(Py_3_12))) {
        return noted(native, task, step);
    }
    names::enter_task(py)?.call1((event_loop.as_any(), task))?;
    let result = step();
    let left = names::leave_task(py).and_then(|leave| leave.call1((event_loop.as_any(), task)));
    let result = result?;
    left?;
    Ok(result)
}

/// Runs `step` with `task` as the current one, whichever is it now: the start of an eager task.
pub(super) fn swapped<R>(
    event_loop: &Bound<'_, PyAny>,
    task: &Bound<'_, Task>,
    step: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = event_loop.py();
    if let (LoopRef::Native(native), true) = (LoopRef::to(event_loop), cfg!(not(Py_3_12))) {
        return noted(&native, task, step);
    }
    let before = swap(event_loop, task.as_any())?;
    let native = EventLoop::of(event_loop).map(|native| &native.get().current.written);
    let written = native.map(|native| native.with(py, |written| std::mem::replace(written, task.as_ptr() as usize)));
    let result = step();
    if let (Some(native), Some(before)) = (native, written) {
        native.with(py, |written| *written = before);
    }
    let after = swap(event_loop, &before);
    let result = result?;
    after?;
    Ok(result)
}

#[cfg(Py_3_14)]
#[inline]
fn swap<'py>(event_loop: &Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    names::swap_current_task(event_loop.py())?.call1((event_loop, task))
}

#[cfg(Py_3_14)]
fn erase(event_loop: &Bound<'_, PyAny>, _task: usize) -> PyResult<()> {
    let py = event_loop.py();
    // A loop that is not the thread's running one any more has no current task either.
    if names::get_running_loop_or_none(py)?.call0()?.is(event_loop) {
        swap(event_loop, &py.None().into_bound(py))?;
    }
    Ok(())
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

/// The task that runs on a loop: `asyncio.current_task(loop)`.
pub fn task_on<'py>(event_loop: &LoopRef<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.as_any().py();
    if let (LoopRef::Native(native), true) = (event_loop, cfg!(not(Py_3_12))) {
        let task = native.get().current.task.with(py, |task| task.cloned(py));
        if let Some(task) = task {
            return Ok(Some(task.into_bound(py).into_any()));
        }
    }
    let task = names::current_task(py)?.call1((event_loop.as_any(),))?;
    Ok((!task.is_none()).then_some(task))
}

/// The task that runs on a loop, or `default`: the `get` of the mapping that stands for `_current_tasks` on 3.11.
#[pyfunction]
#[pyo3(name = "_current_task", signature = (event_loop, default=None, /))]
pub(super) fn current_task<'py>(
    event_loop: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    if let Some(native) = EventLoop::of(event_loop) {
        let task = native.get().current.task.with(py, |task| task.cloned(py));
        if let Some(task) = task {
            return Ok(Some(task.into_bound(py).into_any()));
        }
    }
    current_elsewhere(event_loop).map(|found| found.or(default))
}

#[cfg(not(Py_3_14))]
fn current_elsewhere<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    use pyo3::types::PyDictMethods;
    names::current_tasks(event_loop.py())?.get_item(event_loop)
}

#[cfg(Py_3_14)]
#[expect(clippy::unnecessary_wraps, reason = "the other version may fail")]
fn current_elsewhere<'py>(_event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(None)
}

/// Sets the task that runs on a loop (None: no task); False where that is not noted natively.
#[pyfunction]
#[pyo3(name = "_set_current_task", signature = (event_loop, task, /))]
pub(super) fn set_current_task(event_loop: &Bound<'_, PyAny>, task: Option<Py<Task>>) -> bool {
    let py = event_loop.py();
    let Some(native) = EventLoop::of(event_loop) else { return false };
    if task.is_none() && native.get().current.task.with(py, |task| task.is_none()) {
        return false;
    }
    drop(native.get().current.replace(py, task));
    true
}
