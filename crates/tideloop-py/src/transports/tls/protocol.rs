//! `TlsProtocol`: the Python surface of what stands between a transport and a TLS connection's protocol.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::TlsTransport;
use super::engine::Engine;
use super::lower::Lower;
use super::state::{Phase, State, Told};
use crate::cell::{Cell, Slot};
use crate::event_loop::EventLoop;
use crate::slots::{self, Slotted};
use crate::transports::lifecycle::Receiver;

/// TLS over a transport, for a protocol; made by `create_connection`, servers and `start_tls`. Corresponds to
/// `asyncio.sslproto.SSLProtocol`.
#[pyclass(frozen, weakref, module = "tideloop._native")]
pub struct TlsProtocol {
    pub(super) state: Cell<State>,
}

impl Slotted for TlsProtocol {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

impl TlsProtocol {
    /// A connection of nobody.
    pub(super) fn blank() -> Self {
        Self { state: Cell::new(State::blank()) }
    }

    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, EventLoop>> {
        let event_loop = self.state.with(py, |state| state.event_loop.cloned(py));
        event_loop
            .map(|event_loop| event_loop.into_bound(py))
            .ok_or_else(|| PyRuntimeError::new_err("the TLS protocol has no event loop"))
    }

    /// The context that the program's protocol is called in: that of the connection below.
    pub(super) fn call_context(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.lower(py).map_or(Ok(None), |lower| lower.context())
    }

    pub(super) fn lower<'py>(&self, py: Python<'py>) -> Option<Lower<'py>> {
        let lower = self.state.with(py, |state| if state.lost { None } else { state.lower.cloned(py) });
        lower.map(|lower| Lower::of(lower.into_bound(py)))
    }

    #[inline]
    pub(super) fn engine(&self, py: Python<'_>) -> PyResult<Arc<Engine>> {
        let engine = self.state.with(py, |state| state.engine.as_ref().map(Arc::clone));
        engine.ok_or_else(|| PyRuntimeError::new_err("the TLS protocol has no connection"))
    }

    pub(super) fn phase(&self, py: Python<'_>) -> Phase {
        self.state.with(py, |state| state.phase)
    }

    /// Gives what arrives to another protocol, plain or buffered.
    pub(super) fn set_app(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let receiver = Receiver::of(protocol)?;
        let wanted = protocol.clone().unbind();
        let old = self.state.with(protocol.py(), |state| {
            state.receiver = receiver;
            state.app.replace(Some(wanted))
        });
        drop(old);
        Ok(())
    }

    /// `get_extra_info()`.
    pub(super) fn extra_info<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let (shaken, context, lower) =
            self.state.with(py, |state| (state.shaken, state.context.cloned(py), state.lower.cloned(py)));
        let wanted = name.extract::<&str>().unwrap_or_default();
        if wanted == "sslcontext" {
            return Ok(context.into_pyobject(py)?);
        }
        if let (true, Ok(engine)) = (shaken, self.engine(py)) {
            let object = engine.object(py);
            match wanted {
                "ssl_object" => return Ok(object.clone()),
                "peercert" => return object.call_method0(intern!(py, "getpeercert")),
                "cipher" => return object.call_method0(intern!(py, "cipher")),
                "compression" => return object.call_method0(intern!(py, "compression")),
                _ => {}
            }
        }
        match lower {
            Some(lower) => lower.bind(py).call_method1(intern!(py, "get_extra_info"), (name, default)),
            None => Ok(default.cloned().unwrap_or_else(|| py.None().into_bound(py))),
        }
    }
}

