//! One of Python's collections and its gate.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::shared::gate::{Gate, Inside};
use crate::shared::short::Short;
use crate::shared::thread as number;

/// A collection and its gate.
///
/// There is nothing to clear: the inner collection is the collector's own, and reached by nobody else.
pub struct Guarded<T> {
    items: Py<T>,
    gate: Gate,
    /// The threads that are in `__repr__`, by their numbers: a collection may contain itself.
    showing: Short<Vec<u64>>,
}

impl<T> Guarded<T> {
    pub fn new(items: Bound<'_, T>) -> Self {
        Self { items: items.unbind(), gate: Gate::new(), showing: Short::new(Vec::new()) }
    }

    /// Gives `f` the collection while no other thread is at it. What `f` returns is dropped outside.
    #[inline]
    pub fn with<'py, R>(&self, py: Python<'py>, f: impl FnOnce(&Bound<'py, T>) -> PyResult<R>) -> PyResult<R> {
        let _inside = self.gate.enter(py)?;
        f(self.items.bind(py))
    }

    /// As `with`, whatever signals come.
    pub fn with_surely<'py, R>(&self, py: Python<'py>, f: impl FnOnce(&Bound<'py, T>) -> R) -> R {
        let _inside: Inside<'_> = self.gate.enter_surely(py);
        f(self.items.bind(py))
    }

    /// `name(contents)`, with dots for what is being shown further out.
    pub fn shown<'py>(
        &self,
        name: &str,
        contents: impl FnOnce() -> PyResult<Option<Bound<'py, PyAny>>>,
    ) -> PyResult<String> {
        let me = number::current();
        let nested = self.showing.with(|showing| {
            let nested = showing.contains(&me);
            showing.extend((!nested).then_some(me));
            nested
        });
        if nested {
            return Ok(format!("{name}(...)"));
        }
        let text = contents().and_then(|contents| match contents {
            Some(contents) => Ok(format!("{name}({})", contents.repr()?)),
            None => Ok(format!("{name}()")),
        });
        self.showing.with(|showing| showing.retain(|thread| *thread != me));
        text
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.items)
    }
}
