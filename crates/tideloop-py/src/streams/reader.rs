//! `StreamReader`: bytes from a transport to whoever reads them.
//!
//! One coroutine at a time waits, on a future that feeding finishes; what was fed stays in the buffer until a step of
//! that coroutine takes it, so a cancelled read loses nothing. The transport is paused while more than twice the limit
//! is unread, and resumed when no more than the limit is, or somebody waits.

use pyo3::exceptions::{PyAssertionError, PyNotImplementedError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use super::buffer::{self, Buffer};
use crate::cell::{Cell, Slot};
use crate::names;
use crate::slots::classes::exact_future;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::task::Future;

/// asyncio's default limit, in bytes.
pub(super) const LIMIT_DEFAULT: isize = 64 * 1024;

/// A reader without its Python methods.
pub(super) struct State {
    pub buffer: Buffer,
    /// Bytes; see [`Rare::limit`].
    pub limit: isize,
    pub eof: bool,
    /// The transport has been told to pause.
    pub paused: bool,
    pub event_loop: LoopSlot,
    /// The future of who waits.
    pub waiter: Slot,
    pub exception: Slot,
    pub transport: Slot,
    pub rare: Option<Box<Rare>>,
}

/// What most readers never have.
#[derive(Default)]
pub(super) struct Rare {
    /// The limit that was set, where it is no int that fits: infinity, say.
    pub limit: Option<Py<PyAny>>,
    /// In debug mode: where the reader was made.
    pub source_traceback: Option<Py<PyAny>>,
}

/// The native half of `tideloop.StreamReader`.
///
/// Corresponds to `asyncio.StreamReader`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct StreamReader {
    pub(super) state: Cell<State>,
}

/// What feeding a reader calls for; see [`StreamReader::act_on`].
#[must_use = "who waits has to be woken"]
pub struct Fed(Then);

enum Then {
    Act {
        waiter: Option<Py<PyAny>>,
        transport_to_pause: Option<Py<PyAny>>,
        settled: Option<Py<PyBytes>>,
    },
    /// The buffer is a `bytearray`; these bytes are still to be added.
    Add(Vec<u8>),
    /// Nothing may come after the end.
    Refuse,
}

impl StreamReader {
    /// A reader whose `__init__` has not run.
    pub(super) fn blank() -> Self {
        Self {
            state: Cell::new(State {
                buffer: Buffer::EMPTY,
                limit: LIMIT_DEFAULT,
                eof: false,
                paused: false,
                event_loop: LoopSlot::EMPTY,
                waiter: Slot::EMPTY,
                exception: Slot::EMPTY,
                transport: Slot::EMPTY,
                rare: None,
            }),
        }
    }

    /// Whether its methods are ours, and nobody's who derived a class.
    #[inline]
    pub(super) fn is_exact(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let class = slf.get_type();
        Ok(class.is(names::stream_reader_class(slf.py())?) || class.is(slf.py().get_type::<Self>()))
    }

    /// Adds what has arrived, which is not nothing, and says what follows from it. Runs no Python and drops no object, so
    /// that it may be called while the memory that `data` lies in is borrowed.
    ///
    /// Together with [`Self::act_on`] it is `StreamReader.feed_data`.
    #[inline]
    pub fn take_in(slf: &Bound<'_, Self>, data: &[u8]) -> Fed {
        let py = slf.py();
        buffer::with_spare(py, |spare| {
            slf.get().state.with(py, |state| {
                if state.eof {
                    return Fed(Then::Refuse);
                }
                if state.buffer.exposed.is_some() {
                    return Fed(Then::Add(data.to_vec()));
                }
                let waiter = state.waiter.take();
                let settled = if waiter.is_some() && state.buffer.is_for_a_read(data) {
                    state.buffer.fresh.replace(Some(PyBytes::new(py, data).unbind()))
                } else {
                    let settled = state.buffer.settle(py, spare);
                    state.buffer.native.push(data, spare);
                    settled
                };
                let transport_to_pause = state.transport_to_pause(py, state.buffer.len(py));
                Fed(Then::Act { waiter, transport_to_pause, settled })
            })
        })
    }

    /// Wakes who waits, pauses the transport if too much is unread; `AssertionError` if the end was announced before.
    #[inline]
    pub fn act_on(slf: &Bound<'_, Self>, fed: Fed) -> PyResult<()> {
        let py = slf.py();
        let (waiter, transport_to_pause) = match fed.0 {
            Then::Act { waiter, transport_to_pause, settled } => {
                drop(settled);
                (waiter, transport_to_pause)
            }
            Then::Refuse => return Err(PyAssertionError::new_err("feed_data after feed_eof")),
            Then::Add(data) => {
                buffer::append(slf, &data)?;
                let len = buffer::len(slf);
                slf.get().state.with(py, |state| (state.waiter.take(), state.transport_to_pause(py, len)))
            }
        };
        if let Some(waiter) = waiter {
            wake(waiter.into_bound(py))?;
        }
        match transport_to_pause {
            None => Ok(()),
            Some(transport) => Self::pause(slf, transport.bind(py)),
        }
    }