impl Drop for TlsProtocol {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

#[pymethods]
impl TlsProtocol {
    #[new]
    #[pyo3(signature = (r#loop, app_protocol, sslcontext, waiter, server_side, server_hostname, call_connection_made,
                        ssl_handshake_timeout, ssl_shutdown_timeout))]
    #[allow(clippy::too_many_arguments)]
    fn new<'py>(
        r#loop: &Bound<'py, EventLoop>,
        app_protocol: &Bound<'py, PyAny>,
        sslcontext: &Bound<'py, PyAny>,
        waiter: Option<&Bound<'py, PyAny>>,
        server_side: bool,
        server_hostname: Option<&Bound<'py, PyAny>>,
        call_connection_made: bool,
        ssl_handshake_timeout: &Bound<'py, PyAny>,
        ssl_shutdown_timeout: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = r#loop.py();
        let server_hostname = match server_hostname {
            Some(name) if !server_side && name.is_truthy()? => Some(name),
            _ => None,
        };
        let engine = Engine::new(sslcontext, server_side, server_hostname)?;
        let mut state = State::blank();
        state.event_loop = Slot::holding(r#loop.clone().unbind());
        state.waiter = Slot::maybe(waiter.map(|waiter| waiter.clone().unbind()));
        state.context = Slot::holding(sslcontext.clone().unbind());
        state.handshake_timeout = Slot::holding(ssl_handshake_timeout.clone().unbind());
        state.shutdown_timeout = Slot::holding(ssl_shutdown_timeout.clone().unbind());
        state.server_hostname = Slot::maybe(server_hostname.map(|name| name.clone().unbind()));
        state.engine = Some(Arc::new(engine));
        state.server_side = server_side;
        state.told = if call_connection_made { Told::Nothing } else { Told::Made };
        let this = slots::create(py, Self { state: Cell::new(state) })?;
        this.get().set_app(app_protocol)?;
        let transport = slots::create(py, TlsTransport::of(this.clone().unbind()))?.unbind();
        drop(this.get().state.with(py, |state| state.transport.replace(Some(transport))));
        Ok(this)
    }

    /// The transport below is there: begin the handshake.
    fn connection_made(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let lower = transport.clone().unbind();
        drop(slf.get().state.with(slf.py(), |state| state.lower.replace(Some(lower))));
        Self::begin_handshake(slf)
    }

    /// The transport below is gone.
    #[pyo3(signature = (exc))]
    fn connection_lost(slf: &Bound<'_, Self>, exc: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::lose(slf, exc)
    }

    /// Ciphertext has come: from any transport but our own sockets, which bring it themselves.
    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::receive_object(slf, data)
    }

    /// No more ciphertext will come.
    fn eof_received(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::end_of_stream(slf)
    }

    /// The transport below is full.
    fn pause_writing(&self, py: Python<'_>) {
        self.state.with(py, |state| state.lower_writing_paused = true);
    }

    /// The transport below takes more.
    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.with(slf.py(), |state| state.lower_writing_paused = false);
        Self::flush_and_go_on(slf)
    }

    /// Ciphertext that somebody has read from the transport already, before the handshake.
    fn _feed(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::keep_object(slf, data)
    }

    fn _check_handshake_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::handshake_timed_out(slf)
    }

    fn _check_shutdown_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::shutdown_timed_out(slf)
    }

    fn _start_shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::begin_shutdown(slf)
    }

    #[pyo3(signature = (exc=None))]
    fn _abort(slf: &Bound<'_, Self>, exc: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        Self::abort(slf, exc)
    }

    #[pyo3(signature = (name, default=None))]
    fn _get_extra_info<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.extra_info(name, default)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.state.with(py, |state| state.event_loop.cloned(py))
    }

    #[getter]
    fn _transport(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| if state.lost { None } else { state.lower.cloned(py) })
    }

    #[getter]
    fn _app_transport(&self, py: Python<'_>) -> Option<Py<TlsTransport>> {
        self.state.with(py, |state| state.transport.cloned(py))
    }

    #[getter]
    fn _app_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.app.cloned(py))
    }

    #[getter]
    fn _sslobj<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.engine(py)?.object(py).clone())
    }

    #[getter]
    fn _sslcontext(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.context.cloned(py))
    }

    #[getter]
    fn _server_side(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.server_side)
    }

    #[getter]
    fn _server_hostname(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.server_hostname.cloned(py))
    }

    #[getter]
    fn _state(&self, py: Python<'_>) -> &'static str {
        match self.phase(py) {
            Phase::Unwrapped => "UNWRAPPED",
            Phase::Handshake => "DO_HANDSHAKE",
            Phase::Wrapped => "WRAPPED",
            Phase::Flushing => "FLUSHING",
            Phase::Shutdown => "SHUTDOWN",
        }
    }

    /// Whether bytes go through OpenSSL directly, not through memory BIOs.
    #[getter]
    fn _direct(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.engine(py)?.is_direct())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let (side, phase) = (if this._server_side(slf.py()) { "server" } else { "client" }, this._state(slf.py()));
        match this.lower(slf.py()) {
            Some(lower) => Ok(format!("<TlsProtocol {side} {phase} over {}>", lower.as_any().repr()?)),
            None => Ok(format!("<TlsProtocol {side} {phase}>")),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), State::take_contents);
        drop(contents);
    }
}
