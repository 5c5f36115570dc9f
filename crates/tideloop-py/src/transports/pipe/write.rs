//! `WritePipeTransport`: the Python surface of the writing end of a pipe.

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::water_marks::WaterMarks;
use tideloop_sys::pipe::Kind;

use super::outgoing::WriteState;
use super::{Base, PipeTransport, begin, connection_lost, extra_info, release, schedule_end, shown, sync_interest};
use crate::cell::Cell;
use crate::event_loop::{EventLoop, Interest, IoTarget};
use crate::names;
use crate::transports::flow::water_marks;
use crate::transports::write::segment;

/// The writing end of a pipe between the loop and a protocol; an `asyncio.WriteTransport` to isinstance.
///
/// Made by `connect_write_pipe`. Corresponds to the transport that asyncio's Unix event loop makes.
#[pyclass(frozen, subclass, weakref, module = "tideloop._native")]
pub struct WritePipeTransport {
    pub(super) state: Cell<WriteState>,
}

impl PipeTransport for WritePipeTransport {
    const REFUSAL: &'static str = "Pipe transport is only for pipes, sockets and character devices";

    fn base<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Base) -> R) -> R {
        self.state.with(py, |state| f(&mut state.base))
    }

    fn interest(&self, py: Python<'_>) -> Interest {
        self.state.with(py, |state| state.interest())
    }

    fn target(slf: &Bound<'_, Self>) -> IoTarget {
        IoTarget::WritePipe(slf.clone().unbind())
    }
}

impl Drop for WritePipeTransport {
    fn drop(&mut self) {
        drop(self.state.get_mut().base.take_contents());
    }
}

#[pymethods]
impl WritePipeTransport {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(WriteState::blank(WaterMarks::default())) }
    }

    /// Take over `pipe`, an object with `fileno()` and `close()`, and schedule `protocol.connection_made(self)` and
    /// then `waiter.set_result(None)`. Raises ValueError for what is no pipe.
    #[pyo3(signature = (r#loop, pipe, protocol, waiter=None, extra=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        r#loop: &Bound<'_, EventLoop>,
        pipe: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        if slf.get()._loop(slf.py()).is_some() {
            return Err(PyRuntimeError::new_err("the transport has a pipe already"));
        }
        let kind = begin(slf, r#loop, pipe, protocol, waiter, extra)?;
        slf.get().state.with(slf.py(), |state| state.notices_reader = kind != Kind::CharacterDevice);
        Ok(())
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        names::write_transport_class(slf.py())
    }

    /// Write `data` (bytes, bytearray or memoryview) without waiting. Raises TypeError for anything else. Corresponds
    /// to `asyncio.WriteTransport.write`.
    fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let segment = segment(data)?;
        if segment.is_empty() { Ok(()) } else { Self::write_segment(slf, segment) }
    }

    /// Write every bytes-like object of an iterable. Corresponds to `asyncio.WriteTransport.writelines`.
    fn writelines(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        let joined = pyo3::types::PyBytes::new(slf.py(), b"").call_method1("join", (list_of_data,))?;
        slf.call_method1("write", (joined,)).map(drop)
    }

    /// Close after everything written has been taken: a pipe ends by being closed. Corresponds to
    /// `asyncio.WriteTransport.write_eof`.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let empty = slf
            .get()
            .state
            .with(slf.py(), |state| !std::mem::replace(&mut state.base.closing, true) && state.refused.is_empty());
        if empty { schedule_end(slf, None) } else { Ok(()) }
    }

    /// True: a pipe's end can be written. Corresponds to `asyncio.WriteTransport.can_write_eof`.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Raises NotImplementedError, as asyncio's does: nothing is read here.
    fn pause_reading(&self) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(()))
    }

    /// Raises NotImplementedError.
    fn resume_reading(&self) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(()))
    }

    /// Raises NotImplementedError.
    fn is_reading(&self) -> PyResult<bool> {
        Err(PyNotImplementedError::new_err(()))
    }

    /// Bytes that the kernel has refused so far. Corresponds to `asyncio.WriteTransport.get_write_buffer_size`.
    fn get_write_buffer_size(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.refused.len_bytes())
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

    /// Close after everything written has been taken. Corresponds to `asyncio.BaseTransport.close`.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::write_eof(slf)
    }

    /// Close at once; what the kernel has refused so far is lost. Corresponds to `asyncio.WriteTransport.abort`.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::end_at_once(slf, None)
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.BaseTransport.is_closing`.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.base.closing)
    }

    /// Give the pipe to another protocol. Corresponds to `asyncio.BaseTransport.set_protocol`.
    fn set_protocol(&self, py: Python<'_>, protocol: Py<PyAny>) {
        drop(self.state.with(py, |state| state.base.protocol.replace(Some(protocol))));
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
        Self::fail(slf, PyErr::from_value(exc.clone()), message)
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
    fn _conn_lost(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.lost_writes)
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.protocol_paused)
    }

    #[getter]
    fn _buffer<'py>(&self, py: Python<'py>) -> Bound<'py, PyByteArray> {
        let refused = self.state.with(py, |state| {
            let mut chunks = Vec::new();
            state.refused.chunks(&mut chunks, usize::MAX);
            chunks.concat()
        });
        PyByteArray::new(py, &refused)
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.state.with(py, |state| state.base.extra.cloned(py))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let (polling, size) = slf.get().state.with(slf.py(), |state| {
            (state.base.token.is_some() && state.interest().writable, state.refused.len_bytes())
        });
        shown(slf, "WritePipeTransport", polling, &format!(" bufsize={size}"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.base.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), |state| (state.base.take_contents(), state.refused.drain())));
    }
}
