//! `ReadCall`: the coroutine of `read`, `readline`, `readuntil`, `readexactly` and of `async for`.
//!
//! A step looks whether the buffer has what is wanted and takes it, or waits until the reader is fed. Bytes leave the
//! buffer in the step that returns them; those of `read()`, which have to leave it before, go back if it is cancelled.

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use super::request::{Circumstances, Request, Verdict};
use super::{StreamReader, buffer};
use crate::cell::{Cell, Slot};
use crate::coroutine::{self, Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::task::{Future, WaitReason};
use crate::{names, slots};

const FOUND: &str = "Separator is found, but chunk is longer than limit";
const NOT_FOUND: &str = "Separator is not found, and chunk exceed the limit";

struct State {
    reader: Slot<StreamReader>,
    request: Request,
    /// How far the buffer was searched for a separator.
    searched: usize,
}

/// A read of a `StreamReader`: a coroutine in all but its exact class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct ReadCall {
    life: Life,
    state: Cell<State>,
}

native_coroutine!(ReadCall);

/// What came of looking into the buffer.
enum Attempt<'py> {
    Done(Bound<'py, PyBytes>),
    Wait,
}

/// A verdict, with what was taken if it says so, and whether the transport may go on.
struct Looked<'py> {
    verdict: Verdict,
    taken: Option<Bound<'py, PyBytes>>,
    low: bool,
}

impl ReadCall {
    /// A read that nobody has stepped.
    #[inline]
    pub(super) fn create<'py>(reader: &Bound<'py, StreamReader>, request: Request) -> PyResult<Bound<'py, Self>> {
        let state = State { reader: Slot::holding(reader.clone().unbind()), request, searched: 0 };
        slots::coroutine::create(reader.py(), Self { life: Life::fresh(), state: Cell::new(state) })
    }

    #[inline]
    fn attempt<'py>(
        reader: &Bound<'py, StreamReader>,
        request: &mut Request,
        searched: &mut usize,
        woken: bool,
    ) -> PyResult<Attempt<'py>> {
        match request {
            Request::Wrong { text, .. } => return Err(PyValueError::new_err(*text)),
            Request::All(_) => return Self::attempt_all(reader, request, woken),
            _ => {}
        }
        if !woken {
            raise_exception(reader)?;
            if matches!(request, Request::Some(0) | Request::Exactly(0)) {
                return Ok(Attempt::Done(PyBytes::new(reader.py(), b"")));
            }
        }
        let Looked { verdict, taken, low } = look(reader, request, searched, woken)?;
        if let Some(taken) = taken {
            if low {
                StreamReader::resume(reader)?;
            }
            return Ok(Attempt::Done(taken));
        }
        match verdict {
            Verdict::Wait => Ok(Attempt::Wait),
            Verdict::Incomplete => incomplete(reader, request).map(Attempt::Done),
            Verdict::Overrun { consumed, found } => Err(overrun(reader, request, consumed, found)?),
            // Nothing that ends a stream was there.
            Verdict::Take(_) => Ok(Attempt::Done(PyBytes::new(reader.py(), b""))),
        }
    }

    /// `read()`: moves out what has come.
    fn attempt_all<'py>(
        reader: &Bound<'py, StreamReader>,
        request: &mut Request,
        mut woken: bool,
    ) -> PyResult<Attempt<'py>> {
        let py = reader.py();
        let Request::All(collected) = request else { return Ok(Attempt::Wait) };
        loop {
            if !woken {
                raise_exception(reader)?;
            }
            if buffer::len(reader) == 0 {
                if woken || reader.get().state.with(py, |state| state.eof) {
                    StreamReader::resume_if_low(reader)?;
                    return Ok(Attempt::Done(PyBytes::new(py, collected)));
                }
                return Ok(Attempt::Wait);
            }
            collected.extend_from_slice(&buffer::take_all(reader)?);
            StreamReader::resume_if_low(reader)?;
            woken = false;
        }
    }

    /// Waits to be fed.
    #[inline]
    fn wait<'py>(reader: &Bound<'py, StreamReader>, request: &Request) -> PyResult<Bound<'py, Future>> {
        let py = reader.py();
        let (occupied, paused) = reader.get().state.with(py, |state| (state.waiter.is_some(), state.paused));
        if occupied {
            return Err(PyRuntimeError::new_err(format!(
                "{}() called while another coroutine is already waiting for incoming data",
                request.waiting_method()
            )));
        }
        // To wait while the transport is paused would be to wait for ever.
        if paused {
            StreamReader::resume(reader)?;
        }
        let Some(event_loop) = StreamReader::event_loop(reader) else {
            return Err(PyRuntimeError::new_err("StreamReader object is not initialized."));
        };
        let future = coroutine::waiter(py, &event_loop, WaitReason::Stream, reader.as_any())?;
        let kept = Some(future.clone().into_any().unbind());
        let old = reader.get().state.with(py, |state| {
            state.buffer.wanted = if let Request::Some(count) = request { *count } else { 0 };
            state.waiter.replace(kept)
        });
        drop(old);
        Ok(future)
    }
}

