//! Who calls: a thread, which may block, or a task, which has to await.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::names;
use crate::slots::running::running_loop_or_none;
use crate::task::current::task_on;

/// What runs in this thread.
pub enum Here<'py> {
    /// No task: one may block. So it is in a callback of a loop, which cannot await.
    Thread,
    /// This task of an asyncio loop, ours or another.
    Task(Bound<'py, PyAny>),
    /// This task of trio.
    Trio(Bound<'py, PyAny>),
}

/// Who calls.
pub fn here(py: Python<'_>) -> PyResult<Here<'_>> {
    if let Some(event_loop) = running_loop_or_none(py)? {
        return Ok(task_on(&event_loop)?.map_or(Here::Thread, Here::Task));
    }
    Ok(task_of_trio(py)?.map_or(Here::Thread, Here::Trio))
}

/// The task of trio that runs here; a program that has not imported trio has none.
fn task_of_trio(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let modules = names::sys_modules(py)?.cast::<PyDict>()?;
    let Some(lowlevel) = modules.get_item(intern!(py, "trio.lowlevel"))? else { return Ok(None) };
    // It raises RuntimeError outside of a task.
    Ok(lowlevel.call_method0(intern!(py, "current_task")).ok())
}
