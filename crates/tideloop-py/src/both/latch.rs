//! `Latch`: waits until something has been counted down to zero.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::latch::Latch as Rules;

use super::call::wait;
use super::gates::{Shared, Shown};
use super::pending::limit;
use super::permits::truth;
use super::shown::class_named;
use crate::task::WaitReason;

/// Threads and tasks wait until it has been counted down *count* times. It cannot be set again.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Latch {
    gate: Shared<Rules>,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
        Ok(truth(py, true))
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(truth(py, false))
    }

    fn take_back(&mut self, (): ()) -> Option<()> {
        None
    }
}

#[pymethods]
impl Latch {
    #[new]
    fn __new__(count: i64) -> PyResult<Self> {
        match u64::try_from(count) {
            Ok(count) => Ok(Self { gate: Shared::new(Rules::new(count)) }),
            Err(_) => Err(PyValueError::new_err("count must be >= 0")),
        }
    }

    /// How often it still has to be counted down.
    #[getter]
    fn count(&self) -> u64 {
        self.gate.look(|latch, _| latch.count())
    }

    /// Count down by *n*, to zero at most; at zero all who wait go on.
    #[pyo3(signature = (n=1))]
    fn count_down(&self, py: Python<'_>, n: i64) -> PyResult<()> {
        let Some(by) = u64::try_from(n).ok().filter(|by| *by > 0) else {
            return Err(PyValueError::new_err("n must be one or more"));
        };
        self.gate.change(py, |latch, _| latch.count_down(by));
        Ok(())
    }

    /// Wait until it has been counted down, at most *timeout* seconds (None: without limit); return whether it has. In
    /// a task: await it.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let pending = slf.get().gate.wait(slf.as_any(), "Latch.wait", WaitReason::Event, ());
        wait(slf.py(), pending, limit(timeout)?)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (count, waiting) = slf.get().gate.look(|latch, waiting| (latch.count(), waiting[0]));
        Ok(format!("<{} at {:p}: count={count}, {waiting} waiting>", class_named(slf.as_any())?, slf.as_ptr()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.gate.visit(&visit)
    }
}
