//! `TlsTransport`: what a TLS connection's protocol is given.

use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::water_marks::WaterMarks;

use super::TlsProtocol;
use crate::event_loop::EventLoop;
use crate::names;
use crate::slots::{self, Slotted};

/// asyncio's defaults, in bytes; the high mark is four times the low one.
const OUTGOING_HIGH_DEFAULT: i64 = 512 * 1024;
const INCOMING_HIGH_DEFAULT: i64 = 256 * 1024;
const HIGH_TO_LOW: i64 = 4;

/// A TLS connection; to isinstance one of asyncio's, which is an `asyncio.Transport`. Corresponds to the transport of asyncio's `sslproto`.
#[pyclass(frozen, weakref, module = "tideloop._native")]
pub struct TlsTransport {
    protocol: Py<TlsProtocol>,
}

impl Slotted for TlsTransport {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

impl TlsTransport {
    pub(super) fn of(protocol: Py<TlsProtocol>) -> Self {
        Self { protocol }
    }

    /// `write()`.
    #[inline]
    pub(crate) fn write_native(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        TlsProtocol::write(self.protocol.bind(data.py()), data)
    }

    /// The context that the connection was made in.
    pub(super) fn context(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.protocol.get().call_context(py)
    }
}

#[pymethods]
impl TlsTransport {
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        names::tls_transport_class(slf.py())
    }

