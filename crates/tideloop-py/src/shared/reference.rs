//! `AtomicRef`: a reference to an object that threads and tasks swap whole.
//!
//! A short lock guards the pointer. Under it a reference is counted up or exchanged; what was there leaves it and is
//! dropped outside, for that may run Python.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::short::Short;

/// A reference that threads and tasks change together. Objects are compared by identity, as `is` does.
#[pyclass(frozen, generic, weakref, module = "tideloop.sync")]
pub struct AtomicRef(Short<Option<Py<PyAny>>>);

impl AtomicRef {
    fn swap(&self, new: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        self.0.with(|object| std::mem::replace(object, new))
    }

    /// Puts `new` where `expected` is; otherwise gives `new` back.
    fn exchange_if(&self, expected: &Py<PyAny>, new: Py<PyAny>) -> Result<Option<Py<PyAny>>, Py<PyAny>> {
        self.0.with(|object| match object {
            Some(there) if there.is(expected) => Ok(object.replace(new)),
            _ => Err(new),
        })
    }
}

#[pymethods]
impl AtomicRef {
    #[new]
    #[pyo3(signature = (value=None, /))]
    fn __new__(py: Python<'_>, value: Option<Py<PyAny>>) -> Self {
        Self(Short::new(Some(value.unwrap_or_else(|| py.None()))))
    }

    /// The object.
    fn load(&self, py: Python<'_>) -> Py<PyAny> {
        // Empty only after the collector has cleared it, when finalizers may still look.
        self.0.with(|object| object.as_ref().map(|object| object.clone_ref(py))).unwrap_or_else(|| py.None())
    }

    /// Make it this object.
    fn store(&self, value: Py<PyAny>) {
        drop(self.swap(Some(value)));
    }

    /// Make it this object; what it was.
    fn exchange(&self, py: Python<'_>, value: Py<PyAny>) -> Py<PyAny> {
        self.swap(Some(value)).unwrap_or_else(|| py.None())
    }

    /// Make it `new` if it `is` `expected`; whether it was.
    #[allow(clippy::needless_pass_by_value)]
    fn compare_exchange(&self, expected: Py<PyAny>, new: Py<PyAny>) -> bool {
        self.exchange_if(&expected, new).is_ok()
    }

    /// Make it `function(object)` of the object that it is; what it is then.
    ///
    /// Another thread may have changed it while the function ran: then the function is called again, with what it is
    /// now. So it should have no effect but its result.
    fn update<'py>(&self, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        loop {
            let old = self.load(py);
            let new = function.call1((&old,))?;
            if self.exchange_if(&old, new.clone().unbind()).is_ok() {
                return Ok(new);
            }
        }
    }

    /// The object, as load() and store().
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        self.load(py)
    }

    #[setter]
    fn set_value(&self, value: Py<PyAny>) {
        self.store(value);
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("AtomicRef({})", self.load(py).bind(py).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.during_gc(|object| visit.call(object)).unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        drop(self.swap(None));
    }
}
