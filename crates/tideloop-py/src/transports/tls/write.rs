//! Plaintext in, from the program; ciphertext out, to the transport below.
//!
//! What is written in a turn is collected, encrypted at its end as few records, and sent at once. Over a transport that
//! is not one of our sockets there is no such end, and each write is encrypted by itself.

use std::cell::RefCell;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use tideloop_core::write_buffer::WriteBuffer;

use super::TlsProtocol;
use super::engine::{Engine, Written};
use super::lower::Lower;
use super::state::Phase;
use crate::transports::SocketTransport;
use crate::transports::flow::tell_flow;
use crate::transports::report::warn_of_lost_write;

/// Bytes written in one turn that are encrypted and sent at once instead of being collected further.
const COLLECTED_BYTES_MAX: usize = 64 * 1024;
/// Ciphertext that is sent at once while there is more to encrypt.
const CIPHERTEXT_BYTES_MAX: usize = 128 * 1024;
/// A segment smaller than this is joined with the next ones to one record: a record costs 22 bytes and a pass of the
/// cipher's set-up.
const SEGMENT_BYTES_MIN: usize = 4 * 1024;
/// The largest record's plaintext.
const RECORD_BYTES_MAX: usize = 16 * 1024;

const PROTOCOL_FAILED: &str = "Fatal error on SSL protocol";

thread_local! {
    /// Where small segments are joined.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What stopped the encryption.
enum Stopped {
    /// Nothing is left.
    Done,
    /// There is enough to send.
    Enough,
    /// The peer is waited for.
    Starved,
    Failed(PyErr),
}

impl TlsProtocol {
    /// `write()`.
    #[inline]
    pub(super) fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let segment = segment(data)?;
        if segment.is_empty() { Ok(()) } else { Self::write_segments(slf, [segment]) }
    }

    /// `writelines()`: like one write of everything.
    pub(super) fn write_lines(slf: &Bound<'_, Self>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut segments = Vec::new();
        for line in lines.try_iter()? {
            let line = line?;
            let segment = match line.cast_exact::<PyBytes>() {
                Ok(bytes) => PyBackedBytes::from(bytes.clone()),
                Err(_) => copied(PyMemoryView::from(&line)?.as_any())?,
            };
            if !segment.is_empty() {
                segments.push(segment);
            }
        }
        Self::write_segments(slf, segments)
    }

    /// Takes segments that are not empty.
    #[inline]
    pub(super) fn write_segments(
        slf: &Bound<'_, Self>,
        segments: impl IntoIterator<Item = PyBackedBytes>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.state.with(py, |state| state.drops_writes()) {
            return Self::drop_write(slf);
        }
        let mut added = 0;
        for segment in segments {
            added += segment.len();
            this.state.with(py, |state| state.backlog.push(segment));
        }
        let (collected, collected_max, waits) = this.state.with(py, |state| {
            // Above the high-water mark the program is to hear of it now, and not at the end of the turn.
            let collected_max = COLLECTED_BYTES_MAX.min(state.outgoing_marks.high);
            (state.backlog.len_bytes(), collected_max, state.has_to_wait())
        });
        match (added, waits) {
            (0, _) => Ok(()),
            (_, true) => Self::control_app_writing(slf),
            (_, false) if collected >= collected_max => Self::flush(slf),
            _ => match this.lower(py) {
                Some(Lower::Socket(socket)) if SocketTransport::flushes_soon(&socket) => Ok(()),
                _ => Self::flush(slf),
            },
        }
    }

    #[cold]
    fn drop_write(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let before = slf.get().state.with(py, |state| {
            let before = state.dropped_writes;
            state.dropped_writes = before.saturating_add(1);
            // The loss of the connection counts as one.
            before + u32::from(state.lost)
        });
        warn_of_lost_write(py, before, "SSL connection is closed")
    }

    /// Encrypts what was collected, and sends it, as far as the transport below takes it.
    #[inline]
    pub fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (idle, can) = slf.get().state.with(py, |state| {
            let can = state.encrypts() && !state.flushing && !state.lower_writing_paused;
            (state.backlog.is_empty(), can)
        });
        if !idle && can {
            Self::encrypt_backlog(slf)?;
        }
        Self::send_outgoing(slf, false)?;
        if idle { Ok(()) } else { Self::settle_backlog(slf) }
    }

    /// What was tried and could not go out is stuck, and counts from now on.
    fn settle_backlog(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.with(slf.py(), |state| state.stuck = !state.backlog.is_empty());
        Self::control_app_writing(slf)
    }

    fn encrypt_backlog(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let engine = slf.get().engine(py)?;
        // It is taken out: a callback of OpenSSL's may run Python, which may write.
        let mut backlog = slf.get().state.with(py, |state| {
            state.flushing = true;
            std::mem::take(&mut state.backlog)
        });
        let outcome = loop {
            match encrypt(py, &engine, &mut backlog) {
                Stopped::Done | Stopped::Starved => break Ok(()),
                Stopped::Failed(error) => break Err(error),
                Stopped::Enough => {}
            }
            if let Err(error) = Self::send_outgoing(slf, false) {
                break Err(error);
            }
            if slf.get().state.with(py, |state| state.lower_writing_paused || !state.encrypts()) {
                break Ok(());
            }
        };
        let rest = slf.get().state.with(py, |state| {
            state.flushing = false;
            if !state.encrypts() {
                // Somebody has ended the connection meanwhile.
                return Some(backlog);
            }
            for segment in state.backlog.drain() {
                backlog.push(segment);
            }
            state.backlog = backlog;
            None
        });
        drop(rest);
        outcome.or_else(|error| Self::fail_unless_leaving(slf, error, PROTOCOL_FAILED))
    }

    /// Gives ciphertext to the transport below, unless that one is paused; `anyway`: even then.
    #[inline]
    pub(super) fn send_outgoing(slf: &Bound<'_, Self>, anyway: bool) -> PyResult<()> {
        let py = slf.py();
        if !anyway && slf.get().state.with(py, |state| state.lower_writing_paused) {
            return Ok(());
        }
        let Some(lower) = slf.get().lower(py) else { return Ok(()) };
        let outgoing = slf.get().engine(py)?.take_outgoing(py)?;
        if outgoing.is_empty() { Ok(()) } else { lower.send(&outgoing) }
    }

    /// The transport below takes more.
    pub(super) fn flush_and_go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::flush(slf)?;
        let py = slf.py();
        let (phase, empty) = slf.get().state.with(py, |state| (state.phase, state.backlog.is_empty()));
        if phase == Phase::Flushing && empty { Self::go_on_flushing(slf) } else { Ok(()) }
    }

    /// Bytes that could not be given to the transport below.
    pub(super) fn write_buffer_size(&self, py: Python<'_>) -> PyResult<usize> {
        let stuck = self.state.with(py, |state| state.stuck_bytes());
        Ok(self.engine(py).map_or(Ok(0), |engine| engine.outgoing_len(py))? + stuck)
    }

    /// Pauses and resumes the program's protocol by how much has to wait.
    pub(super) fn control_app_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let size = slf.get().write_buffer_size(py)?;
        let (pause, resume) = slf.get().state.with(py, |state| {
            let pause = size > 0 && size >= state.outgoing_marks.high && !state.app_writing_paused;
            let resume = size <= state.outgoing_marks.low && state.app_writing_paused;
            state.app_writing_paused = (state.app_writing_paused || pause) && !resume;
            (pause, resume)
        });
        match (pause, resume) {
            (true, _) => Self::tell_app(slf, "pause_writing"),
            (_, true) => Self::tell_app(slf, "resume_writing"),
            _ => Ok(()),
        }
    }

    #[cold]
    fn tell_app(slf: &Bound<'_, Self>, method: &str) -> PyResult<()> {
        let py = slf.py();
        let (app, transport) = slf.get().state.with(py, |state| (state.app.cloned(py), state.transport.cloned(py)));
        let Some(app) = app else { return Ok(()) };
        let context = slf.get().call_context(py)?;
        let transport = transport.into_pyobject(py)?.into_any();
        let subjects = [("transport", &transport), ("protocol", slf.as_any())];
        tell_flow(&slf.get().event_loop(py)?, app.bind(py), context.as_ref(), method, &subjects)
    }
}

