//! `StreamReaderProtocol`: what a transport tells, for a `StreamReader` and the writers that wait.
//!
//! Where nobody has overridden anything our own transports bring their bytes straight to the reader: see
//! [`StreamReaderProtocol::receive`]. All other callbacks are methods that a transport calls as any protocol's.

use pyo3::exceptions::{PyConnectionResetError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};

use super::StreamReader;
use super::plain;
use crate::cell::{Cell, Slot};
use crate::coroutine::waiter;
use crate::names;
use crate::slots;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::task::{self, Future, WaitReason};

/// Whether the connection is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    No,
    Clean,
    Failed,
}

/// A protocol without its Python methods.
pub(super) struct State {
    pub event_loop: LoopSlot,
    /// A weak reference to the reader.
    pub reader: Slot,
    /// The reader of a server's connection, until that is there.
    pub strong_reader: Slot,
    pub client_connected_cb: Slot,
    pub task: Slot,
    pub transport: Slot,
    pub rare: Option<Box<Rare>>,
    pub loss: Loss,
    /// Nobody has overridden what the reader does with what arrives.
    pub plain_reader: bool,
    pub paused: bool,
    pub over_tls: bool,
    pub reject_connection: bool,
}

/// What an idle connection has none of.
pub(super) struct Rare {
    /// Done when the connection is lost; made when somebody asks for it.
    pub closed: Slot<Future>,
    /// What was lost with the connection.
    pub error: Slot,
    pub source_traceback: Slot,
    pub stream_writer: Slot,
    /// Those who wait in `drain()`, in their order.
    pub drain_waiters: Vec<Py<Future>>,
}

/// Adapts a stream connection to a `StreamReader`.
///
/// Corresponds to `asyncio.StreamReaderProtocol`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct StreamReaderProtocol {
    pub(super) state: Cell<State>,
}

impl State {
    pub const fn blank() -> Self {
        Self {
            event_loop: LoopSlot::EMPTY,
            reader: Slot::EMPTY,
            strong_reader: Slot::EMPTY,
            client_connected_cb: Slot::EMPTY,
            task: Slot::EMPTY,
            transport: Slot::EMPTY,
            rare: None,
            loss: Loss::No,
            plain_reader: false,
            paused: false,
            over_tls: false,
            reject_connection: false,
        }
    }

    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                closed: Slot::EMPTY,
                error: Slot::EMPTY,
                source_traceback: Slot::EMPTY,
                stream_writer: Slot::EMPTY,
                drain_waiters: Vec::new(),
            })
        })
    }

    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        let objects = [
            self.reader.take(),
            self.strong_reader.take(),
            self.client_connected_cb.take(),
            self.task.take(),
            self.transport.take(),
        ];
        (self.event_loop.take(), objects, self.take_rare())
    }

    #[must_use = "drop it outside of the cell"]
    fn take_rare(&mut self) -> impl Sized + use<> {
        let rare = self.rare.take();
        rare.map(|mut rare| {
            let objects = [rare.error.take(), rare.source_traceback.take(), rare.stream_writer.take()];
            (rare.closed.take(), objects, std::mem::take(&mut rare.drain_waiters))
        })
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.visit(visit)?;
        let slots = [&self.reader, &self.strong_reader, &self.client_connected_cb, &self.task, &self.transport];
        slots.into_iter().try_for_each(|slot| slot.visit(visit))?;
        let Some(rare) = &self.rare else { return Ok(()) };
        rare.closed.visit(visit)?;
        [&rare.error, &rare.source_traceback, &rare.stream_writer]
            .into_iter()
            .try_for_each(|slot| slot.visit(visit))?;
        rare.drain_waiters.iter().try_for_each(|waiter| visit.call(waiter))
    }
}

impl StreamReaderProtocol {
    /// Bytes have come, at least one, to a protocol that [`plain::receives_plainly`]; in `context`, or
    /// where there is none in that which runs, if a method of somebody else's is called.
    #[inline]
    pub fn receive(slf: &Bound<'_, Self>, data: &[u8], context: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let Some(reader) = slf.get().reader(py) else { return Ok(()) };
        let plain = slf.get().state.with(py, |state| state.plain_reader);
        match reader.cast::<StreamReader>() {
            Ok(reader) if plain => StreamReader::feed(reader, data),
            _ => match context {
                Some(context) => slots::in_context(context, || feed_others(&reader, data))?,
                None => feed_others(&reader, data),
            },
        }
    }