impl NativeCoroutine for ReadCall {
    fn blank() -> Self {
        let state = State { reader: Slot::EMPTY, request: Request::Line, searched: 0 };
        Self { life: Life::ended(), state: Cell::new(state) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        self.state.with(py, |state| state.request.qualname())
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (reader, mut request, mut searched) =
            slf.get().state.with(py, |state| (state.reader.cloned(py), state.request.moved_out(), state.searched));
        let Some(reader) = reader else { return Ok(Stepped::Return(py.None().into_bound(py))) };
        let reader = reader.into_bound(py);
        let woken = match resumed {
            Resumed::Start => false,
            Resumed::Woken(future) => {
                no_longer_waits(&reader, future);
                true
            }
            Resumed::Thrown(exception, future) => {
                no_longer_waits(&reader, future);
                if let Request::All(collected) = request {
                    buffer::put_back(&reader, collected)?;
                }
                return Err(PyErr::from_value(exception));
            }
        };
        match Self::attempt(&reader, &mut request, &mut searched, woken)? {
            Attempt::Done(bytes) => {
                if matches!(request, Request::Next) && bytes.as_bytes().is_empty() {
                    return Err(PyStopAsyncIteration::new_err(()));
                }
                Ok(Stepped::Return(bytes.into_any()))
            }
            Attempt::Wait => {
                let future = Self::wait(&reader, &request)?;
                slf.get().state.with(py, |state| (state.request, state.searched) = (request, searched));
                Ok(Stepped::Wait(future))
            }
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.reader.visit(visit)).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        let (reader, request) = self.state.with(py, |state| (state.reader.take(), state.request.moved_out()));
        if let Some(reader) = reader {
            reader.drop_ref(py);
        }
        drop(request);
    }
}

/// Looks for what is wanted, and takes it if it is there.
#[inline]
fn look<'py>(
    reader: &Bound<'py, StreamReader>,
    request: &Request,
    searched: &mut usize,
    woken: bool,
) -> PyResult<Looked<'py>> {
    let py = reader.py();
    if let Request::Some(count) = request {
        let fresh = reader.get().state.with(py, |state| {
            let whole = state.buffer.fresh.as_ref().is_some_and(|fresh| fresh.as_bytes(py).len() <= *count);
            if whole { Some((state.buffer.fresh.take(), state.paused && state.limit >= 0)) } else { None }
        });
        if let Some((fresh, low)) = fresh {
            let taken = fresh.map(|fresh| fresh.into_bound(py));
            return Ok(Looked { verdict: Verdict::Take(*count), taken, low });
        }
    }
    buffer::settle(reader);
    let native = buffer::with_spare(py, |spare| {
        reader.get().state.with(py, |state| {
            if state.buffer.exposed.is_some() {
                return None;
            }
            let circumstances = Circumstances { eof: state.eof, limit: state.limit, woken };
            let verdict = request.judge(state.buffer.native.as_slice(), &circumstances, searched);
            let Verdict::Take(count) = verdict else { return Some(Looked { verdict, taken: None, low: false }) };
            let taken = buffer::first(py, state.buffer.native.as_slice(), count);
            state.buffer.native.consume(count, spare);
            let low = state.paused && state.buffer.native.len() as isize <= state.limit;
            Some(Looked { verdict, taken: Some(taken), low })
        })
    });
    match native {
        Some(looked) => Ok(looked),
        None => look_exposed(reader, request, searched, woken),
    }
}

#[cold]
fn look_exposed<'py>(
    reader: &Bound<'py, StreamReader>,
    request: &Request,
    searched: &mut usize,
    woken: bool,
) -> PyResult<Looked<'py>> {
    let py = reader.py();
    let circumstances =
        reader.get().state.with(py, |state| Circumstances { eof: state.eof, limit: state.limit, woken });
    let verdict = buffer::view(reader, |bytes| request.judge(bytes, &circumstances, searched))?;
    let Verdict::Take(count) = verdict else { return Ok(Looked { verdict, taken: None, low: false }) };
    let taken = Some(buffer::take(reader, count)?);
    let low = reader.get().state.with(py, |state| state.paused) && buffer::len(reader) as isize <= circumstances.limit;
    Ok(Looked { verdict, taken, low })
}

/// Raises the reader's exception, if it has one.
#[inline]
fn raise_exception(reader: &Bound<'_, StreamReader>) -> PyResult<()> {
    let py = reader.py();
    match reader.get().state.with(py, |state| state.exception.cloned(py)) {
        None => Ok(()),
        Some(exception) => Err(PyErr::from_value(exception.into_bound(py))),
    }
}

/// The read that waited on `future` goes on.
#[inline]
fn no_longer_waits(reader: &Bound<'_, StreamReader>, future: Option<Bound<'_, Future>>) {
    let old = reader.get().state.with(reader.py(), |state| {
        let ours = match (state.waiter.as_ref(), &future) {
            (Some(waiter), Some(future)) => waiter.is(future),
            _ => false,
        };
        if ours { state.waiter.take() } else { None }
    });
    drop(old);
}

/// The stream has ended, and what is there is less than what was wanted.
#[cold]
fn incomplete<'py>(reader: &Bound<'py, StreamReader>, request: &Request) -> PyResult<Bound<'py, PyBytes>> {
    let py = reader.py();
    let partial = buffer::take(reader, usize::MAX)?;
    let expected = match request {
        Request::Line | Request::Next => return Ok(partial),
        Request::Exactly(count) => Some(*count),
        _ => None,
    };
    Err(PyErr::from_type(names::incomplete_read_error(py)?.clone(), (partial.unbind(), expected)))
}

/// More than the limit came before the separator.
#[cold]
fn overrun(reader: &Bound<'_, StreamReader>, request: &Request, consumed: usize, found: bool) -> PyResult<PyErr> {
    let py = reader.py();
    let text = if found { FOUND } else { NOT_FOUND };
    let error = PyErr::from_type(names::limit_overrun_error(py)?.clone(), (text, consumed));
    if !matches!(request, Request::Line | Request::Next) {
        return Ok(error);
    }
    buffer::discard(reader, if found { consumed + 1 } else { usize::MAX })?;
    StreamReader::resume_if_low(reader)?;
    let refused = PyValueError::new_err(text);
    refused.value(py).setattr(pyo3::intern!(py, "__context__"), error.into_value(py))?;
    Ok(refused)
}
