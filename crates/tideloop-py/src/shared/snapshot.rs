//! `Snapshot`: a value that is replaced whole, and whose readers never wait. The cell, and what protects it, is
//! `tideloop_core::snapshot_cell`.
//!
//! Readers count a reference up in the cell, which runs no Python. Writers are one after another by a gate of their own;
//! what they replace leaves the cell and is dropped outside of it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::snapshot_cell::SnapshotCell;

use super::gate::{Gate, Inside};

/// A value that many read and few replace: a reader never waits, and keeps what it got whole, whatever comes later.
///
/// The value should not be changed in place: readers hold it.
#[pyclass(frozen, generic, weakref, module = "tideloop.sync")]
pub struct Snapshot {
    /// Empty only after the collector has cleared it, when finalizers may still look.
    cell: SnapshotCell<Option<Py<PyAny>>>,
    writing: Gate,
}

impl Snapshot {
    fn begin(&self, py: Python<'_>) -> PyResult<Inside<'_>> {
        if self.writing.is_inside() {
            return Err(PyRuntimeError::new_err("this thread is in an update() of this Snapshot already"));
        }
        self.writing.enter(py)
    }
}

#[pymethods]
impl Snapshot {
    #[new]
    #[pyo3(signature = (value, /))]
    fn __new__(value: Py<PyAny>) -> Self {
        Self { cell: SnapshotCell::new(Some(value)), writing: Gate::new() }
    }

    /// The value; never waits.
    fn load(&self, py: Python<'_>) -> Py<PyAny> {
        self.cell.read(|value| value.as_ref().map(|value| value.clone_ref(py))).unwrap_or_else(|| py.None())
    }

    /// Put `value` in its place; what it was. Waits for a writer that is at it.
    fn replace(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let writing = self.begin(py)?;
        let old = self.cell.replace(Some(value));
        drop(writing);
        Ok(old.flatten().unwrap_or_else(|| py.None()))
    }

    /// Put `function(value)` in its place; what it is then. No other writer comes between, and readers go on.
    fn update<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        let writing = self.begin(py)?;
        let new = function.call1((self.load(py),))?;
        let old = self.cell.replace(Some(new.clone().unbind()));
        drop(writing);
        drop(old);
        Ok(new)
    }

    /// The value, as load().
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.load(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Snapshot({})", self.load(py).bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.cell.read(|value| visit.call(value))
    }

    fn __clear__(&self) {
        drop(self.cell.replace(None));
    }
}