    /// The reader, if it is still there.
    #[inline]
    pub(super) fn reader<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let reference = self.state.with(py, |state| state.reader.cloned(py))?;
        reference.bind(py).cast_exact::<PyWeakrefReference>().ok()?.upgrade()
    }

    /// The loop, or `RuntimeError` where `__init__` has not run.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<LoopRef<'py>> {
        self.state
            .with(py, |state| state.event_loop.get(py))
            .ok_or_else(|| PyRuntimeError::new_err("StreamReaderProtocol.__init__ was not called"))
    }

    /// Whether whoever writes has to wait; `ConnectionResetError` where there is no connection any more.
    #[inline]
    pub(super) fn must_wait(&self, py: Python<'_>) -> PyResult<bool> {
        let (loss, paused) = self.state.with(py, |state| (state.loss, state.paused));
        if loss == Loss::No { Ok(paused) } else { Err(PyConnectionResetError::new_err("Connection lost")) }
    }

    /// Makes a future that is done when writing resumes or the connection is lost; `leave` ends the wait.
    pub(super) fn enter_drain<'py>(slf: &Bound<'py, Self>, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Future>> {
        let py = slf.py();
        let future = waiter(py, &slf.get().event_loop(py)?, WaitReason::Drain, owner)?;
        let kept = future.clone().unbind();
        slf.get().state.with(py, |state| state.rare().drain_waiters.push(kept));
        Ok(future)
    }

    /// The end of a wait.
    pub(super) fn leave_drain(&self, future: &Bound<'_, Future>) {
        let left = self.state.with(future.py(), |state| {
            let waiters = &mut state.rare.as_mut()?.drain_waiters;
            let place = waiters.iter().position(|waiter| waiter.is(future))?;
            Some(waiters.remove(place))
        });
        drop(left);
    }

    pub(super) fn drain_waiters<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, Future>> {
        self.state.with(py, |state| {
            let waiters = state.rare.as_ref().map(|rare| rare.drain_waiters.iter());
            waiters.into_iter().flatten().map(|waiter| waiter.bind(py).clone()).collect()
        })
    }

    /// `_closed`: done when the connection is lost.
    pub(super) fn closed_future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Future>> {
        let py = slf.py();
        let kept = slf.get().state.with(py, |state| state.rare.as_ref().and_then(|rare| rare.closed.cloned(py)));
        if let Some(kept) = kept {
            return Ok(kept.into_bound(py));
        }
        let future = waiter(py, &slf.get().event_loop(py)?, WaitReason::Closing, slf.as_any())?;
        let (loss, error) =
            slf.get().state.with(py, |state| (state.loss, state.rare.as_ref().and_then(|rare| rare.error.cloned(py))));
        end_closed(&future, loss, error.as_ref().map(|error| error.bind(py)))?;
        let kept = future.clone().unbind();
        let before = slf.get().state.with(py, |state| state.rare().closed.replace(Some(kept)));
        drop(before);
        Ok(future)
    }

    /// Whether the connection is lost, and nothing is to be said of it.
    #[inline]
    pub(super) fn is_cleanly_closed(&self, py: Python<'_>) -> bool {
        self.state
            .with(py, |state| state.loss == Loss::Clean && state.rare.as_ref().is_none_or(|rare| rare.closed.is_none()))
    }

    /// Looks whether the reader's methods are ours.
    pub(super) fn set_reader(slf: &Bound<'_, Self>, reader: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let (reference, plain) = match reader {
            Some(reader) => {
                (Some(PyWeakrefReference::new(reader)?.into_any().unbind()), plain::is_plain_reader(reader)?)
            }
            None => (None, false),
        };
        let before = slf.get().state.with(py, |state| {
            state.plain_reader = plain;
            state.reader.replace(reference)
        });
        drop(before);
        Ok(())
    }

    pub(super) fn put(
        slf: &Bound<'_, Self>,
        value: Option<&Bound<'_, PyAny>>,
        slot: impl FnOnce(&mut State) -> &mut Slot,
    ) {
        let value = value.map(|value| value.clone().unbind());
        drop(slf.get().state.with(slf.py(), |state| slot(state).replace(value)));
    }

    pub(super) fn log(slf: &Bound<'_, Self>, text: &str) -> PyResult<()> {
        let py = slf.py();
        let event_loop = slf.get().event_loop(py)?;
        if task::is_debug(&event_loop)? {
            names::logger(py)?.call_method1(intern!(py, "debug"), (text, slf))?;
        }
        Ok(())
    }

    /// Somebody has given the connection up before it was there.
    #[cold]
    pub(super) fn reject(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let context = PyDict::new(py);
        context.set_item(
            intern!(py, "message"),
            "An open stream was garbage collected prior to establishing network connection; call \
             \"stream.close()\" explicitly.",
        )?;
        let source = slf.get()._source_traceback(py);
        if let Some(source) = source {
            context.set_item(intern!(py, "source_traceback"), source)?;
        }
        let event_loop = slf.get().event_loop(py)?.into_any();
        event_loop.call_method1(intern!(py, "call_exception_handler"), (context,))?;
        transport.call_method0(intern!(py, "abort")).map(drop)
    }
}

/// Gives the loss of the connection to the future; that nobody has looked at an error is no news.
pub(super) fn end_closed(future: &Bound<'_, Future>, loss: Loss, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = future.py();
    match (loss, error) {
        (Loss::No, _) => Ok(()),
        (Loss::Failed, Some(error)) => {
            Future::fail(future, error)?;
            future.get().exception_native(py).map(drop)
        }
        _ => Future::finish(future, py.None().into_bound(py)),
    }
}

impl Drop for StreamReaderProtocol {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

/// For a reader whose methods are somebody else's.
#[cold]
fn feed_others(reader: &Bound<'_, PyAny>, data: &[u8]) -> PyResult<()> {
    let py = reader.py();
    reader.call_method1(intern!(py, "feed_data"), (PyBytes::new(py, data),)).map(drop)
}
