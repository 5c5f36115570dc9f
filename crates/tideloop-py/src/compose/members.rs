//! A set of futures that remembers the order in which they came.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::unique::ByAddress;

/// Futures, each at most once. Native ones are equal to nothing but themselves, and so are all others here.
#[derive(Default)]
pub struct Members {
    by_address: ByAddress<(u64, Py<PyAny>)>,
    next: u64,
}

impl Members {
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Adds a future; hands it back where it is here already.
    #[inline]
    #[must_use = "drop it outside of the cell"]
    pub fn insert(&mut self, future: Py<PyAny>) -> Option<Py<PyAny>> {
        self.next += 1;
        self.by_address.insert(future.as_ptr() as usize, (self.next, future)).map(|(_, future)| future)
    }

    /// Takes a future out.
    #[inline]
    #[must_use = "drop it outside of the cell"]
    pub fn remove(&mut self, future: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        self.by_address.remove(&(future.as_ptr() as usize)).map(|(_, future)| future)
    }

    /// References of one's own to all, the oldest first.
    pub fn in_order<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let mut all: Vec<_> =
            self.by_address.values().map(|(number, future)| (*number, future.bind(py).clone())).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, future)| future).collect()
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.by_address.values().try_for_each(|(_, future)| visit.call(future))
    }
}
