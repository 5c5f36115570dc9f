//! `DatagramTransport`: datagrams between a protocol and a socket, of IPv4, IPv6, Unix or any other family.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | the class, its Python surface |
//! | `state.rs` | what a transport knows, and the transitions between its states |
//! | `lifecycle.rs` | how it begins, fails and ends |
//! | `receive.rs`, `peers.rs` | datagrams in, many at a time; whose they are |
//! | `send.rs` | datagrams out: at once, or queued while the kernel refuses them |

mod lifecycle;
mod peers;
mod receive;
mod send;
mod state;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use self::state::State;
use super::flow::water_marks;
use super::lifecycle::{schedule, wake_function};
use super::report::report;
use crate::cell::Cell;
use crate::error::leaves_the_loop;
use crate::event_loop::{EventLoop, Readiness};
use crate::names;
use crate::slots::{self, Slotted};

/// A datagram socket between a protocol and the loop; an `asyncio.DatagramTransport` to isinstance.
///
/// Made by `create_datagram_endpoint`. Corresponds to the datagram transports that asyncio's selector event loop makes.
#[pyclass(frozen, weakref, module = "tideloop._native")]
pub struct DatagramTransport {
    state: Cell<State>,
}

impl Slotted for DatagramTransport {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

impl DatagramTransport {
    /// A transport without a socket.
    pub(super) fn blank() -> Self {
        Self { state: Cell::new(State::blank()) }
    }

    /// The descriptor is ready: called by the loop. Only `SystemExit` and `KeyboardInterrupt` come out.
    pub fn on_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, ready: Readiness) -> PyResult<()> {
        let received = if ready.readable { Self::receive_ready(slf, event_loop) } else { Ok(()) };
        let received = Self::tell(slf, event_loop, received, "_read_ready()");
        let sent = if ready.writable { Self::send_ready(slf) } else { Ok(()) };
        received.and(Self::tell(slf, event_loop, sent, "_sendto_ready()"))
    }

    /// Reports what a protocol raised, as asyncio does for any callback; the transport stays open.
    fn tell(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        outcome: PyResult<()>,
        callback: &str,
    ) -> PyResult<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if leaves_the_loop(slf.py(), &error) => Err(error),
            Err(error) => {
                let message = format!("Exception in callback DatagramTransport.{callback}");
                report(event_loop, &message, error, &[("transport", slf.as_any())])
            }
        }
    }

    /// Whether it is closed or will be, for the loop.
    pub fn is_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.closing)
    }
}

impl Drop for DatagramTransport {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

#[pymethods]
impl DatagramTransport {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    /// Take over `sock`, a non-blocking datagram `socket.socket`, and schedule `protocol.connection_made(self)`, the
    /// start of reading and then `waiter.set_result(None)`. `address` is where everything is sent to.
    #[pyo3(signature = (r#loop, sock, protocol, address=None, waiter=None, extra=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        r#loop: &Bound<'_, EventLoop>,
        sock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        address: Option<&Bound<'_, PyAny>>,
        waiter: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.fd) >= 0 {
            return Err(PyRuntimeError::new_err("the transport has a socket already"));
        }
        Self::take_socket(slf, sock, address, extra)?;
        Self::begin(slf, r#loop, protocol)?;
        match waiter {
            Some(waiter) => schedule(r#loop, wake_function(py)?, waiter, None),
            None => Ok(()),
        }
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        names::datagram_transport_class(slf.py())
    }

    /// Send `data` (bytes, bytearray or memoryview) as one datagram to `addr`, or to the endpoint's remote address.
    ///
    /// Raises TypeError for other data, and ValueError for another address than the remote one. Corresponds to
    /// `asyncio.DatagramTransport.sendto`.
    #[pyo3(signature = (data, addr=None))]
    fn sendto(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>, addr: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::send(slf, data, addr)
    }

    /// Bytes that wait for the kernel to take them; from Python 3.13 on, 8 more for each datagram. Corresponds to
    /// `asyncio.WriteTransport.get_write_buffer_size`.
    fn get_write_buffer_size(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.queued_bytes)
    }

