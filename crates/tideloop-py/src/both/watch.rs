//! `Watch`: the newest value, for threads and tasks that wait for a newer one.

use std::sync::Arc;

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::watch::{Answer, Request, Watch as State, Watcher as Seen};

use super::call::{wait, wait_soon};
use super::gates::{GateWait, Shared, Shown};
use super::iterate::{AS_NEXT, AS_RESULT, closed, end, next, told_of};
use super::pending::limit;
use crate::names;
use crate::task::WaitReason;

/// A value, which several see: counted by itself, so that the rules can have another one without Python.
type Value = Arc<Py<PyAny>>;
type Rules = State<Value>;

/// The newest value of something, which any number of threads and tasks watch: each sees the newest one and may miss
/// those before it. Setting it never waits.
#[pyclass(frozen, subclass, weakref, module = "tideloop.channels")]
pub struct Watch {
    gate: Shared<Rules>,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, answer: Answer<Value>) -> PyResult<Py<PyAny>> {
        match answer {
            Answer::Newer(watcher, version, value) => {
                watcher.has_seen(version);
                Ok(value.clone_ref(py))
            }
            Answer::Ended(label) => Err(end(py, label)),
        }
    }

    fn told_of(py: Python<'_>, owner: &Py<PyAny>, error: PyErr) -> PyErr {
        told_of(py, owner, error)
    }

    fn timed_out(_py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyTimeoutError::new_err("the value has not changed in time"))
    }

    /// Who leaves has not seen it: there is nothing to be put back.
    fn take_back(&mut self, answer: Answer<Value>) -> Option<Answer<Value>> {
        Some(answer)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&**self.value())
    }
}

#[pymethods]
impl Watch {
    #[new]
    fn __new__(initial: Py<PyAny>) -> Self {
        Self { gate: Shared::new(State::new(Arc::new(initial))) }
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    /// The newest value.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        let (value, _) = self.gate.look(|watch, _| watch.newest());
        value.clone_ref(py)
    }

    /// Set the value: all who wait for a newer one get it. Never waits. Raises Closed if it is closed.
    fn set(slf: &Bound<'_, Self>, value: Py<PyAny>) -> PyResult<()> {
        let value = Arc::new(value);
        let outcome = slf.get().gate.change(slf.py(), |watch, _| watch.set(value));
        let refused = outcome.is_err();
        // The value of before, or the one that was refused.
        drop(outcome);
        if refused { Err(closed(slf.as_any())) } else { Ok(()) }
    }

    /// Return a new Watcher, which has seen the value of now.
    fn subscribe(slf: &Bound<'_, Self>) -> Watcher {
        let seen = slf.get().gate.look(|watch, _| watch.watcher());
        Watcher { watch: slf.clone().unbind(), seen }
    }

    /// Close it: the value stays as it is, and who waits for a newer one gets Closed.
    fn close(&self, py: Python<'_>) {
        self.gate.change(py, |watch, _| watch.close());
    }

    /// Whether it has been closed.
    #[getter]
    fn closed(&self) -> bool {
        self.gate.look(|watch, _| watch.is_closed())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (_kind, _error, _traceback, /), text_signature = "($self, kind, error, traceback, /)")]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        let (is_closed, waiting) = self.gate.look(|watch, waiting| (watch.is_closed(), waiting[0]));
        let state = if is_closed { " closed" } else { "" };
        format!("<tideloop.channels.Watch{state}, {waiting} waiting>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.gate.visit(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        let nothing = Arc::new(py.None());
        drop(self.gate.change(py, |watch, _| watch.replace(nothing)));
    }
}

/// One who watches a Watch, and remembers which value it has seen.
#[pyclass(frozen, weakref, module = "tideloop.channels")]
pub struct Watcher {
    watch: Py<Watch>,
    seen: Seen,
}

impl Watcher {
    fn pending(slf: &Bound<'_, Self>, qualname: &'static str, label: u32) -> GateWait<Rules> {
        let this = slf.get();
        let request = Request { watcher: this.seen.clone(), label };
        this.watch.get().gate.wait(slf.as_any(), qualname, WaitReason::Channel, request)
    }
}

#[pymethods]
impl Watcher {
    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    /// The newest value, which counts as seen from here on.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyAny> {
        let (value, version) = self.watch.get().gate.look(|watch, _| watch.newest());
        self.seen.has_seen(version);
        value.clone_ref(py)
    }

    /// Whether there is a value that is newer than the one seen.
    #[getter]
    fn has_changed(&self) -> bool {
        self.watch.get().gate.look(|watch, _| watch.is_newer(&self.seen))
    }

    /// Wait for a value that is newer than the one seen, and return the newest; in a task: await it. Raises Closed if
    /// the Watch is closed and its last value has been seen, and TimeoutError after *timeout* seconds (None: without
    /// limit).
    #[pyo3(signature = (timeout=None))]
    fn changed<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        wait(slf.py(), Self::pending(slf, "Watcher.changed", AS_RESULT), limit(timeout)?)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        next(slf.py(), &Self::pending(slf, "Watcher.__next__", AS_RESULT))
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        wait_soon(slf.py(), Self::pending(slf, "Watcher.__anext__", AS_NEXT), None)
    }

    fn __repr__(&self) -> String {
        let state = if self.has_changed() { "with news" } else { "without news" };
        format!("<tideloop.channels.Watcher {state}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.watch)
    }
}
