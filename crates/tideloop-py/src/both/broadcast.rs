//! `Broadcast`: every value goes to every subscriber, threads and tasks.

use std::sync::Arc;

use pyo3::exceptions::{PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::broadcast::{Answer, Broadcast as State, Request, Subscriber};

use super::call::{wait, wait_soon};
use super::channel::Capacity;
use super::gates::{GateWait, Shared, Shown};
use super::iterate::{AS_NEXT, AS_RESULT, end, next, told_of, would_block};
use super::pending::limit;
use crate::names;
use crate::task::WaitReason;

/// A value, which several receive: counted by itself, so that the rules can have another one without Python.
type Value = Arc<Py<PyAny>>;
type Rules = State<Value>;

/// Every value goes to every subscriber, from its subscription on.
///
/// *capacity*: how many values the slowest subscriber may be behind, at least 1; None or `math.inf` for any number. When
/// it is that far behind, a sender waits; with *drop_oldest* the sender never does, and who has missed values is told so
/// by Lagged.
#[pyclass(frozen, subclass, weakref, module = "tideloop.channels")]
pub struct Broadcast {
    gate: Shared<Rules>,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, answer: Answer<Value>) -> PyResult<Py<PyAny>> {
        match answer {
            Answer::Sent(dropped) => {
                drop(dropped);
                Ok(py.None())
            }
            Answer::Received(_, value) => Ok(value.clone_ref(py)),
            Answer::Lagged(_, missed) => Err(PyErr::from_value(names::lagged(py)?.call1((missed,))?)),
            Answer::Refused(_) => Err(end(py, AS_RESULT)),
            Answer::Ended(label) => Err(end(py, label)),
        }
    }

    fn told_of(py: Python<'_>, owner: &Py<PyAny>, error: PyErr) -> PyErr {
        told_of(py, owner, error)
    }

    fn timed_out(_py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyTimeoutError::new_err("the broadcast was not ready in time"))
    }

    fn take_back(&mut self, answer: Answer<Value>) -> Option<Answer<Value>> {
        self.take_back(answer).map(Answer::Refused)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Each value once: it is one reference, however many count on it. One that is in the log and was given back
        // besides is counted twice, and seen in the log.
        let (mut in_log, mut given_back) = self.values();
        in_log.try_for_each(|value| visit.call(&**value))?;
        given_back.try_for_each(|value| if Arc::strong_count(value) == 1 { visit.call(&**value) } else { Ok(()) })
    }

    fn visit_request(request: &Request<Value>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match request {
            Request::Send(value) => visit.call(&**value),
            Request::Receive(..) => Ok(()),
        }
    }
}

#[pymethods]
impl Broadcast {
    #[new]
    #[pyo3(signature = (capacity, *, drop_oldest=false))]
    fn __new__(capacity: Capacity, drop_oldest: bool) -> PyResult<Self> {
        if capacity.0 == Some(0) {
            return Err(PyValueError::new_err("capacity must be at least 1"));
        }
        Ok(Self { gate: Shared::new(State::new(capacity.0.unwrap_or(usize::MAX), drop_oldest)) })
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    /// Send *value* to every subscriber. Waits while the slowest of them is too far behind; in a task: await it. Raises
    /// Closed if the broadcast is closed, and TimeoutError after *timeout* seconds (None: without limit).
    #[pyo3(signature = (value, timeout=None))]
    fn send<'py>(slf: &Bound<'py, Self>, value: Py<PyAny>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let request = Request::Send(Arc::new(value));
        let pending = slf.get().gate.wait(slf.as_any(), "Broadcast.send", WaitReason::Channel, request);
        wait(slf.py(), pending, limit(timeout)?)
    }