    /// The water marks in bytes, as (low, high). Corresponds to `asyncio.WriteTransport.get_write_buffer_limits`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let marks = self.state.with(py, |state| state.marks);
        (marks.low, marks.high)
    }

    /// Set the water marks in bytes; None for defaults. Raises ValueError unless high >= low >= 0. Corresponds to
    /// `asyncio.WriteTransport.set_write_buffer_limits`.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(slf: &Bound<'_, Self>, high: Option<i64>, low: Option<i64>) -> PyResult<()> {
        let marks = water_marks(high, low)?;
        slf.get().state.with(slf.py(), |state| state.marks = marks);
        Self::pause_protocol_above_high(slf)
    }

    /// Close after everything queued is sent, and receive no more. Corresponds to `asyncio.BaseTransport.close`.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::close_gracefully(slf)
    }

    /// Close at once; what is queued is lost. Corresponds to `asyncio.DatagramTransport.abort`.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::force_close(slf, None)
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.BaseTransport.is_closing`.
    #[pyo3(name = "is_closing")]
    fn is_closing_method(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    /// Whether datagrams that arrive are received. Corresponds to `asyncio.ReadTransport.is_reading`.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.closing && !state.paused)
    }

    /// Receive nothing until `resume_reading`. Corresponds to `asyncio.ReadTransport.pause_reading`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::pause(slf)
    }

    /// Receive again. Corresponds to `asyncio.ReadTransport.resume_reading`.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::resume(slf)
    }

    /// Give the datagrams to another protocol. Corresponds to `asyncio.BaseTransport.set_protocol`.
    fn set_protocol(slf: &Bound<'_, Self>, protocol: &Bound<'_, PyAny>) {
        let wanted = protocol.clone().unbind();
        let old = slf.get().state.with(slf.py(), |state| state.protocol.replace(Some(wanted)));
        drop(old);
    }

    /// The protocol; None after `connection_lost`. Corresponds to `asyncio.BaseTransport.get_protocol`.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.protocol.cloned(py))
    }

    /// What is known by the name: 'socket', 'peername', 'sockname'. Corresponds to
    /// `asyncio.BaseTransport.get_extra_info`.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let found = match slf.get().state.with(py, |state| state.extra.cloned(py)) {
            Some(extra) => extra.bind(py).get_item(name)?,
            None => None,
        };
        Ok(found.or_else(|| default.cloned()))
    }

    #[pyo3(signature = (exc))]
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::connection_lost(slf, exc)
    }

    #[pyo3(signature = (exc))]
    fn _force_close(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::force_close(slf, Some(exc))
    }

    #[pyo3(signature = (exc, message="Fatal error on transport"))]
    fn _fatal_error(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>, message: &str) -> PyResult<()> {
        Self::fail(slf, PyErr::from_value(exc.clone()), message)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.state.with(py, |state| state.event_loop.cloned(py))
    }

    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_protocol(py)
    }

    #[getter]
    fn _sock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| if state.gone { None } else { state.socket.cloned(py) })
    }

    #[getter]
    fn _sock_fd(&self, py: Python<'_>) -> i32 {
        self.state.with(py, |state| state.fd)
    }

    #[getter]
    fn _address(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.remote.cloned(py))
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.state.with(py, |state| state.extra.cloned(py))
    }

    #[getter]
    fn _conn_lost(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.conn_lost)
    }

    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let py = slf.py();
        let (event_loop, fd, closing, read, write, size) = slf.get().state.with(py, |state| {
            let watched = if state.token.is_some() { state.interest() } else { crate::event_loop::Interest::NONE };
            let event_loop = state.event_loop.cloned(py);
            (event_loop, state.fd, state.closing, watched.readable, watched.writable, state.queued_bytes)
        });
        let state = match (&event_loop, closing) {
            (None, _) => " closed",
            (_, true) => " closing",
            _ => "",
        };
        if event_loop.is_none_or(|event_loop| event_loop.get().closed(py)) {
            return format!("<DatagramTransport{state} fd={fd}>");
        }
        let polling = |on: bool| if on { "polling" } else { "idle" };
        let (read, write) = (polling(read), polling(write));
        format!("<DatagramTransport{state} fd={fd} read={read} write=<{write}, bufsize={size}>>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), State::take_contents);
        drop(contents);
    }
}
