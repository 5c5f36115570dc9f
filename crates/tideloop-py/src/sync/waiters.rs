//! `_waiters`: the waiters of a primitive as asyncio shows them, in a `collections.deque`.

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList};
use pyo3::{PyTraverseError, PyVisit};

use super::crowd::Crowd;
use super::primitive::Primitive;

/// A look at the waiters of a primitive, always as they are now. What is appended is asked for `done()`, `cancelled()`
/// and `set_result()` when its turn comes.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Waiters {
    owner: Py<Primitive>,
}

impl Waiters {
    pub fn of(owner: &Bound<'_, Primitive>) -> Self {
        Self { owner: owner.clone().unbind() }
    }

    fn crowd(&self) -> &Crowd {
        self.owner.get().crowd()
    }

    fn all<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.crowd().all(py)
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.all(py))
    }
}

/// Assigns `_waiters`: those of `value`, or nobody where it is None.
pub fn assign(crowd: &Crowd, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut new = Vec::new();
    if !value.is_none() {
        for waiter in value.try_iter()? {
            new.push(waiter?);
        }
    }
    for old in crowd.all(value.py()) {
        crowd.discard(&old);
    }
    for waiter in new {
        crowd.enter(&waiter);
    }
    Ok(())
}

#[pymethods]
impl Waiters {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.crowd().len(py)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.list(py)?.try_iter()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let all = self.all(py);
        let at = if index < 0 { all.len().checked_add_signed(index) } else { Some(index.unsigned_abs()) };
        at.and_then(|at| all.into_iter().nth(at)).ok_or_else(|| PyIndexError::new_err("deque index out of range"))
    }

    fn __contains__(&self, waiter: &Bound<'_, PyAny>) -> bool {
        self.all(waiter.py()).iter().any(|one| one.is(waiter))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("deque({})", self.list(py)?.repr()?))
    }

    /// Queue up a future of somebody else's.
    fn append(&self, waiter: &Bound<'_, PyAny>) {
        self.crowd().enter(waiter);
    }

    /// Take a future out of the queue; ValueError where it is not there.
    fn remove(&self, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.crowd().discard(waiter) {
            return Ok(());
        }
        Err(PyValueError::new_err("deque.remove(x): x not in deque"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)
    }
}
