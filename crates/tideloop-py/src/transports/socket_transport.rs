//! `SocketTransport`: the Python surface of a TCP connection.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::lifecycle::{Connection, Receiver, schedule, wake_function};
use super::report::report;
use super::state::State;
use crate::cell::Cell;
use crate::error::leaves_the_loop;
use crate::event_loop::{EventLoop, Readiness};
use crate::names;
use crate::slots::{self, Slotted};

/// A TCP connection between a protocol and the loop; an `asyncio.Transport` to isinstance.
///
/// Made by `create_connection`, `connect_accepted_socket` and servers. Corresponds to the transports that asyncio's
/// selector event loop makes.
#[pyclass(frozen, weakref, module = "tideloop._native")]
pub struct SocketTransport {
    pub(super) state: Cell<State>,
}

impl Slotted for SocketTransport {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

impl SocketTransport {
    /// A transport without a socket.
    pub(super) fn blank() -> Self {
        Self { state: Cell::new(State::blank()) }
    }

    /// The descriptor is ready: called by the loop. Only `SystemExit` and `KeyboardInterrupt` come out.
    #[inline]
    pub fn on_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, ready: Readiness) -> PyResult<()> {
        match Self::act_on(slf, event_loop, ready) {
            Ok(()) => Ok(()),
            Err(error) => Self::report_or_leave(slf, event_loop, error),
        }
    }

    /// A turn ends: called by the loop for a transport that was written to in it. Only `SystemExit` and
    /// `KeyboardInterrupt` come out.
    #[inline]
    pub fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Err(error) = Self::send_written(slf) else { return Ok(()) };
        match slf.get().state.with(py, |state| state.event_loop.cloned(py)) {
            Some(event_loop) => Self::report_or_leave(slf, event_loop.bind(py), error),
            None => Err(error),
        }
    }

    #[cold]
    fn report_or_leave(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, error: PyErr) -> PyResult<()> {
        if leaves_the_loop(slf.py(), &error) {
            return Err(error);
        }
        report(event_loop, "Error in a transport", error, &[("transport", slf.as_any())])
    }

    #[inline]
    fn act_on(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, ready: Readiness) -> PyResult<()> {
        if ready.readable {
            Self::read_ready(slf, event_loop)?;
        }
        if ready.writable { Self::write_ready(slf) } else { Ok(()) }
    }

    /// Whether it is closed or will be, for the loop.
    pub fn is_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.closing)
    }
}

impl Drop for SocketTransport {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

#[pymethods]
impl SocketTransport {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    /// Take over `sock`, a connected non-blocking `socket.socket`, and schedule `protocol.connection_made(self)`,
    /// the start of reading and then `waiter.set_result(None)`.
    #[pyo3(signature = (r#loop, sock, protocol, waiter=None, extra=None, server=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        r#loop: &Bound<'_, EventLoop>,
        sock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
        server: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.fd) >= 0 {
            return Err(PyRuntimeError::new_err("the transport has a socket already"));
        }
        let context = slots::copy_context(py)?;
        let is_ip = Self::take_socket(slf, sock, extra)?;
        Self::begin(slf, Connection { event_loop: r#loop, protocol, server, context }, is_ip)?;
        match waiter {
            Some(waiter) => schedule(r#loop, wake_function(py)?, waiter, None),
            None => Ok(()),
        }
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        names::transport_class(slf.py())
    }

    /// Write `data` (bytes, bytearray or memoryview) without waiting. Raises TypeError for anything else, and
    /// RuntimeError after `write_eof`. Corresponds to `asyncio.WriteTransport.write`.
    fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::write_bytes(slf, data)
    }

    /// Write every bytes-like object of an iterable. Corresponds to `asyncio.WriteTransport.writelines`.
    fn writelines(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::write_lines(slf, list_of_data)
    }

    /// Shut down the sending half after everything written is sent. Corresponds to
    /// `asyncio.WriteTransport.write_eof`.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::end_writing(slf)
    }

