//! `StreamWriter`: what a program writes to; it stands before a transport and keeps nothing itself.
//!
//! Where the transport is one of ours, and the protocol's and the reader's methods are ours, no Python is called between
//! `write()` and the transport, nor in `drain()`.

use pyo3::exceptions::{PyAssertionError, PyAttributeError, PyResourceWarning};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::draining::{DrainCall, WaitClosedCall};
use super::{StreamReader, StreamReaderProtocol, plain};
use crate::cell::{Cell, Slot};
use crate::names;
use crate::transports::{SocketTransport, TlsTransport};

struct State {
    transport: Slot,
    protocol: Slot,
    reader: Slot,
    event_loop: Slot,
    /// The protocol's way of waiting is ours.
    plain_protocol: bool,
    /// The reader says itself what has gone wrong.
    plain_reader: bool,
}

/// Writes to a transport.
///
/// Corresponds to `asyncio.StreamWriter`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct StreamWriter {
    state: Cell<State>,
}

impl State {
    const fn blank() -> Self {
        Self {
            transport: Slot::EMPTY,
            protocol: Slot::EMPTY,
            reader: Slot::EMPTY,
            event_loop: Slot::EMPTY,
            plain_protocol: false,
            plain_reader: false,
        }
    }

    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> impl Sized + use<> {
        (self.transport.take(), self.protocol.take(), self.reader.take(), self.event_loop.take())
    }
}

