//! A knock at the door of a task, on its way from another thread to the task's loop.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::door::Door;
use crate::cell::{Cell, Slot};
use crate::compose;
use crate::task::Future;

/// Finishes the future that the task waits for, in its loop. A knock that is dropped on the way, because the loop is
/// closed, is heard by nobody, and what the task has been given is handed on.
pub struct Knock {
    /// None once it has arrived.
    future: Slot<Future>,
    door: Arc<Door>,
}

impl Knock {
    /// At the door of a task that waits for `future`.
    pub fn at(door: &Arc<Door>, future: &Bound<'_, Future>) -> Self {
        Self { future: Slot::holding(future.clone().unbind()), door: Arc::clone(door) }
    }

    /// It has arrived. A future that is done already stays as it is: a timer may come in the same turn.
    pub fn arrive(mut self, py: Python<'_>) -> PyResult<()> {
        self.future.take().map_or(Ok(()), |future| compose::release(future.bind(py)))
    }

    /// What the task waits for.
    pub fn future(&self, py: Python<'_>) -> Option<Py<Future>> {
        self.future.cloned(py)
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.future.visit(visit)
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        if self.future.take().is_some() {
            Python::try_attach(|py| self.door.abandon(py));
        }
    }
}

/// A knock in the hands of a loop that is not ours.
#[pyclass(frozen, module = "tideloop._native", name = "Knock")]
pub struct KnockObject(Cell<Option<Knock>>);

impl KnockObject {
    pub fn of(knock: Knock) -> Self {
        Self(Cell::new(Some(knock)))
    }
}

#[pymethods]
impl KnockObject {
    /// It has arrived.
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.0.with(py, Option::take).map_or(Ok(()), |knock| knock.arrive(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.during_gc(|knock| knock.as_ref().map_or(Ok(()), |knock| knock.visit(&visit))).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.0.with(py, Option::take));
    }
}
