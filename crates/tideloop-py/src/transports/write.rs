//! Bytes out: collected during a turn, sent in one system call at its end.
//!
//! Collected bytes count as already tried (DESIGN §10.13), so they are offered to the kernel *before* anything that
//! asyncio would do after a try: `abort`, `close`, `write_eof`, a buffer above the high-water mark. They are also sent
//! at once where no turn will end soon: from a thread that is not the loop's, and while the loop does not run.

use std::io;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use tideloop_sys::socket;

use super::SocketTransport;
use super::lifecycle::{Receiver, fail_waiter, wake};
use super::report::{report, warn_of_lost_write};
use super::state::{Sent, SentNow, Written};
use super::tls::TlsProtocol;
use crate::error::{leaves_the_loop, os_error};
use crate::slots;

const WRITE_FAILED: &str = "Fatal write error on socket transport";

impl SocketTransport {
    /// `write()`.
    #[inline]
    pub(crate) fn write_bytes(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let segment = segment(data)?;
        Self::check_writable(slf, "write")?;
        if segment.is_empty() { Ok(()) } else { Self::write_segment(slf, segment) }
    }

    /// `writelines()`: like one write of everything.
    pub(super) fn write_lines(slf: &Bound<'_, Self>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        // Below 3.12 asyncio's writelines() is a write().
        Self::check_writable(slf, if cfg!(Py_3_12) { "writelines" } else { "write" })?;
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
        for segment in segments {
            Self::write_segment(slf, segment)?;
        }
        Ok(())
    }

    #[inline]
    fn check_writable(slf: &Bound<'_, Self>, method: &str) -> PyResult<()> {
        let (ended, busy) = slf.get().state.with(slf.py(), |state| (state.write_ended, state.sendfile_in_progress()));
        if ended {
            return Err(PyRuntimeError::new_err(format!("Cannot call {method}() after write_eof()")));
        }
        if busy {
            return Err(PyRuntimeError::new_err(format!("unable to {method}; sendfile is in progress")));
        }
        Ok(())
    }