    /// Write `data` (bytes, bytearray or memoryview) without waiting. Raises TypeError for anything else. Corresponds to
    /// `asyncio.WriteTransport.write`.
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        TlsProtocol::write(self.protocol.bind(data.py()), data)
    }

    /// Write every bytes-like object of an iterable. Corresponds to `asyncio.WriteTransport.writelines`.
    fn writelines(&self, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        TlsProtocol::write_lines(self.protocol.bind(list_of_data.py()), list_of_data)
    }

    /// Raises NotImplementedError: TLS has no half-closed connections. Corresponds to
    /// `asyncio.WriteTransport.write_eof`.
    fn write_eof(&self) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(()))
    }

    /// False: TLS has no half-closed connections. Corresponds to `asyncio.WriteTransport.can_write_eof`.
    fn can_write_eof(&self) -> bool {
        false
    }

    /// Bytes that have to wait. Corresponds to `asyncio.WriteTransport.get_write_buffer_size`.
    fn get_write_buffer_size(&self, py: Python<'_>) -> PyResult<usize> {
        self.protocol.get().write_buffer_size(py)
    }

    /// The water marks in bytes, as (low, high). Corresponds to `asyncio.WriteTransport.get_write_buffer_limits`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let marks = self.protocol.get().state.with(py, |state| state.outgoing_marks);
        (marks.low, marks.high)
    }

    /// Set the water marks in bytes; None for defaults. Raises ValueError unless high >= low >= 0. Corresponds to
    /// `asyncio.WriteTransport.set_write_buffer_limits`.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(&self, py: Python<'_>, high: Option<i64>, low: Option<i64>) -> PyResult<()> {
        let marks = water_marks(high, low, OUTGOING_HIGH_DEFAULT)?;
        let protocol = self.protocol.bind(py);
        // Bytes collected in this turn were written under the old limits, and count as tried.
        TlsProtocol::flush(protocol)?;
        protocol.get().state.with(py, |state| state.outgoing_marks = marks);
        TlsProtocol::control_app_writing(protocol)
    }

    /// The water marks of what has come and waits for `resume_reading`, in bytes, as (low, high).
    fn get_read_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let marks = self.protocol.get().state.with(py, |state| state.incoming_marks);
        (marks.low, marks.high)
    }

    /// Set the water marks of what has come and waits for `resume_reading`, in bytes; None for defaults. Raises
    /// ValueError unless high >= low >= 0.
    #[pyo3(signature = (high=None, low=None))]
    fn set_read_buffer_limits(&self, py: Python<'_>, high: Option<i64>, low: Option<i64>) -> PyResult<()> {
        let marks = water_marks(high, low, INCOMING_HIGH_DEFAULT)?;
        self.protocol.get().state.with(py, |state| state.incoming_marks = marks);
        TlsProtocol::control_lower_reading(self.protocol.bind(py))
    }

    /// Bytes that have come and wait for `resume_reading`.
    fn get_read_buffer_size(&self, py: Python<'_>) -> PyResult<usize> {
        self.protocol.get().kept_len(py)
    }

    /// Close after everything written is sent and both sides have said that they are done; read no more. Corresponds to
    /// `asyncio.BaseTransport.close`.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let protocol = self.protocol.bind(py);
        let (closed, contents) = protocol.get().state.with(py, |state| {
            state.forgotten |= state.closed;
            (state.closed, state.forget())
        });
        drop(contents);
        if closed {
            return Ok(());
        }
        TlsProtocol::begin_shutdown(protocol)?;
        protocol.get().state.with(py, |state| state.closed = true);
        Ok(())
    }

    /// Close at once; what has to wait is lost. Corresponds to `asyncio.WriteTransport.abort`.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        TlsProtocol::abort(self.protocol.bind(py), None)
    }

    #[pyo3(signature = (exc))]
    fn _force_close(&self, py: Python<'_>, exc: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        TlsProtocol::abort(self.protocol.bind(py), exc)
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.BaseTransport.is_closing`.
    fn is_closing(&self, py: Python<'_>) -> PyResult<bool> {
        let protocol = self.protocol.get();
        if protocol.state.with(py, |state| state.closed) {
            return Ok(true);
        }
        protocol.lower(py).map_or(Ok(false), |lower| lower.is_closing())
    }

    /// Whether bytes that arrive are received. Corresponds to `asyncio.ReadTransport.is_reading`.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.protocol.get().state.with(py, |state| !state.app_reading_paused)
    }

    /// Receive nothing until `resume_reading`. Corresponds to `asyncio.ReadTransport.pause_reading`.
    fn pause_reading(&self, py: Python<'_>) {
        self.protocol.get().pause_app_reading(py);
    }

    /// Receive again. Corresponds to `asyncio.ReadTransport.resume_reading`.
    fn resume_reading(&self, py: Python<'_>) -> PyResult<()> {
        TlsProtocol::resume_app_reading(self.protocol.bind(py))
    }

    /// Give the connection to another protocol, plain or buffered. Corresponds to
    /// `asyncio.BaseTransport.set_protocol`.
    fn set_protocol(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        self.protocol.get().set_app(protocol)
    }

    /// The protocol; None after `connection_lost`. Corresponds to `asyncio.BaseTransport.get_protocol`.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol.get().state.with(py, |state| state.app.cloned(py))
    }

    /// What is known by the name: 'ssl_object', 'sslcontext', 'peercert', 'cipher', 'compression', or what the transport
    /// below knows. Corresponds to `asyncio.BaseTransport.get_extra_info`.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.protocol.get().extra_info(name, default)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.protocol.get().state.with(py, |state| state.event_loop.cloned(py))
    }

    #[getter]
    fn _ssl_protocol(&self, py: Python<'_>) -> Py<TlsProtocol> {
        self.protocol.clone_ref(py)
    }

    #[getter]
    fn _closed(&self, py: Python<'_>) -> bool {
        self.protocol.get().state.with(py, |state| state.closed)
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.protocol.get().state.with(py, |state| state.app_writing_paused)
    }

    /// For tests: plaintext as if it had been written, and not been tried.
    #[pyo3(name = "_test__append_write_backlog")]
    fn append_write_backlog(&self, data: &Bound<'_, PyBytes>) {
        let segment = PyBackedBytes::from(data.clone());
        self.protocol.get().state.with(data.py(), |state| state.backlog.push(segment));
    }

    #[classattr]
    fn _start_tls_compatible() -> bool {
        true
    }

    #[classattr]
    fn _sendfile_compatible(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(names::sendfile_mode(py)?.getattr(intern!(py, "FALLBACK"))?.unbind())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let closing = if self.is_closing(py)? { " closing" } else { "" };
        match self.protocol.get().lower(py) {
            Some(lower) => Ok(format!("<TlsTransport{closing} over {}>", lower.as_any().repr()?)),
            None => Ok(format!("<TlsTransport{closing}>")),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.protocol)
    }
}

fn water_marks(high: Option<i64>, low: Option<i64>, high_default: i64) -> PyResult<WaterMarks> {
    let high = high.unwrap_or_else(|| low.map_or(high_default, |low| low.saturating_mul(HIGH_TO_LOW)));
    let low = low.unwrap_or_else(|| high.div_euclid(HIGH_TO_LOW));
    match (usize::try_from(high), usize::try_from(low)) {
        (Ok(high_mark), Ok(low_mark)) if high_mark >= low_mark => Ok(WaterMarks { high: high_mark, low: low_mark }),
        _ => Err(PyValueError::new_err(format!("high ({high}) must be >= low ({low}) must be >= 0"))),
    }
}
