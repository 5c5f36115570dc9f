//! `for item in queue` and `async for item in queue`.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::Queue;

/// The items of a queue, as they come.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Iteration {
    queue: Py<Queue>,
}

impl Iteration {
    pub fn over(queue: &Bound<'_, Queue>) -> Self {
        Self { queue: queue.clone().unbind() }
    }
}

#[pymethods]
impl Iteration {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Queue::next_blocking(self.queue.bind(py))
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Queue::next_soon(self.queue.bind(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.queue)
    }
}