    #[inline]
    fn write_segment(slf: &Bound<'_, Self>, segment: PyBackedBytes) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.write(segment)) {
            Written::Collected => Ok(()),
            Written::FlushLater => Self::flush_later(slf),
            Written::FlushNow => Self::send_collected(slf),
            Written::Queued => Self::pause_protocol_above_high(slf),
            Written::Dropped(before, segment) => {
                drop(segment);
                warn_of_lost_write(py, before, "socket.send() raised exception.")
            }
        }
    }

    /// Has the loop flush at the end of this turn; flushes at once where this is in no turn of its.
    #[inline]
    fn flush_later(slf: &Bound<'_, Self>) -> PyResult<()> {
        if Self::is_flushed_at_end_of_turn(slf) { Ok(()) } else { Self::send_collected(slf) }
    }

    /// Has the loop flush at the end of this turn, for what TLS has collected; whether there will be such an end.
    #[inline]
    pub(super) fn flushes_soon(slf: &Bound<'_, Self>) -> bool {
        let pending = slf.get().state.with(slf.py(), |state| std::mem::replace(&mut state.flush_pending, true));
        let soon = pending || Self::is_flushed_at_end_of_turn(slf);
        if !soon {
            slf.get().state.with(slf.py(), |state| state.flush_pending = false);
        }
        soon
    }

    #[inline]
    fn is_flushed_at_end_of_turn(slf: &Bound<'_, Self>) -> bool {
        let py = slf.py();
        let thread = slots::thread_ident(py);
        let event_loop = slf.get().state.with(py, |state| state.event_loop.cloned(py));
        event_loop.is_some_and(|event_loop| {
            event_loop.get().with_state(py, |state| {
                let in_turn = state.thread == Some(thread);
                if in_turn {
                    state.to_flush.push(slf.clone().unbind());
                }
                in_turn
            })
        })
    }

    /// Sends what was collected, here and by TLS above.
    #[inline]
    pub(super) fn send_written(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let tls = slf
            .get()
            .state
            .with(py, |state| if state.receiver == Receiver::Tls { state.protocol.cloned(py) } else { None });
        if let Some(tls) = tls {
            slf.get().state.with(py, |state| state.flush_pending = false);
            TlsProtocol::flush(tls.bind(py).cast_exact::<TlsProtocol>()?)?;
        }
        Self::send_collected(slf)
    }

    /// Sends bytes of the caller's, after what was collected; only what the kernel does not take is copied.
    #[inline]
    pub(super) fn send_now(slf: &Bound<'_, Self>, bytes: &[u8]) -> PyResult<()> {
        let py = slf.py();
        let sent = match slf.get().state.with(py, |state| state.send_now(bytes)) {
            SentNow::Part(sent) if sent == bytes.len() => return Ok(()),
            SentNow::Part(sent) => sent,
            SentNow::Dropped => return Ok(()),
            SentNow::Failed(error) => return Self::fail(slf, os_error(py, &error), WRITE_FAILED),
            SentNow::Behind => {
                let segment = PyBackedBytes::from(PyBytes::new(py, bytes));
                let blocked = slf.get().state.with(py, |state| {
                    state.outgoing.push(segment);
                    state.blocked
                });
                return if blocked { Self::pause_protocol_above_high(slf) } else { Self::send_collected(slf) };
            }
        };
        let rest = PyBackedBytes::from(PyBytes::new(py, bytes.get(sent..).unwrap_or_default()));
        slf.get().state.with(py, |state| state.queue(rest));
        Self::sync_interest(slf)?;
        Self::pause_protocol_above_high(slf)
    }

    /// Sends what was collected, if anything was.
    #[inline]
    pub(super) fn send_collected(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (sent, retired) = slf.get().state.with(py, |state| {
            state.flush_pending = false;
            state.send_collected()
        });
        drop(retired);
        match sent {
            Sent::Nothing | Sent::Everything => Ok(()),
            Sent::Blocked => {
                Self::sync_interest(slf)?;
                Self::pause_protocol_above_high(slf)
            }
            Sent::Failed(error) => Self::fail(slf, os_error(py, &error), WRITE_FAILED),
        }
    }

    /// The kernel takes bytes again.
    #[cold]
    pub(super) fn write_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (sent, retired) = slf.get().state.with(py, |state| state.send_blocked());
        drop(retired);
        match sent {
            Sent::Nothing => Self::writable_for_sendfile(slf),
            Sent::Blocked => Self::resume_protocol_below_low(slf),
            Sent::Everything => Self::drained(slf),
            Sent::Failed(error) => Self::write_failed(slf, &error),
        }
    }

    fn write_failed(slf: &Bound<'_, Self>, error: &io::Error) -> PyResult<()> {
        let py = slf.py();
        let error = os_error(py, error);
        let waiter = Self::take_empty_waiter(slf);
        Self::fail(slf, error.clone_ref(py), WRITE_FAILED)?;
        match waiter {
            Some(waiter) => fail_waiter(waiter.bind(py), error),
            None => Ok(()),
        }
    }

    /// Nothing is left that the kernel had refused: what was put off until now happens.
    fn drained(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        Self::resume_protocol_below_low(slf)?;
        // resume_writing() may have written more.
        Self::send_collected(slf)?;
        let (blocked, lost, ends) = slf.get().state.with(py, |state| {
            let lost = state.closing && state.conn_lost == 0 && !state.blocked;
            if lost {
                state.conn_lost = 1;
            }
            (state.blocked, lost, state.write_ended && !state.closing)
        });
        Self::sync_interest(slf)?;
        if blocked {
            return Ok(());
        }
        if let Some(waiter) = slf.get().state.with(py, |state| state.rare.as_ref()?.empty_waiter.cloned(py)) {
            wake(waiter.bind(py))?;
        }
        if lost {
            return Self::end_after_drain(slf);
        }
        if ends {
            let fd = slf.get().state.with(py, |state| state.fd);
            // The peer may have gone meanwhile; reading finds that out.
            let _ = socket::shutdown_write(fd);
        }
        Ok(())
    }

    /// `connection_lost` right here, as asyncio has it when a closing transport has sent its last byte.
    fn end_after_drain(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let event_loop = slf.get().state.with(py, |state| state.event_loop.cloned(py));
        let none = py.None().into_bound(py);
        match (Self::connection_lost(slf, &none), event_loop) {
            (Err(error), Some(event_loop)) if !leaves_the_loop(py, &error) => {
                let message = "Exception in callback SocketTransport._call_connection_lost(None)";
                report(event_loop.bind(py), message, error, &[("transport", slf.as_any())])
            }
            (outcome, _) => outcome,
        }
    }

    /// `write_eof()`: the sending half is shut down, after everything written.
    pub(super) fn end_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        Self::send_collected(slf)?;
        let shut_down = slf.get().state.with(py, |state| {
            if state.closing || std::mem::replace(&mut state.write_ended, true) || state.blocked {
                return None;
            }
            Some(state.fd)
        });
        match shut_down {
            Some(fd) => socket::shutdown_write(fd).map_err(|error| os_error(py, &error)),
            None => Ok(()),
        }
    }
}

/// The bytes of a write: `bytes` by reference, what can change as a copy.
#[inline]
pub(super) fn segment(data: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
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
    #[cfg(Py_3_14)]
    let wanted = "bytes, bytearray, or memoryview object";
    #[cfg(not(Py_3_14))]
    let wanted = "bytes-like object";
    Err(PyTypeError::new_err(format!("data argument must be a {wanted}, not '{class}'")))
}

pub(super) fn copied(view: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    let bytes = view.call_method0(intern!(view.py(), "tobytes"))?.cast_into::<PyBytes>()?;
    Ok(PyBackedBytes::from(bytes))
}
