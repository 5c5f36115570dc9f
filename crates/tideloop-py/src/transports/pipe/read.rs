//! `ReadPipeTransport`: bytes from a pipe. One read per readiness, at most [`READ_BUFFER_BYTES`].

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::pipe;

use super::{Base, PipeTransport, begin, connection_lost, extra_info, release, schedule_end, shown, sync_interest};
use crate::cell::Cell;
use crate::error::{leaves_the_loop, os_error};
use crate::event_loop::{EventLoop, Interest, IoTarget, READ_BUFFER_BYTES, Readiness};
use crate::streams::{self, StreamReaderProtocol};
use crate::transports::report::{debug, debug_error, info, report};
use crate::{names, slots};

/// A pipe whose latest read was this large is read straight into the `bytes` of its next one.
const DIRECT_READ_BYTES_MIN: usize = 8 * 1024;

const READ_FAILED: &str = "Fatal read error on pipe transport";
const CALLBACK_FAILED: &str = "Exception in callback ReadPipeTransport._read_ready()";

pub(super) struct ReadState {
    base: Base,
    /// Bytes that came with the latest read.
    latest_read: usize,
    /// The protocol is a `StreamReaderProtocol`, whose reader is handed bytes directly.
    stream: bool,
    paused: bool,
}

/// The reading end of a pipe between the loop and a protocol; an `asyncio.ReadTransport` to isinstance.
///
/// Made by `connect_read_pipe`. Corresponds to the transport that asyncio's Unix event loop makes.
#[pyclass(frozen, subclass, weakref, module = "tideloop._native")]
pub struct ReadPipeTransport {
    state: Cell<ReadState>,
}

impl PipeTransport for ReadPipeTransport {
    const REFUSAL: &'static str = "Pipe transport is for pipes/sockets only.";

    fn base<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Base) -> R) -> R {
        self.state.with(py, |state| f(&mut state.base))
    }

    fn interest(&self, py: Python<'_>) -> Interest {
        self.state.with(py, |state| Interest { readable: state.receives(), writable: false })
    }

    fn target(slf: &Bound<'_, Self>) -> IoTarget {
        IoTarget::ReadPipe(slf.clone().unbind())
    }
}

impl ReadState {
    /// Whether bytes that arrive are wanted now.
    fn receives(&self) -> bool {
        self.base.started && !self.paused && !self.base.closing
    }
}

impl ReadPipeTransport {
    /// Something has come: called by the loop. Only `SystemExit` and `KeyboardInterrupt` come out.
    pub fn on_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, ready: Readiness) -> PyResult<()> {
        let py = slf.py();
        let wanted = slf.get().state.with(py, |state| {
            if !ready.readable || !state.receives() {
                return None;
            }
            let kind = (state.latest_read, state.stream);
            Some((state.base.protocol.cloned(py)?, state.base.context.cloned(py)?, state.base.fd, kind))
        });
        let Some((protocol, context, fd, (latest, stream))) = wanted else { return Ok(()) };
        let outcome = slots::in_context(context.bind(py), || {
            if stream {
                return Self::read_stream(slf, event_loop, protocol.bind(py), fd);
            }
            match Self::receive(event_loop, fd, latest)? {
                Ok(Some(data)) => {
                    let length = data.len()?;
                    slf.get().state.with(py, |state| state.latest_read = length);
                    protocol.bind(py).call_method1(intern!(py, "data_received"), (data,)).map(drop)
                }
                Ok(None) => Self::end_of_stream(slf, event_loop, protocol.bind(py)),
                Err(error) => Self::read_failed(slf, event_loop, &error),
            }
        });
        match outcome.and_then(|outcome| outcome) {
            Err(error) if leaves_the_loop(py, &error) => Err(error),
            Err(error) => report(event_loop, CALLBACK_FAILED, error, &[("transport", slf.as_any())]),
            Ok(()) => Ok(()),
        }
    }

    /// Bytes go from the shared buffer into the reader's.
    fn read_stream(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
        fd: RawFd,
    ) -> PyResult<()> {
        let stream = protocol.cast::<StreamReaderProtocol>()?;
        let received = event_loop.get().with_read_buffer(slf.py(), |buffer| match pipe::read(fd, buffer)? {
            0 => Ok(None),
            length => {
                let bytes = buffer.get(..length).unwrap_or_default();
                io::Result::Ok(Some(StreamReaderProtocol::receive(stream, bytes, None)))
            }
        });
        match received {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Self::end_of_stream(slf, event_loop, protocol),
            Err(error) => Self::read_failed(slf, event_loop, &error),
        }
    }

    fn receive<'py>(
        event_loop: &Bound<'py, EventLoop>,
        fd: RawFd,
        latest: usize,
    ) -> PyResult<io::Result<Option<Bound<'py, PyBytes>>>> {
        let py = event_loop.py();
        if latest >= DIRECT_READ_BYTES_MIN {
            let room = (latest + 1).next_power_of_two().min(READ_BUFFER_BYTES);
            return slots::bytes::read(py, fd, room);
        }
        Ok(event_loop.get().with_read_buffer(py, |buffer| {
            let length = pipe::read(fd, buffer)?;
            let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty());
            Ok(bytes.map(|bytes| PyBytes::new(py, bytes)))
        }))
    }

    fn end_of_stream(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        info(event_loop, "%r was closed by peer", slf.as_any())?;
        slf.get().state.with(py, |state| state.base.closing = true);
        sync_interest(slf)?;
        let eof_received = protocol.getattr(intern!(py, "eof_received"))?;
        event_loop.call_method1(intern!(py, "call_soon"), (eof_received,))?;
        schedule_end(slf, None)
    }

    #[cold]
    fn read_failed(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, error: &io::Error) -> PyResult<()> {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
            return Ok(());
        }
        Self::fail(slf, event_loop, os_error(slf.py(), error), READ_FAILED, is_hang_up(error))
    }

    /// Reports an error that ends the transport, and ends it. That a terminal was closed is no news.
    fn fail(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        error: PyErr,
        message: &str,
        is_hang_up: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let protocol = slf.get().state.with(py, |state| state.base.protocol.cloned(py)).into_pyobject(py)?;
        let reported = if is_hang_up {
            debug_error(event_loop, slf.as_any(), message, &error)
        } else {
            let subjects = [("transport", slf.as_any()), ("protocol", &protocol)];
            report(event_loop, message, error.clone_ref(py), &subjects)
        };
        schedule_end(slf, Some(error.value(py).as_any()))?;
        reported
    }

    /// The loop, for what is only done while it is there.
    fn event_loop<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, EventLoop>> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.base.event_loop.cloned(py)).map(|event_loop| event_loop.into_bound(py))
    }
}