/// Encrypts from the front of the backlog until there is enough to send.
fn encrypt(py: Python<'_>, engine: &Engine, backlog: &mut WriteBuffer<PyBackedBytes>) -> Stopped {
    let mut sent = Vec::new();
    let mut produced = 0;
    while produced < CIPHERTEXT_BYTES_MAX {
        let Some(first) = backlog.first_chunk() else { return Stopped::Done };
        let written = if first.len() < SEGMENT_BYTES_MIN && first.len() < backlog.len_bytes() {
            let joined = joined(backlog);
            let written = engine.write(py, &joined);
            JOINED.set(joined);
            written
        } else {
            engine.write(py, first.get(..CIPHERTEXT_BYTES_MAX).unwrap_or(first))
        };
        match written {
            Written::Bytes(length) => {
                backlog.advance(length, &mut sent);
                produced += length;
            }
            Written::Starved => return Stopped::Starved,
            Written::Failed(error) => return Stopped::Failed(error),
        }
    }
    Stopped::Enough
}

/// The first segments as one record.
fn joined(backlog: &WriteBuffer<PyBackedBytes>) -> Vec<u8> {
    let mut joined = JOINED.take();
    joined.clear();
    let mut chunks = Vec::new();
    backlog.chunks(&mut chunks, RECORD_BYTES_MAX);
    for chunk in chunks {
        let room = RECORD_BYTES_MAX - joined.len();
        joined.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if joined.len() == RECORD_BYTES_MAX {
            break;
        }
    }
    joined
}

/// The bytes of a write: `bytes` by reference, what can change as a copy.
#[inline]
fn segment(data: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(PyBackedBytes::from(bytes.clone()));
    }
    if let Ok(array) = data.cast::<PyByteArray>() {
        return Ok(PyBackedBytes::from(array.clone()));
    }
    if data.cast::<PyMemoryView>().is_ok() {
        return copied(data);
    }
    let class = data.get_type().name()?;
    Err(PyTypeError::new_err(format!("data: expecting a bytes-like instance, got {class}")))
}

fn copied(view: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    let bytes = view.call_method0(intern!(view.py(), "tobytes"))?.cast_into::<PyBytes>()?;
    Ok(PyBackedBytes::from(bytes))
}
