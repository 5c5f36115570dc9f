//! A task's step and its wake-up as callables, for loops that are not native, for debug mode, and for whoever looks.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::{Task, current, step};
use crate::cell::{Cell, Slot};

/// Makes one step of a task when called. asyncio's has this name, and code that formats handles reads `__self__`.
#[pyclass(frozen, name = "TaskStepMethWrapper", module = "tideloop._native")]
pub(super) struct TaskStep {
    task: Cell<Slot<Task>>,
}

/// Makes a step of a task with the outcome of the future that it is called with.
#[pyclass(frozen, name = "TaskWakeupMethWrapper", module = "tideloop._native")]
pub(super) struct TaskWakeup {
    task: Cell<Slot<Task>>,
}

impl TaskStep {
    pub fn of<'py>(task: &Bound<'py, Task>) -> PyResult<Bound<'py, Self>> {
        Bound::new(task.py(), Self { task: Cell::new(Slot::holding(task.clone().unbind())) })
    }
}

impl TaskWakeup {
    pub fn of<'py>(task: &Bound<'py, Task>) -> PyResult<Bound<'py, Self>> {
        Bound::new(task.py(), Self { task: Cell::new(Slot::holding(task.clone().unbind())) })
    }

    /// Whether it is the wake-up of `task`.
    pub fn wakes(&self, task: &Py<Task>) -> bool {
        self.address() == task.as_ptr() as usize
    }

    fn address(&self) -> usize {
        self.task.during_gc(|task| task.as_ref().map_or(0, |task| task.as_ptr() as usize)).unwrap_or(0)
    }
}

#[pymethods]
impl TaskStep {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(task) = self.task.with(py, |task| task.cloned(py)) else { return Ok(()) };
        let task = task.into_bound(py);
        let event_loop = task.as_super().get().event_loop(py)?;
        current::strictly(&event_loop, &task, || step::step(&task, None))
    }

    #[getter(__self__)]
    fn task(&self, py: Python<'_>) -> Option<Py<Task>> {
        self.task.with(py, |task| task.cloned(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.task.during_gc(|task| task.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().task.with(slf.py(), Slot::take));
    }
}

#[pymethods]
impl TaskWakeup {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        let Some(task) = self.task.with(py, |task| task.cloned(py)) else { return Ok(()) };
        let task = task.into_bound(py);
        let event_loop = task.as_super().get().event_loop(py)?;
        let outcome = step::outcome_of(future)?;
        current::strictly(&event_loop, &task, || step::step(&task, outcome))
    }

    #[getter(__self__)]
    fn task(&self, py: Python<'_>) -> Option<Py<Task>> {
        self.task.with(py, |task| task.cloned(py))
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        "task_wakeup"
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        "Task.task_wakeup"
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().address() == self.address())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.address().hash(&mut hasher);
        hasher.finish()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.task.during_gc(|task| task.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().task.with(slf.py(), Slot::take));
    }
}

impl Drop for TaskStep {
    fn drop(&mut self) {
        drop(self.task.get_mut().take());
    }
}

impl Drop for TaskWakeup {
    fn drop(&mut self) {
        drop(self.task.get_mut().take());
    }
}