/// EIO: the other end of a terminal is closed.
fn is_hang_up(error: &io::Error) -> bool {
    error.raw_os_error() == Some(pipe::TERMINAL_CLOSED)
}

impl Drop for ReadPipeTransport {
    fn drop(&mut self) {
        drop(self.state.get_mut().base.take_contents());
    }
}

#[pymethods]
impl ReadPipeTransport {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(ReadState { base: Base::blank(), latest_read: 0, stream: false, paused: false }) }
    }

    /// Take over `pipe`, an object with `fileno()` and `close()`, and schedule `protocol.connection_made(self)`, the
    /// start of reading and then `waiter.set_result(None)`. Raises ValueError for what is no pipe.
    #[pyo3(signature = (r#loop, pipe, protocol, waiter=None, extra=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        r#loop: &Bound<'_, EventLoop>,
        pipe: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        if Self::event_loop(slf).is_some() {
            return Err(PyRuntimeError::new_err("the transport has a pipe already"));
        }
        let stream = streams::receives_plainly(protocol)?;
        slf.get().state.with(slf.py(), |state| state.stream = stream);
        begin(slf, r#loop, pipe, protocol, waiter, extra).map(drop)
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        names::read_transport_class(slf.py())
    }

    /// Whether bytes that arrive are received. Corresponds to `asyncio.ReadTransport.is_reading`.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.paused && !state.base.closing)
    }

    /// Receive nothing until `resume_reading`. Corresponds to `asyncio.ReadTransport.pause_reading`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let changed =
            slf.get().state.with(slf.py(), |state| !state.base.closing && !std::mem::replace(&mut state.paused, true));
        match Self::event_loop(slf) {
            Some(event_loop) if changed => {
                sync_interest(slf)?;
                debug(&event_loop, "%r pauses reading", slf.as_any())
            }
            _ => Ok(()),
        }
    }

    /// Receive again. Corresponds to `asyncio.ReadTransport.resume_reading`.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let changed =
            slf.get().state.with(slf.py(), |state| !state.base.closing && std::mem::replace(&mut state.paused, false));
        match Self::event_loop(slf) {
            Some(event_loop) if changed => {
                sync_interest(slf)?;
                debug(&event_loop, "%r resumes reading", slf.as_any())
            }
            _ => Ok(()),
        }
    }

    /// Close without reading any more. Corresponds to `asyncio.BaseTransport.close`.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        schedule_end(slf, None)
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.BaseTransport.is_closing`.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.base.closing)
    }

    /// Give the pipe to another protocol. Corresponds to `asyncio.BaseTransport.set_protocol`.
    fn set_protocol(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let stream = streams::receives_plainly(protocol)?;
        let wanted = protocol.clone().unbind();
        let before = self.state.with(protocol.py(), |state| {
            state.stream = stream;
            state.base.protocol.replace(Some(wanted))
        });
        drop(before);
        Ok(())
    }

    /// The protocol; None after `connection_lost`. Corresponds to `asyncio.BaseTransport.get_protocol`.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.base.protocol.cloned(py))
    }

    /// What is known by the name: 'pipe', or one of the caller's. Corresponds to
    /// `asyncio.BaseTransport.get_extra_info`.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        extra_info(slf, name, default)
    }

    fn _start(slf: &Bound<'_, Self>, _none: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().state.with(slf.py(), |state| state.base.started = true);
        sync_interest(slf)
    }

    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        connection_lost(slf, exc)
    }

    #[pyo3(signature = (exc, message="Fatal error on pipe transport"))]
    fn _fatal_error(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>, message: &str) -> PyResult<()> {
        match Self::event_loop(slf) {
            Some(event_loop) => Self::fail(slf, &event_loop, PyErr::from_value(exc.clone()), message, false),
            None => Ok(()),
        }
    }

    fn _release(slf: &Bound<'_, Self>) -> PyResult<()> {
        release(slf)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.state.with(py, |state| state.base.event_loop.cloned(py))
    }

    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_protocol(py)
    }

    #[getter]
    fn _pipe(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.base.pipe.cloned(py))
    }

    #[setter(_pipe)]
    fn set_pipe(&self, py: Python<'_>, pipe: Option<Py<PyAny>>) {
        drop(self.state.with(py, |state| state.base.pipe.replace(pipe)));
    }

    #[getter]
    fn _fileno(&self, py: Python<'_>) -> i32 {
        self.state.with(py, |state| state.base.fd)
    }

    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.paused)
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.state.with(py, |state| state.base.extra.cloned(py))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let polling = slf.get().state.with(slf.py(), |state| state.base.token.is_some());
        shown(slf, "ReadPipeTransport", polling, "")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.base.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), |state| state.base.take_contents()));
    }
}
