//! What Python sees of a `StreamReaderProtocol`: asyncio's methods and attributes, private ones that programs use
//! included.

use pyo3::exceptions::PyAssertionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::StreamReaderProtocol;
use super::connected;
use super::draining::DrainCall;
use super::protocol::{Loss, State, end_closed};
use crate::cell::Cell;
use crate::names;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::task::Future;

#[pymethods]
impl StreamReaderProtocol {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(State::blank()) }
    }

    #[pyo3(signature = (stream_reader, client_connected_cb=None, r#loop=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        stream_reader: Option<&Bound<'_, PyAny>>,
        client_connected_cb: Option<&Bound<'_, PyAny>>,
        r#loop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let event_loop = match r#loop {
            Some(event_loop) => LoopRef::to(event_loop),
            None => LoopRef::to(&names::get_event_loop(py)?.call0()?),
        };
        let kept = LoopSlot::holding(&event_loop);
        let mut fresh = State::blank();
        fresh.event_loop = kept;
        let mut before = slf.get().state.with(py, |state| std::mem::replace(state, fresh));
        drop(before.take_contents());
        Self::set_reader(slf, stream_reader)?;
        if let Some(reader) = stream_reader {
            let source = reader.getattr(intern!(py, "_source_traceback"))?;
            if !source.is_none() {
                let source = Some(source.unbind());
                drop(slf.get().state.with(py, |state| state.rare().source_traceback.replace(source)));
            }
        }
        if client_connected_cb.is_some() {
            Self::put(slf, stream_reader, |state| &mut state.strong_reader);
        }
        Self::put(slf, client_connected_cb, |state| &mut state.client_connected_cb);
        Ok(())
    }

    /// The connection is there: calls the server's callback. Corresponds to
    /// `asyncio.StreamReaderProtocol.connection_made`.
    fn connection_made(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.reject_connection) {
            return Self::reject(slf, transport);
        }
        Self::put(slf, Some(transport), |state| &mut state.transport);
        let reader = slf.get().reader(py);
        if let Some(reader) = &reader {
            reader.call_method1(intern!(py, "set_transport"), (transport,))?;
        }
        let over_tls = is_over_tls(transport)?;
        let callback = slf.get().state.with(py, |state| {
            state.over_tls = over_tls;
            state.client_connected_cb.cloned(py)
        });
        match callback {
            Some(callback) => connected::call_back(slf, transport, reader, callback.bind(py)),
            None => Ok(()),
        }
    }

    /// Bytes have come. Corresponds to `asyncio.StreamReaderProtocol.data_received`.
    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().reader(py) {
            Some(reader) => reader.call_method1(intern!(py, "feed_data"), (data,)).map(drop),
            None => Ok(()),
        }
    }

    /// No more will come; whether the transport stays open for writing. Corresponds to
    /// `asyncio.StreamReaderProtocol.eof_received`.
    fn eof_received(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        if let Some(reader) = slf.get().reader(py) {
            reader.call_method0(intern!(py, "feed_eof"))?;
        }
        Ok(!slf.get().state.with(py, |state| state.over_tls))
    }

    /// The connection is lost: tells the reader, whoever waits for the end, and the writers, in this order. Corresponds
    /// to `asyncio.StreamReaderProtocol.connection_lost`.
    #[pyo3(signature = (exc))]
    fn connection_lost(slf: &Bound<'_, Self>, exc: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        if let Some(reader) = slf.get().reader(py) {
            match exc {
                None => reader.call_method0(intern!(py, "feed_eof"))?,
                Some(exc) => reader.call_method1(intern!(py, "set_exception"), (exc,))?,
            };
        }
        let closed = slf.get().state.with(py, |state| state.rare.as_ref().and_then(|rare| rare.closed.cloned(py)));
        let loss = if exc.is_some() { Loss::Failed } else { Loss::Clean };
        if let Some(closed) = closed
            && !closed.get().is_done(py)
        {
            end_closed(closed.bind(py), loss, exc)?;
        }
        let error = exc.map(|exc| exc.clone().unbind());
        let (before, paused) = slf.get().state.with(py, |state| {
            if state.loss == Loss::No {
                state.loss = loss;
                if error.is_some() {
                    return (state.rare().error.replace(error), state.paused);
                }
            }
            (None, state.paused)
        });
        drop(before);
        if paused {
            for waiter in slf.get().drain_waiters(py) {
                match exc {
                    _ if waiter.get().is_done(py) => {}
                    None => Future::finish(&waiter, py.None().into_bound(py))?,
                    Some(exc) => Future::fail(&waiter, exc)?,
                }
            }
        }
        let rest = slf.get().state.with(py, |state| {
            let writer = state.rare.as_mut().and_then(|rare| rare.stream_writer.take());
            (state.reader.take(), writer, state.task.take(), state.transport.take())
        });
        drop(rest);
        Ok(())
    }

    /// Writers have to wait. Corresponds to `asyncio.Protocol.pause_writing`.
    fn pause_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().state.with(slf.py(), |state| std::mem::replace(&mut state.paused, true)) {
            return Err(PyAssertionError::new_err(()));
        }
        Self::log(slf, "%r pauses writing")
    }

    /// Writers go on. Corresponds to `asyncio.Protocol.resume_writing`.
    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().state.with(py, |state| std::mem::replace(&mut state.paused, false)) {
            return Err(PyAssertionError::new_err(()));
        }
        Self::log(slf, "%r resumes writing")?;
        for waiter in slf.get().drain_waiters(py) {
            if !waiter.get().is_done(py) {
                Future::finish(&waiter, py.None().into_bound(py))?;
            }
        }
        Ok(())
    }

    fn _drain_helper<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, DrainCall>> {
        DrainCall::for_protocol(slf)
    }

    fn _get_close_waiter<'py>(slf: &Bound<'py, Self>, _stream: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Future>> {
        Self::closed_future(slf)
    }

    /// After `start_tls`.
    fn _replace_transport(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let over_tls = is_over_tls(transport)?;
        Self::put(slf, Some(transport), |state| &mut state.transport);
        slf.get().state.with(py, |state| state.over_tls = over_tls);
        #[cfg(Py_3_14)]
        if let Some(reader) = slf.get().reader(py) {
            reader.call_method1(intern!(py, "_replace_transport"), (transport,))?;
        }
        Ok(())
    }

    /// The same below 3.13, where it is given the writer.
    fn _replace_writer(slf: &Bound<'_, Self>, writer: &Bound<'_, PyAny>) -> PyResult<()> {
        let transport = writer.getattr(intern!(slf.py(), "transport"))?;
        let kept = Some(writer.clone().unbind());
        drop(slf.get().state.with(slf.py(), |state| state.rare().stream_writer.replace(kept)));
        Self::_replace_transport(slf, &transport)
    }

    /// Nothing is to be done: an error that ended the connection counts as seen from the start.
    fn __del__(&self) {}

    #[getter]
    fn _loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.event_loop(py)?.into_any())
    }

    #[setter(_loop)]
    fn set_loop(slf: &Bound<'_, Self>, event_loop: &Bound<'_, PyAny>) {
        let kept = LoopSlot::holding(&LoopRef::to(event_loop));
        let mut before = slf.get().state.with(slf.py(), |state| std::mem::replace(&mut state.event_loop, kept));
        drop(before.take());
    }

    #[getter]
    fn _stream_reader<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.reader(py)
    }

    #[getter]
    fn _stream_reader_wr(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.reader.cloned(py))
    }

    #[setter(_stream_reader_wr)]
    fn set_stream_reader_wr(slf: &Bound<'_, Self>, reference: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let reader = reference.map(|reference| reference.call0()).transpose()?;
        Self::set_reader(slf, reader.as_ref().filter(|reader| !reader.is_none()))
    }

    #[getter]
    fn _strong_reader(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.strong_reader.cloned(py))
    }

    #[setter(_strong_reader)]
    pub(super) fn set_strong_reader(slf: &Bound<'_, Self>, reader: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, reader, |state| &mut state.strong_reader);
    }

    #[getter]
    pub(super) fn _client_connected_cb(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.client_connected_cb.cloned(py))
    }

    #[setter(_client_connected_cb)]
    fn set_client_connected_cb(slf: &Bound<'_, Self>, callback: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, callback, |state| &mut state.client_connected_cb);
    }

    #[getter]
    fn _task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.task.cloned(py))
    }

    #[setter(_task)]
    pub(super) fn set_task(slf: &Bound<'_, Self>, task: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, task, |state| &mut state.task);
    }

    #[getter]
    fn _transport(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.transport.cloned(py))
    }

    #[setter(_transport)]
    fn set_transport(slf: &Bound<'_, Self>, transport: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, transport, |state| &mut state.transport);
    }

    #[getter]
    fn _stream_writer(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.rare.as_ref()?.stream_writer.cloned(py))
    }

    #[setter(_stream_writer)]
    fn set_stream_writer(slf: &Bound<'_, Self>, writer: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, writer, |state| &mut state.rare().stream_writer);
    }

    #[getter]
    pub(super) fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.rare.as_ref()?.source_traceback.cloned(py))
    }

    #[setter(_source_traceback)]
    fn set_source_traceback(slf: &Bound<'_, Self>, stack: Option<&Bound<'_, PyAny>>) {
        Self::put(slf, stack, |state| &mut state.rare().source_traceback);
    }

    #[getter]
    fn _closed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Future>> {
        Self::closed_future(slf)
    }

    #[getter]
    fn _drain_waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "collections"))?.call_method1(intern!(py, "deque"), (self.drain_waiters(py),))
    }

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, py: Python<'_>, paused: bool) {
        self.state.with(py, |state| state.paused = paused);
    }

    #[getter]
    fn _connection_lost(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.loss != Loss::No)
    }

    #[getter]
    fn _over_ssl(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.over_tls)
    }

    #[setter(_over_ssl)]
    fn set_over_ssl(&self, py: Python<'_>, over_tls: bool) {
        self.state.with(py, |state| state.over_tls = over_tls);
    }

    #[getter]
    fn _reject_connection(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.reject_connection)
    }

    #[setter(_reject_connection)]
    fn set_reject_connection(&self, py: Python<'_>, reject: bool) {
        self.state.with(py, |state| state.reject_connection = reject);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), State::take_contents));
    }
}

fn is_over_tls(transport: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = transport.py();
    Ok(!transport.call_method1(intern!(py, "get_extra_info"), (intern!(py, "sslcontext"),))?.is_none())
}