impl StreamWriter {
    #[inline]
    fn below<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.state.with(py, |state| state.transport.cloned(py)) {
            Some(transport) => Ok(transport.into_bound(py)),
            None => Err(PyAttributeError::new_err("'StreamWriter' object has no attribute '_transport'")),
        }
    }

    /// `write()`.
    #[inline]
    pub(crate) fn write_native(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let below = slf.get().below(slf.py())?;
        if let Ok(socket) = below.cast_exact::<SocketTransport>() {
            return SocketTransport::write_bytes(socket, data);
        }
        match below.cast_exact::<TlsTransport>() {
            Ok(tls) => tls.get().write_native(data),
            Err(_) => below.call_method1(intern!(slf.py(), "write"), (data,)).map(drop),
        }
    }

    /// `drain()`: a coroutine.
    #[inline]
    pub(crate) fn drain_native<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.plain_protocol) {
            return DrainCall::for_writer(slf).map(Bound::into_any);
        }
        names::drain_of_others(py)?.call1((slf,))
    }

    /// Raises what has ended the reader's stream.
    #[inline]
    pub(super) fn raise_exception_of_reader(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (reader, plain) = slf.get().state.with(py, |state| (state.reader.cloned(py), state.plain_reader));
        let Some(reader) = reader else { return Ok(()) };
        let reader = reader.bind(py);
        let exception = match reader.cast::<StreamReader>() {
            Ok(reader) if plain => reader.get().exception_native(py),
            _ => Some(reader.call_method0(intern!(py, "exception"))?.unbind()).filter(|found| !found.is_none(py)),
        };
        match exception {
            Some(exception) => Err(PyErr::from_value(exception.into_bound(py))),
            None => Ok(()),
        }
    }

    /// Whether the transport closes.
    #[inline]
    pub(super) fn below_is_closing(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let below = slf.get().below(slf.py())?;
        match below.cast_exact::<SocketTransport>() {
            Ok(socket) => Ok(socket.get().is_closing(slf.py())),
            Err(_) => below.call_method0(intern!(slf.py(), "is_closing"))?.is_truthy(),
        }
    }

    /// The protocol, where it is ours.
    #[inline]
    pub(super) fn native_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, StreamReaderProtocol>> {
        let protocol = self.state.with(py, |state| state.protocol.cloned(py))?;
        protocol.into_bound(py).cast_into::<StreamReaderProtocol>().ok()
    }

    fn pass<'py>(&self, py: Python<'py>, method: &str) -> PyResult<Bound<'py, PyAny>> {
        self.below(py)?.call_method0(method)
    }

    fn put(slf: &Bound<'_, Self>, value: Option<&Bound<'_, PyAny>>, slot: impl FnOnce(&mut State) -> &mut Slot) {
        let value = value.map(|value| value.clone().unbind());
        drop(slf.get().state.with(slf.py(), |state| slot(state).replace(value)));
    }

    /// Nobody has closed it, and nobody can any more.
    #[cold]
    fn end_unclosed(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let event_loop = slf.get().state.with(py, |state| state.event_loop.cloned(py));
        let is_closed = match event_loop {
            Some(event_loop) => event_loop.bind(py).call_method0(intern!(py, "is_closed"))?.is_truthy()?,
            None => true,
        };
        let text = if is_closed {
            "loop is closed".to_owned()
        } else {
            slf.call_method0(intern!(py, "close"))?;
            format!("unclosed {}", slf.repr()?)
        };
        names::warn(py)?.call1((text, py.get_type::<PyResourceWarning>())).map(drop)
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

#[pymethods]
impl StreamWriter {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(State::blank()) }
    }

    fn __init__(
        slf: &Bound<'_, Self>,
        transport: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        reader: Option<&Bound<'_, PyAny>>,
        r#loop: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::put(slf, Some(transport), |state| &mut state.transport);
        Self::set_protocol(slf, protocol)?;
        if let Some(reader) = reader
            && !reader.is_instance(names::stock_stream_reader(slf.py())?)?
        {
            return Err(PyAssertionError::new_err(()));
        }
        Self::set_reader(slf, reader)?;
        Self::put(slf, Some(r#loop), |state| &mut state.event_loop);
        Ok(())
    }

    /// The transport that is written to.
    #[getter]
    fn transport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.below(py)
    }

    /// Write every bytes-like object of an iterable, without waiting. Corresponds to `asyncio.StreamWriter.writelines`.
    fn writelines(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        self.below(py)?.call_method1(intern!(py, "writelines"), (data,)).map(drop)
    }

    /// Close the writing half after everything written is sent. Corresponds to `asyncio.StreamWriter.write_eof`.
    fn write_eof<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(py, "write_eof")
    }

    /// Whether the connection can be closed by halves. Corresponds to `asyncio.StreamWriter.can_write_eof`.
    fn can_write_eof<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(py, "can_write_eof")
    }

    /// Close the connection after everything written is sent. Corresponds to `asyncio.StreamWriter.close`.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(py, "close")
    }

    /// Whether it is closed or will be. Corresponds to `asyncio.StreamWriter.is_closing`.
    fn is_closing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(py, "is_closing")
    }

    /// Wait until the connection is closed; raises what has ended it. Corresponds to
    /// `asyncio.StreamWriter.wait_closed`.
    fn wait_closed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let plain = slf.get().state.with(py, |state| state.plain_protocol);
        match slf.get().native_protocol(py) {
            Some(protocol) if plain => WaitClosedCall::of(&protocol).map(Bound::into_any),
            _ => names::wait_closed_of_others(py)?.call1((slf,)),
        }
    }

    /// What the transport knows by a name. Corresponds to `asyncio.StreamWriter.get_extra_info`.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        &self,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        self.below(py)?.call_method1(intern!(py, "get_extra_info"), (name, default))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let below = slf.get().below(py)?.repr()?;
        let class = slf.get_type().name()?;
        match slf.get()._reader(py) {
            Some(reader) => Ok(format!("<{class} transport={below} reader={}>", reader.bind(py).repr()?)),
            None => Ok(format!("<{class} transport={below}>")),
        }
    }

    /// Nobody can close it any more.
    fn __del__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let open = slf.get().state.with(slf.py(), |state| state.transport.is_some());
        if !open || Self::below_is_closing(slf)? { Ok(()) } else { Self::end_unclosed(slf) }
    }

    #[getter]
    fn _transport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.below(py)
    }

    #[setter(_transport)]
    fn set_transport(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) {
        Self::put(slf, Some(transport), |state| &mut state.transport);
    }

    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.protocol.cloned(py))
    }

    #[setter(_protocol)]
    fn set_protocol(slf: &Bound<'_, Self>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let plain = plain::drains_plainly(protocol)?;
        slf.get().state.with(slf.py(), |state| state.plain_protocol = plain);
        Self::put(slf, Some(protocol), |state| &mut state.protocol);
        Ok(())
    }

    #[getter]
    fn _reader(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.reader.cloned(py))
    }

    #[setter(_reader)]
    fn set_reader(slf: &Bound<'_, Self>, reader: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let plain = reader.map_or(Ok(false), plain::is_plain_reader)?;
        slf.get().state.with(slf.py(), |state| state.plain_reader = plain);
        Self::put(slf, reader, |state| &mut state.reader);
        Ok(())
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.event_loop.cloned(py))
    }

    #[setter(_loop)]
    fn set_loop(slf: &Bound<'_, Self>, event_loop: &Bound<'_, PyAny>) {
        Self::put(slf, Some(event_loop), |state| &mut state.event_loop);
    }

    /// A future that is done.
    #[getter]
    fn _complete_fut<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(event_loop) = self._loop(py) else {
            return Err(PyAttributeError::new_err("'StreamWriter' object has no attribute '_complete_fut'"));
        };
        event_loop.bind(py).call_method0(intern!(py, "create_future")).and_then(|future| {
            future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            Ok(future)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.transport.visit(&visit)?;
            state.protocol.visit(&visit)?;
            state.reader.visit(&visit)?;
            state.event_loop.visit(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), State::take_contents));
    }
}
