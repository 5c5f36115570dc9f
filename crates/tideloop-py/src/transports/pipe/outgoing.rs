//! Bytes out: offered to the kernel at once, as asyncio's pipes do; what it refuses waits in a queue.

use std::io::{self, ErrorKind, IoSlice};

use pyo3::exceptions::{PyBrokenPipeError, PyOSError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use tideloop_core::water_marks::WaterMarks;
use tideloop_core::write_buffer::WriteBuffer;
use tideloop_sys::pipe;

use super::write::WritePipeTransport;
use super::{Base, connection_lost, schedule_end, sync_interest};
use crate::error::{leaves_the_loop, os_error};
use crate::event_loop::{EventLoop, Interest, Readiness};
use crate::slots;
use crate::transports::flow::tell_flow;
use crate::transports::report::{debug_error, info, report, warn_of_lost_write};

/// Segments that go into one `writev` at most; the array lives on the stack (1 KiB).
const SEGMENTS_PER_WRITE_MAX: usize = 64;

const WRITE_FAILED: &str = "Fatal write error on pipe transport";
const CALLBACK_FAILED: &str = "Exception in callback WritePipeTransport._write_ready()";

pub(super) struct WriteState {
    pub base: Base,
    pub marks: WaterMarks,
    /// What the kernel has refused.
    pub refused: WriteBuffer<PyBackedBytes>,
    /// Writes that were dropped because the pipe is lost, and the failure that lost it.
    pub lost_writes: u32,
    pub protocol_paused: bool,
    /// The descriptor says when its reader has gone. A character device does not.
    pub notices_reader: bool,
}

/// What became of a write.
enum Written {
    Entirely,
    Queued,
    Dropped(u32, PyBackedBytes),
    Failed(io::Error),
}

impl WriteState {
    pub const fn blank(marks: WaterMarks) -> Self {
        Self {
            base: Base::blank(),
            marks,
            refused: WriteBuffer::new(),
            lost_writes: 0,
            protocol_paused: false,
            notices_reader: false,
        }
    }

    pub fn interest(&self) -> Interest {
        let watched = !self.base.ending;
        Interest {
            readable: watched && self.base.started && self.notices_reader,
            writable: watched && !self.refused.is_empty(),
        }
    }

    /// Takes a segment that is not empty.
    fn write(&mut self, segment: PyBackedBytes) -> Written {
        if self.lost_writes > 0 || self.base.closing {
            let before = self.lost_writes;
            self.lost_writes = before.saturating_add(1);
            return Written::Dropped(before, segment);
        }
        let mut written = 0;
        if self.refused.is_empty() {
            match pipe::write(self.base.fd, &segment) {
                Ok(count) if count >= segment.len() => return Written::Entirely,
                Ok(count) => written = count,
                Err(error) if is_momentary(&error) => {}
                Err(error) => {
                    self.lost_writes = 1;
                    return Written::Failed(error);
                }
            }
        }
        self.refused.push(segment);
        // Less than the segment, which stays.
        self.refused.advance(written, &mut Vec::new());
        Written::Queued
    }

    /// Offers the queue to the kernel once more. Segments that are done with are appended to `retired`.
    fn write_refused(&mut self, retired: &mut Vec<PyBackedBytes>) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SEGMENTS_PER_WRITE_MAX];
        let filled = self.refused.io_slices(&mut slices);
        match pipe::write_vectored(self.base.fd, slices.get(..filled).unwrap_or_default()) {
            Ok(count) => {
                self.refused.advance(count, retired);
                Ok(())
            }
            Err(error) if is_momentary(&error) => Ok(()),
            Err(error) => {
                self.lost_writes = self.lost_writes.saturating_add(1);
                Err(error)
            }
        }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl WritePipeTransport {
    /// `write()`, of a segment that is not empty.
    pub(super) fn write_segment(slf: &Bound<'_, Self>, segment: PyBackedBytes) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.write(segment)) {
            Written::Entirely => Ok(()),
            Written::Queued => {
                sync_interest(slf)?;
                Self::pause_protocol_above_high(slf)
            }
            Written::Failed(error) => Self::fail(slf, os_error(py, &error), WRITE_FAILED),
            Written::Dropped(before, segment) => {
                drop(segment);
                warn_of_lost_write(py, before, "pipe closed by peer or os.write(pipe, data) raised exception.")
            }
        }
    }

    /// The reader has gone, or the kernel takes bytes again: called by the loop. Only `SystemExit` and
    /// `KeyboardInterrupt` come out.
    pub fn on_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, ready: Readiness) -> PyResult<()> {
        let py = slf.py();
        let Some(context) = slf.get().state.with(py, |state| state.base.context.cloned(py)) else { return Ok(()) };
        let outcome = slots::in_context(context.bind(py), || {
            if ready.readable {
                Self::look_for_reader(slf, event_loop)?;
            }
            if ready.writable { Self::write_ready(slf) } else { Ok(()) }
        });
        match outcome.and_then(|outcome| outcome) {
            Err(error) if leaves_the_loop(py, &error) => Err(error),
            Err(error) => report(event_loop, CALLBACK_FAILED, error, &[("transport", slf.as_any())]),
            Ok(()) => Ok(()),
        }
    }

    fn look_for_reader(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = slf.py();
        let (watched, fd, unwritten) =
            slf.get().state.with(py, |state| (state.interest().readable, state.base.fd, !state.refused.is_empty()));
        if !watched {
            return Ok(());
        }
        if !pipe::reader_has_gone(fd).unwrap_or(false) {
            // Something can be read here, which is not ours to read and would be reported in every poll.
            slf.get().state.with(py, |state| state.notices_reader = false);
            return sync_interest(slf);
        }
        info(event_loop, "%r was closed by peer", slf.as_any())?;
        let error = unwritten.then(|| PyBrokenPipeError::new_err(()));
        Self::end_at_once(slf, error.as_ref().map(|error| error.value(py).as_any()))
    }

    fn write_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let mut retired = Vec::new();
        let outcome = slf.get().state.with(py, |state| {
            if state.base.ending || state.refused.is_empty() {
                return Ok(false);
            }
            state.write_refused(&mut retired).map(|()| true)
        });
        drop(retired);
        match outcome {
            Ok(true) => Self::written(slf),
            Ok(false) => Ok(()),
            Err(error) => Self::fail(slf, os_error(py, &error), WRITE_FAILED),
        }
    }

    /// The kernel has taken some. When it has everything of a closing pipe, `connection_lost` comes right here, as
    /// asyncio has it.
    fn written(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        sync_interest(slf)?;
        Self::resume_protocol_below_low(slf)?;
        let ends = slf.get().state.with(py, |state| {
            state.refused.is_empty() && state.base.closing && !std::mem::replace(&mut state.base.ending, true)
        });
        if ends { connection_lost(slf, &py.None().into_bound(py)) } else { Ok(()) }
    }

    /// Ends the transport now; what was not written is thrown away.
    pub(super) fn end_at_once(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let unwritten = slf.get().state.with(slf.py(), |state| state.refused.drain());
        drop(unwritten);
        schedule_end(slf, error)
    }

    /// Reports an error that ends the transport, and ends it. A pipe that broke is no news.
    pub(super) fn fail(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        let (event_loop, protocol) =
            slf.get().state.with(py, |state| (state.base.event_loop.cloned(py), state.base.protocol.cloned(py)));
        let Some(event_loop) = event_loop else { return Ok(()) };
        let event_loop = event_loop.bind(py);
        let reported = if error.is_instance_of::<PyOSError>(py) {
            debug_error(event_loop, slf.as_any(), message, &error)
        } else {
            let protocol = protocol.into_pyobject(py)?;
            let subjects = [("transport", slf.as_any()), ("protocol", &protocol)];
            report(event_loop, message, error.clone_ref(py), &subjects)
        };
        Self::end_at_once(slf, Some(error.value(py).as_any()))?;
        reported
    }

    /// Pauses the protocol where the queue is above the high mark.
    pub(super) fn pause_protocol_above_high(slf: &Bound<'_, Self>) -> PyResult<()> {
        let pause = slf.get().state.with(slf.py(), |state| {
            let pause = !state.protocol_paused && state.marks.is_above_high(state.refused.len_bytes());
            state.protocol_paused |= pause;
            pause
        });
        if pause { Self::tell_protocol(slf, "pause_writing") } else { Ok(()) }
    }

    fn resume_protocol_below_low(slf: &Bound<'_, Self>) -> PyResult<()> {
        let resume = slf.get().state.with(slf.py(), |state| {
            let resume = state.protocol_paused && state.marks.is_at_or_below_low(state.refused.len_bytes());
            state.protocol_paused &= !resume;
            resume
        });
        if resume { Self::tell_protocol(slf, "resume_writing") } else { Ok(()) }
    }

    fn tell_protocol(slf: &Bound<'_, Self>, method: &str) -> PyResult<()> {
        let py = slf.py();
        let (protocol, event_loop, context) = slf.get().state.with(py, |state| {
            (state.base.protocol.cloned(py), state.base.event_loop.cloned(py), state.base.context.cloned(py))
        });
        let (Some(protocol), Some(event_loop)) = (protocol, event_loop) else { return Ok(()) };
        let subjects = [("transport", slf.as_any()), ("protocol", protocol.bind(py))];
        tell_flow(event_loop.bind(py), protocol.bind(py), context.as_ref(), method, &subjects)
    }
}
