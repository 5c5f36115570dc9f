//! All live native tasks, for `asyncio.all_tasks()` (DESIGN §10.10): a list that does not own them.

use pyo3::prelude::*;

use super::Task;
use crate::slots::roster::{Place, Roster};

static TASKS: Roster = Roster::new();

/// Enters a task; it leaves when it dies.
#[inline]
pub(super) fn enter(task: &Bound<'_, Task>) -> Place {
    TASKS.enter(task.as_any())
}

/// A task dies.
#[inline]
pub(super) fn leave(py: Python<'_>, place: Place) {
    TASKS.leave(py, place);
}

/// Every native task that is alive, on whatever loop. What the collector has taken apart already is left out.
#[pyfunction]
pub(super) fn all_tasks<'py>(py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
    let mut tasks = TASKS.snapshot(py);
    tasks.retain(|task| task.cast::<Task>().is_ok_and(|task| task.as_super().get().is_alive(py)));
    tasks
}

/// How many native tasks are alive.
#[pyfunction]
pub(super) fn task_count(py: Python<'_>) -> usize {
    TASKS.len(py)
}