    /// True: TCP has half-closed connections. Corresponds to `asyncio.WriteTransport.can_write_eof`.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Bytes that the kernel has refused so far. Corresponds to `asyncio.WriteTransport.get_write_buffer_size`.
    fn get_write_buffer_size(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.blocked_bytes())
    }

    /// The water marks in bytes, as (low, high). Corresponds to `asyncio.WriteTransport.get_write_buffer_limits`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let marks = self.state.with(py, |state| state.marks());
        (marks.low, marks.high)
    }

    /// Set the water marks in bytes; None for defaults. Raises ValueError unless high >= low >= 0. Corresponds to
    /// `asyncio.WriteTransport.set_write_buffer_limits`.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(slf: &Bound<'_, Self>, high: Option<i64>, low: Option<i64>) -> PyResult<()> {
        Self::set_limits(slf, high, low)
    }

    /// Close after everything written is sent, and read no more. Corresponds to `asyncio.BaseTransport.close`.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::close_gracefully(slf)
    }

    /// Close at once; what the kernel has refused so far is lost. Corresponds to `asyncio.WriteTransport.abort`.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::send_written(slf)?;
        Self::force_close(slf, None)
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.BaseTransport.is_closing`.
    #[pyo3(name = "is_closing")]
    fn is_closing_method(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    /// Whether bytes that arrive are received. Corresponds to `asyncio.ReadTransport.is_reading`.
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

    /// Give the connection to another protocol, plain or buffered. Corresponds to
    /// `asyncio.BaseTransport.set_protocol`.
    fn set_protocol(slf: &Bound<'_, Self>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let receiver = Receiver::of(protocol)?;
        let wanted = protocol.clone().unbind();
        let old = slf.get().state.with(py, |state| {
            state.receiver = receiver;
            state.protocol.replace(Some(wanted))
        });
        drop(old);
        Ok(())
    }

    /// The protocol; None after `connection_lost`. Corresponds to `asyncio.BaseTransport.get_protocol`.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.protocol.cloned(py))
    }

    /// What is known by the name: 'socket', 'peername', 'sockname', or one of the caller's. Corresponds to
    /// `asyncio.BaseTransport.get_extra_info`.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::extra_info(slf, name, default)
    }

    #[pyo3(signature = (exc))]
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::connection_lost(slf, exc)
    }

    #[pyo3(signature = (exc))]
    fn _force_close(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::send_collected(slf)?;
        Self::force_close(slf, Some(exc))
    }

    #[pyo3(signature = (exc, message="Fatal error on transport"))]
    fn _fatal_error(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>, message: &str) -> PyResult<()> {
        Self::fail(slf, PyErr::from_value(exc.clone()), message)
    }

    fn _make_empty_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::make_empty_waiter(slf)
    }

    fn _reset_empty_waiter(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::end_sendfile(slf)
    }

    /// A future that is done when the kernel takes bytes again, or the transport closes: for `sendfile`.
    fn _make_writable_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::make_writable_waiter(slf)
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
    fn _server(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.server.cloned(py))
    }

    #[getter]
    fn _sock<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !slf.get().state.with(slf.py(), |state| state.is_open()) {
            return Ok(None);
        }
        Self::python_socket(slf).map(Some)
    }

    #[getter]
    fn _sock_fd(&self, py: Python<'_>) -> i32 {
        self.state.with(py, |state| state.fd)
    }

    #[getter]
    fn _extra<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        Self::extra_dict(slf)
    }

    #[getter]
    fn _conn_lost(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.conn_lost)
    }

    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    #[getter]
    fn _eof(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.write_ended)
    }

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.paused)
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.protocol_paused)
    }

    #[getter]
    fn _buffer<'py>(&self, py: Python<'py>) -> Bound<'py, PyByteArray> {
        let refused = self.state.with(py, |state| if state.blocked { state.outgoing.to_vec() } else { Vec::new() });
        PyByteArray::new(py, &refused)
    }

    #[classattr]
    fn _start_tls_compatible() -> bool {
        true
    }

    #[classattr]
    fn _sendfile_compatible(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(names::sendfile_mode(py)?.getattr(intern!(py, "TRY_NATIVE"))?.unbind())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let (event_loop, fd, closing, interest, size) = slf.get().state.with(py, |state| {
            let watched = state.token.is_some();
            let interest = state.interest();
            let polled = (watched && interest.readable, watched && interest.writable);
            (state.event_loop.cloned(py), state.fd, state.closing, polled, state.blocked_bytes())
        });
        let state = match (&event_loop, closing) {
            (None, _) => " closed",
            (_, true) => " closing",
            _ => "",
        };
        if event_loop.is_none_or(|event_loop| event_loop.get().closed(py)) {
            return Ok(format!("<SocketTransport{state} fd={fd}>"));
        }
        let polling = |on: bool| if on { "polling" } else { "idle" };
        let (read, write) = (polling(interest.0), polling(interest.1));
        Ok(format!("<SocketTransport{state} fd={fd} read={read} write=<{write}, bufsize={size}>>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), State::take_contents);
        drop(contents);
    }
}