    /// `StreamReader.feed_data`.
    pub(super) fn feed(slf: &Bound<'_, Self>, data: &[u8]) -> PyResult<()> {
        if data.is_empty() && !slf.get().state.with(slf.py(), |state| state.eof) {
            return Ok(());
        }
        Self::act_on(slf, Self::take_in(slf, data))
    }

    /// No more will arrive: `StreamReader.feed_eof`.
    pub fn end(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.with(slf.py(), |state| state.eof = true);
        Self::wake_waiter(slf)
    }

    /// The exception that reads raise.
    pub fn exception_native(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.exception.cloned(py))
    }

    #[cold]
    fn pause(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        match transport.call_method0(intern!(py, "pause_reading")) {
            Ok(_) => {
                slf.get().state.with(py, |state| state.paused = true);
                Ok(())
            }
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                // It cannot be paused; there is no use in asking again.
                drop(slf.get().state.with(py, |state| state.transport.take()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// From now on all reads raise `exception`: `StreamReader.set_exception`.
    pub fn fail(slf: &Bound<'_, Self>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let kept = (!exception.is_none()).then(|| exception.clone().unbind());
        let (old, waiter) = slf.get().state.with(py, |state| (state.exception.replace(kept), state.waiter.take()));
        drop(old);
        let Some(waiter) = waiter else { return Ok(()) };
        let waiter = waiter.into_bound(py);
        match exact_future(&waiter) {
            Some(native) if native.get().is_cancelled(py) => Ok(()),
            Some(native) => Future::fail(native, exception),
            None if waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? => Ok(()),
            None => waiter.call_method1(intern!(py, "set_exception"), (exception,)).map(drop),
        }
    }

    /// Wakes who waits, if anybody does.
    pub(super) fn wake_waiter(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.waiter.take()) {
            Some(waiter) => wake(waiter.into_bound(py)),
            None => Ok(()),
        }
    }

    /// Lets the transport go on, if it was paused and enough has been read.
    pub(super) fn resume_if_low(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (paused, limit) = slf.get().state.with(slf.py(), |state| (state.paused, state.limit));
        if paused && buffer::len(slf) as isize <= limit { Self::resume(slf) } else { Ok(()) }
    }

    /// Lets the transport go on.
    #[cold]
    pub(super) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let transport = slf.get().state.with(py, |state| {
            state.paused = false;
            state.transport.cloned(py)
        });
        let transport = transport.map_or_else(|| py.None().into_bound(py), |transport| transport.into_bound(py));
        transport.call_method0(intern!(py, "resume_reading")).map(drop)
    }

    /// The loop that it was made for.
    pub(super) fn event_loop<'py>(slf: &Bound<'py, Self>) -> Option<LoopRef<'py>> {
        slf.get().state.with(slf.py(), |state| state.event_loop.get(slf.py()))
    }
}

impl State {
    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The transport, if with `len` bytes unread it has to be paused now.
    #[inline]
    fn transport_to_pause(&self, py: Python<'_>, len: usize) -> Option<Py<PyAny>> {
        let too_much = len as isize > self.limit.saturating_mul(2);
        if too_much && !self.paused { self.transport.cloned(py) } else { None }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.buffer.visit(visit)?;
        self.event_loop.visit(visit)?;
        self.waiter.visit(visit)?;
        self.exception.visit(visit)?;
        self.transport.visit(visit)?;
        let Some(rare) = &self.rare else { return Ok(()) };
        visit.call(&rare.limit)?;
        visit.call(&rare.source_traceback)
    }

    /// Everything that is a Python object.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        let objects = [self.event_loop.take(), self.waiter.take(), self.exception.take(), self.transport.take()];
        (objects, self.buffer.exposed.take(), self.buffer.fresh.take(), self.rare.take())
    }
}

/// Ends the wait of who waits, if it was not cancelled.
#[inline]
fn wake(waiter: Bound<'_, PyAny>) -> PyResult<()> {
    let py = waiter.py();
    match exact_future(&waiter) {
        Some(native) if native.get().is_cancelled(py) => Ok(()),
        Some(native) => Future::finish(native, py.None().into_bound(py)),
        None if waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? => Ok(()),
        None => waiter.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop),
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}
