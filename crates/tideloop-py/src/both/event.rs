//! `Event`: set once for all who wait. Corresponds to `threading.Event` and `asyncio.Event`.

use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::event::Event as Rules;

use super::call::wait;
use super::gates::{Shared, Shown};
use super::pending::limit;
use super::shown::class_named;
use crate::task::WaitReason;

/// A flag that threads and tasks wait for.
///
/// Corresponds to `threading.Event` and `asyncio.Event`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Event {
    gate: Shared<Rules>,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
        Ok(PyBool::new(py, true).to_owned().into_any().unbind())
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PyBool::new(py, false).to_owned().into_any().unbind())
    }

    fn take_back(&mut self, (): ()) -> Option<()> {
        None
    }
}

#[pymethods]
impl Event {
    #[new]
    fn __new__() -> Self {
        Self { gate: Shared::new(Rules::default()) }
    }

    /// Whether the event is set. Corresponds to `threading.Event.is_set`.
    fn is_set(&self) -> bool {
        self.gate.look(|event, _| event.is_set())
    }

    /// Set it: all who wait go on. Corresponds to `threading.Event.set`.
    fn set(&self, py: Python<'_>) {
        self.gate.change(py, |event, _| event.assign(true));
    }

    /// Clear it: who comes from here on waits. Corresponds to `threading.Event.clear`.
    fn clear(&self, py: Python<'_>) {
        self.gate.change(py, |event, _| event.assign(false));
    }

    /// Wait until it is set, at most *timeout* seconds (None: without limit); return whether it is. In a task: await
    /// it. Corresponds to `threading.Event.wait` and `asyncio.Event.wait`.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let pending = slf.get().gate.wait(slf.as_any(), "Event.wait", WaitReason::Event, ());
        wait(slf.py(), pending, limit(timeout)?)
    }

    /// In a child of `fork()`: whoever waited is not there; it is set or not, as it was.
    fn _at_fork_reinit(&self, py: Python<'_>) {
        self.gate.change(py, |_, _| ());
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (is_set, waiting) = slf.get().gate.look(|event, waiting| (event.is_set(), waiting[0]));
        let state = if is_set { "set" } else { "unset" };
        let waiting = if waiting == 0 { String::new() } else { format!(", {waiting} waiting") };
        Ok(format!("<{} at {:p}: {state}{waiting}>", class_named(slf.as_any())?, slf.as_ptr()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.gate.visit(&visit)
    }
}
