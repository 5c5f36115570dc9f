//! Ciphertext in, plaintext out, to the program's protocol.
//!
//! What a socket has received is decrypted at once and handed over as one `bytes`. While the program has paused reading,
//! ciphertext is kept, up to a limit beyond which the transport below is paused too.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use super::TlsProtocol;
use super::engine::{End, Read};
use super::state::Phase;
use crate::slots;
use crate::streams::StreamReaderProtocol;
use crate::transports::lifecycle::{Receiver, schedule};
use crate::transports::report::debug;

const PROTOCOL_FAILED: &str = "Fatal error on SSL protocol";

/// What became of ciphertext.
#[must_use]
pub enum Arrived<'py> {
    /// It was decrypted: [`TlsProtocol::act_on`] hands it over.
    Plain(Plain<'py>),
    /// It is kept: the connection goes on with what it does.
    Kept,
}

/// What was decrypted, for nobody but this file.
pub struct Plain<'py>(Read<'py>);

impl TlsProtocol {
    /// Ciphertext has come: the first half, which runs nothing of the program's.
    #[inline]
    pub fn take_in<'py>(slf: &Bound<'py, Self>, incoming: &[u8]) -> PyResult<Arrived<'py>> {
        let py = slf.py();
        let (phase, reads) = slf.get().state.with(py, |state| (state.phase, state.reads()));
        if phase == Phase::Unwrapped {
            return Ok(Arrived::Kept);
        }
        let engine = slf.get().engine(py)?;
        if reads && phase == Phase::Wrapped {
            return Ok(Arrived::Plain(Plain(engine.read(py, incoming)?)));
        }
        engine.keep(py, incoming)?;
        Ok(Arrived::Kept)
    }

    /// The second half.
    #[inline]
    pub fn act_on<'py>(slf: &Bound<'py, Self>, arrived: Arrived<'py>) -> PyResult<()> {
        match arrived {
            Arrived::Plain(Plain(Read { data: Some(data), end: End::Starved })) => Self::hand_over(slf, data),
            Arrived::Plain(Plain(read)) => Self::deliver(slf, read),
            Arrived::Kept => Self::go_on(slf),
        }
    }

    /// Something has come that the connection's phase decides about.
    fn go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().phase(slf.py()) {
            Phase::Unwrapped => Ok(()),
            Phase::Handshake => Self::go_on_with_handshake(slf),
            Phase::Wrapped => Self::read_what_is_there(slf),
            Phase::Flushing => Self::go_on_flushing(slf),
            Phase::Shutdown => Self::go_on_with_shutdown(slf),
        }
    }

    /// `data_received()`.
    pub(super) fn receive_object(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let arrived = with_bytes(data, |bytes| Self::take_in(slf, bytes))??;
        Self::act_on(slf, arrived)?;
        Self::flush(slf)
    }

    /// Ciphertext that was read before TLS began.
    pub(super) fn keep_object(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let engine = slf.get().engine(slf.py())?;
        with_bytes(data, |bytes| engine.keep(slf.py(), bytes))?
    }

    /// Decrypts what was kept, as long as the program wants it.
    pub(super) fn read_what_is_there(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        loop {
            let (reads, undelivered) = slf.get().state.with(py, |state| {
                let reads = state.reads();
                (reads, if reads { state.undelivered.take() } else { None })
            });
            if !reads {
                break;
            }
            if let Some(undelivered) = undelivered {
                Self::hand_over(slf, undelivered.into_bound(py))?;
                continue;
            }
            let read = slf.get().engine(py)?.read(py, &[])?;
            let more = matches!(read.end, End::More);
            Self::deliver(slf, read)?;
            if !more {
                break;
            }
        }
        Self::control_lower_reading(slf)
    }

    fn deliver<'py>(slf: &Bound<'py, Self>, read: Read<'py>) -> PyResult<()> {
        if let Some(data) = read.data {
            Self::hand_over(slf, data)?;
        }
        match read.end {
            End::Starved | End::More => Ok(()),
            End::Closed => {
                Self::tell_eof(slf)?;
                Self::begin_shutdown(slf)
            }
            End::Failed(error) => Self::fail(slf, error, PROTOCOL_FAILED),
        }
    }

    /// `data_received()` of the program's protocol, or its likes. After `close()` nothing is wanted any more.
    #[inline]
    fn hand_over<'py>(slf: &Bound<'py, Self>, data: Bound<'py, PyBytes>) -> PyResult<()> {
        let py = slf.py();
        let (app, receiver) =
            slf.get().state.with(py, |state| (if state.closed { None } else { state.app.cloned(py) }, state.receiver));
        let Some(app) = app else { return Ok(()) };
        let outcome = match receiver {
            Receiver::Buffered => Self::fill_buffers(slf, data),
            Receiver::Stream => StreamReaderProtocol::receive(app.bind(py).cast()?, data.as_bytes(), None),
            _ => app.bind(py).call_method1(intern!(py, "data_received"), (data,)).map(drop),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => Self::fail_unless_leaving(slf, error, PROTOCOL_FAILED),
        }
    }

    /// Copies plaintext into the protocol's own buffers. What it does not take because it pauses waits until it resumes.
    fn fill_buffers<'py>(slf: &Bound<'py, Self>, data: Bound<'py, PyBytes>) -> PyResult<()> {
        let py = slf.py();
        let mut taken = slf.get().state.with(py, |state| std::mem::take(&mut state.undelivered_read));
        loop {
            let rest = data.as_bytes().get(taken..).unwrap_or_default();
            let (reads, closed, app) =
                slf.get().state.with(py, |state| (state.reads(), state.closed, state.app.cloned(py)));
            let Some(app) = app else { return Ok(()) };
            if rest.is_empty() || closed {
                return Ok(());
            }
            if !reads {
                let data = data.clone().unbind();
                drop(slf.get().state.with(py, |state| {
                    state.undelivered_read = taken;
                    state.undelivered.replace(Some(data))
                }));
                return Ok(());
            }
            let app = app.bind(py);
            let buffer = app.call_method1(intern!(py, "get_buffer"), (rest.len(),))?;
            let length = slots::with_writable_buffer(&buffer, |memory| {
                let length = memory.len().min(rest.len());
                if let (Some(to), Some(from)) = (memory.get_mut(..length), rest.get(..length)) {
                    to.copy_from_slice(from);
                }
                length
            })?;
            drop(buffer);
            if length == 0 {
                return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
            }
            taken += length;
            app.call_method1(intern!(py, "buffer_updated"), (length,))?;
        }
    }

    /// `eof_received()`: whether the transport below shall stay open.
    pub(super) fn end_of_stream(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        debug(&slf.get().event_loop(py)?, "%r received EOF", slf.as_any())?;
        let (phase, paused) = slf.get().state.with(py, |state| {
            state.eof = true;
            let phase = state.phase;
            if phase == Phase::Wrapped {
                state.phase = Phase::Flushing;
            }
            (phase, state.app_reading_paused)
        });
        let outcome = match phase {
            Phase::Unwrapped => Ok(false),
            Phase::Handshake => Self::handshake_cut_off(slf).map(|()| false),
            // What is kept is delivered when the program resumes.
            Phase::Wrapped if paused => Ok(true),
            Phase::Wrapped | Phase::Flushing => Self::flush_after_end(slf),
            Phase::Shutdown => Self::go_on_with_shutdown(slf).map(|()| false),
        };
        if outcome.is_err()
            && let Some(lower) = slf.get().lower(py)
        {
            lower.close()?;
        }
        outcome
    }

    /// What was written still goes out, if the peer reads on.
    fn flush_after_end(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::go_on_flushing(slf)?;
        let waits = slf.get().phase(slf.py()) == Phase::Flushing;
        if waits {
            Self::limit_shutdown(slf)?;
        }
        Ok(waits)
    }

    /// `pause_reading()` of the program.
    pub(super) fn pause_app_reading(&self, py: Python<'_>) {
        self.state.with(py, |state| state.app_reading_paused = true);
    }

    /// `resume_reading()` of the program: what was kept is delivered in the next turn.
    pub(super) fn resume_app_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let resumed = slf.get().state.with(py, |state| std::mem::replace(&mut state.app_reading_paused, false));
        if !resumed {
            return Ok(());
        }
        Self::read_later(slf)
    }

    /// Goes on in the next turn.
    pub(super) fn read_later(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let context = slf.get().call_context(py)?;
        let context = context.as_ref().map(|context| context.bind(py));
        schedule(&slf.get().event_loop(py)?, resume_function(py)?, slf.as_any(), context)
    }

    /// Pauses and resumes the transport below by how much is kept.
    pub(super) fn control_lower_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let kept = slf.get().kept_len(py)?;
        let (pause, resume) = slf.get().state.with(py, |state| {
            let pause = kept >= state.incoming_marks.high && kept > 0 && !state.lower_reading_paused;
            let resume = kept <= state.incoming_marks.low && state.lower_reading_paused;
            state.lower_reading_paused = (state.lower_reading_paused || pause) && !resume;
            (pause, resume)
        });
        match slf.get().lower(py) {
            Some(lower) if pause => lower.pause_reading(),
            Some(lower) if resume => lower.resume_reading(),
            _ => Ok(()),
        }
    }

    /// Bytes that have come and were not delivered.
    pub(super) fn kept_len(&self, py: Python<'_>) -> PyResult<usize> {
        let undelivered = self.state.with(py, |state| {
            let whole = state.undelivered.as_ref().map_or(0, |data| data.bind(py).as_bytes().len());
            whole.saturating_sub(state.undelivered_read)
        });
        Ok(self.engine(py).map_or(Ok(0), |engine| engine.kept_len(py))? + undelivered)
    }
}

/// Gives `f` the bytes of any contiguous buffer object.
fn with_bytes<R>(data: &Bound<'_, PyAny>, f: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(f(bytes.as_bytes()));
    }
    Ok(f(&PyBuffer::<u8>::get(data)?.to_vec(data.py())?))
}

/// What comes after `resume_reading()`.
#[pyfunction]
fn resume(protocol: &Bound<'_, TlsProtocol>) -> PyResult<()> {
    TlsProtocol::go_on(protocol)?;
    TlsProtocol::flush(protocol)
}

fn resume_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = FUNCTION.get_or_try_init(py, || wrap_pyfunction!(resume, py).map(|f| f.into_any().unbind()))?;
    Ok(function.bind(py))
}
