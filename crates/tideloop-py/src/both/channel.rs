//! `Channel`: values from those who send to those who receive, threads and tasks. Corresponds to Go's `chan`.

use pyo3::exceptions::{PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};
use pyo3::{Borrowed, PyTraverseError, PyVisit};
use tideloop_core::both::channel::{Action, Answer, Channel as State, Outcome, Request};

use super::call::{wait, wait_soon};
use super::gates::{GateWait, Shared, Shown};
use super::iterate::{AS_NEXT, AS_RESULT, end, next, told_of, would_block};
use super::pending::{Limit, limit};
use crate::names;
use crate::task::WaitReason;

/// The state of a channel of Python's objects.
pub type Rules = State<Py<PyAny>>;

/// Values go from those who send to those who receive, threads and tasks alike; each is received once, in order.
///
/// *capacity*: how many values wait at most; 0 for none, so that a sender waits until its value is received; None or
/// `math.inf` for any number. Corresponds to Go's `chan`, and to `queue.Queue` with `shutdown()`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.channels")]
pub struct Channel {
    pub gate: Shared<Rules>,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, answer: Answer<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        match answer.outcome {
            Outcome::Sent => Ok(py.None()),
            Outcome::Received(value) => Ok(value),
            Outcome::Ended | Outcome::Refused(_) => Err(end(py, answer.label)),
        }
    }

    fn told_of(py: Python<'_>, owner: &Py<PyAny>, error: PyErr) -> PyErr {
        told_of(py, owner, error)
    }

    fn timed_out(_py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(PyTimeoutError::new_err("the channel was not ready in time"))
    }

    fn take_back(&mut self, answer: Answer<Py<PyAny>>) -> Option<Answer<Py<PyAny>>> {
        let label = answer.label;
        self.take_back(answer).map(|value| Answer::new(label, Outcome::Refused(value)))
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.values().try_for_each(|value| visit.call(value))
    }

    fn visit_request(request: &Request<Py<PyAny>>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &request.action {
            Action::Send(value) => visit.call(value),
            Action::Receive => Ok(()),
        }
    }
}

/// The argument of `Channel()`.
pub struct Capacity(pub Option<usize>);

impl<'py> FromPyObject<'_, 'py> for Capacity {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() || object.cast::<PyFloat>().is_ok_and(|number| number.value() == f64::INFINITY) {
            return Ok(Self(None));
        }
        let number: i128 =
            object.extract().map_err(|_| PyTypeError::new_err("capacity must be an integer, None or math.inf"))?;
        match usize::try_from(number) {
            Ok(capacity) => Ok(Self(Some(capacity))),
            Err(_) if number < 0 => Err(PyValueError::new_err("capacity must not be negative")),
            Err(_) => Ok(Self(None)),
        }
    }
}

impl Channel {
    /// Asks for what may take a while: a thread blocks, a task awaits what comes back.
    fn ask<'py>(
        slf: &Bound<'py, Self>,
        qualname: &'static str,
        action: Action<Py<PyAny>>,
        limit: Limit,
    ) -> PyResult<Bound<'py, PyAny>> {
        wait(slf.py(), Self::pending(slf, qualname, Request { label: AS_RESULT, action }), limit)
    }

    fn pending(slf: &Bound<'_, Self>, qualname: &'static str, request: Request<Py<PyAny>>) -> GateWait<Rules> {
        slf.get().gate.wait(slf.as_any(), qualname, WaitReason::Channel, request)
    }

    /// Asks for what must be there at once.
    fn ask_now(slf: &Bound<'_, Self>, action: Action<Py<PyAny>>, why: &'static str) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        match slf.get().gate.try_now(py, Request { label: AS_RESULT, action }) {
            Ok(answer) => {
                Rules::answered(py, answer).map_err(|error| Rules::told_of(py, slf.as_any().as_unbound(), error))
            }
            Err(_) => Err(would_block(py, why)),
        }
    }
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (capacity=Capacity(Some(0))), text_signature = "(capacity=0)")]
    fn __new__(capacity: Capacity) -> Self {
        Self { gate: Shared::new(State::new(capacity.0)) }
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    /// Send *value*. Waits while there is no room, or, where there is none at all, until it is received; in a task:
    /// await it. Raises Closed if the channel is closed, and TimeoutError after *timeout* seconds (None: without
    /// limit). A task that is cancelled while it waits has not sent the value, unless that was received in the same
    /// moment.
    #[pyo3(signature = (value, timeout=None))]
    fn send<'py>(slf: &Bound<'py, Self>, value: Py<PyAny>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        Self::ask(slf, "Channel.send", Action::Send(value), limit(timeout)?)
    }

    /// Receive the oldest value. Waits while there is none; in a task: await it. Raises Closed if the channel is closed
    /// and empty, and TimeoutError after *timeout* seconds (None: without limit). If the wait is cancelled in the moment
    /// when a value comes, the value stays in the channel as its oldest.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        Self::ask(slf, "Channel.receive", Action::Receive, limit(timeout)?)
    }

    /// Send *value* at once. Raises WouldBlock if there is no room and nobody waits to receive, and Closed if the
    /// channel is closed.
    fn send_nowait(slf: &Bound<'_, Self>, value: Py<PyAny>) -> PyResult<()> {
        Self::ask_now(slf, Action::Send(value), "the channel has no room").map(drop)
    }

    /// Receive a value at once. Raises WouldBlock if there is none, and Closed if the channel is closed and empty.
    fn receive_nowait(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Self::ask_now(slf, Action::Receive, "the channel is empty")
    }

    /// Close the channel. From here on nothing is sent: who does, or waits to, gets Closed. What has been sent can
    /// still be received. Once it is closed, this does nothing.
    fn close(&self, py: Python<'_>) {
        self.gate.change(py, |channel, _| channel.close());
    }

    /// Whether it has been closed; there may be values left.
    #[getter]
    fn closed(&self) -> bool {
        self.gate.look(|channel, _| channel.is_closed())
    }

    /// How many values wait at most; None for any number.
    #[getter]
    fn capacity(&self) -> Option<usize> {
        self.gate.look(|channel, _| channel.capacity())
    }

    fn __len__(&self) -> usize {
        self.gate.look(|channel, _| channel.len())
    }

    fn __bool__(&self) -> bool {
        // An empty channel is as good as any other.
        true
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let pending = Self::pending(slf, "Channel.__next__", Request { label: AS_RESULT, action: Action::Receive });
        next(slf.py(), &pending)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let request = Request { label: AS_NEXT, action: Action::Receive };
        wait_soon(slf.py(), Self::pending(slf, "Channel.__anext__", request), None)
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
        let (len, capacity, is_closed, [senders, receivers]) =
            self.gate.look(|channel, waiting| (channel.len(), channel.capacity(), channel.is_closed(), waiting));
        let capacity = capacity.map_or_else(|| "inf".to_owned(), |capacity| capacity.to_string());
        let state = if is_closed { " closed" } else { "" };
        format!(
            "<tideloop.channels.Channel{state} {len}/{capacity}, {senders} waiting to send, {receivers} to receive>"
        )
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.gate.visit(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.gate.change(py, |channel, _| channel.drain()));
    }
}