    /// Send *value* at once. Raises WouldBlock if a subscriber is too far behind, and Closed if the broadcast is closed.
    fn send_nowait(slf: &Bound<'_, Self>, value: Py<PyAny>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().gate.try_now(py, Request::Send(Arc::new(value))) {
            Ok(answer) => match Rules::answered(py, answer) {
                Ok(_) => Ok(()),
                Err(error) => Err(told_of(py, slf.as_any().as_unbound(), error)),
            },
            Err(_) => Err(would_block(py, "a subscriber is too far behind")),
        }
    }

    /// Return a new Subscription, which receives every value that is sent from here on.
    fn subscribe(slf: &Bound<'_, Self>) -> Subscription {
        let subscriber = slf.get().gate.change(slf.py(), |broadcast, _| broadcast.subscribe());
        Subscription { broadcast: slf.clone().unbind(), subscriber }
    }

    /// Close the broadcast. From here on nothing is sent; what has been sent can still be received.
    fn close(&self, py: Python<'_>) {
        self.gate.change(py, |broadcast, _| broadcast.close());
    }

    /// Whether it has been closed.
    #[getter]
    fn closed(&self) -> bool {
        self.gate.look(|broadcast, _| broadcast.is_closed())
    }

    /// How many values the slowest subscriber may be behind; None for any number.
    #[getter]
    fn capacity(&self) -> Option<usize> {
        Some(self.gate.look(|broadcast, _| broadcast.capacity())).filter(|capacity| *capacity != usize::MAX)
    }

    /// How many subscribe.
    #[getter]
    fn subscribers(&self) -> usize {
        self.gate.look(|broadcast, _| broadcast.subscribers())
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
        let (subscribers, is_closed, [senders, receivers]) =
            self.gate.look(|broadcast, waiting| (broadcast.subscribers(), broadcast.is_closed(), waiting));
        let state = if is_closed { " closed" } else { "" };
        format!(
            "<tideloop.channels.Broadcast{state} to {subscribers}, {senders} waiting to send, {receivers} to receive>"
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.gate.visit(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.gate.change(py, |broadcast, _| broadcast.drain()));
    }
}

/// What one subscriber of a Broadcast receives: every value sent since `Broadcast.subscribe()`.
#[pyclass(frozen, weakref, module = "tideloop.channels")]
pub struct Subscription {
    broadcast: Py<Broadcast>,
    subscriber: Subscriber,
}

impl Subscription {
    fn pending(slf: &Bound<'_, Self>, qualname: &'static str, label: u32) -> GateWait<Rules> {
        let this = slf.get();
        let request = Request::Receive(this.subscriber, label);
        this.broadcast.get().gate.wait(slf.as_any(), qualname, WaitReason::Channel, request)
    }
}

#[pymethods]
impl Subscription {
    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    /// Receive the next value. Waits until there is one; in a task: await it. Raises Lagged if values were dropped
    /// before it, once, and goes on then with the oldest that is left; Closed if the broadcast is closed and everything
    /// received, or this subscription is closed; TimeoutError after *timeout* seconds (None: without limit).
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        wait(slf.py(), Self::pending(slf, "Subscription.receive", AS_RESULT), limit(timeout)?)
    }

    /// Receive the next value at once. Raises WouldBlock if there is none; else as `receive`.
    fn receive_nowait(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        match this.broadcast.get().gate.try_now(py, Request::Receive(this.subscriber, AS_RESULT)) {
            Ok(answer) => Rules::answered(py, answer).map_err(|error| told_of(py, slf.as_any().as_unbound(), error)),
            Err(_) => Err(would_block(py, "there is no new value")),
        }
    }

    /// End the subscription: senders wait for it no longer, and what it has not received is gone for it.
    fn close(&self, py: Python<'_>) {
        let subscriber = self.subscriber;
        drop(self.broadcast.get().gate.change(py, |broadcast, _| broadcast.unsubscribe(subscriber)));
    }

    /// Whether it has been closed.
    #[getter]
    fn closed(&self) -> bool {
        self.broadcast.get().gate.look(|broadcast, _| broadcast.unread(self.subscriber).is_none())
    }

    /// How many values can be received now.
    fn __len__(&self) -> usize {
        self.broadcast.get().gate.look(|broadcast, _| broadcast.unread(self.subscriber).unwrap_or(0))
    }

    fn __bool__(&self) -> bool {
        // One without news is as good as any other.
        true
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        next(slf.py(), &Self::pending(slf, "Subscription.__next__", AS_RESULT))
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        wait_soon(slf.py(), Self::pending(slf, "Subscription.__anext__", AS_NEXT), None)
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
        let unread = self.broadcast.get().gate.look(|broadcast, _| broadcast.unread(self.subscriber));
        match unread {
            Some(unread) => format!("<tideloop.channels.Subscription {unread} to receive>"),
            None => "<tideloop.channels.Subscription closed>".to_owned(),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.broadcast)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A subscriber that is forgotten must not hold the senders back.
        Python::try_attach(|py| self.close(py));
    }
}
