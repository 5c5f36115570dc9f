//! What `async with lock` awaits when there is nothing to wait for: one object for all, which allocates nothing.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Done at once, with None.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Ready;

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Py<PyAny>> {
        None
    }
}

/// The one.
#[inline]
pub fn ready(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static READY: PyOnceLock<Py<Ready>> = PyOnceLock::new();
    Ok(READY.get_or_try_init(py, || Py::new(py, Ready))?.bind(py).clone().into_any())
}
