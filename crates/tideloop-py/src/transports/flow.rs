//! Flow control: the protocol is told to pause when the kernel has refused too much, and to resume when it has taken
//! most of it. asyncio's `_FlowControlMixin`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tideloop_core::water_marks::WaterMarks;

use super::SocketTransport;
use super::report::report;
use crate::error::leaves_the_loop;
use crate::event_loop::EventLoop;
use crate::slots;

/// asyncio's defaults: 64 KiB, and the high mark is four times the low one.
const HIGH_DEFAULT: i64 = 64 * 1024;
const HIGH_TO_LOW: i64 = 4;

impl SocketTransport {
    /// Pauses the protocol where the write buffer is above the high mark.
    pub(super) fn pause_protocol_above_high(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let pause = slf.get().state.with(py, |state| {
            let pause = !state.protocol_paused && state.marks().is_above_high(state.blocked_bytes());
            state.protocol_paused |= pause;
            pause
        });
        if pause { Self::tell_protocol(slf, "pause_writing") } else { Ok(()) }
    }

    /// Resumes the protocol where the write buffer is at or below the low mark.
    pub(super) fn resume_protocol_below_low(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let resume = slf.get().state.with(py, |state| {
            let resume = state.protocol_paused && state.marks().is_at_or_below_low(state.blocked_bytes());
            state.protocol_paused &= !resume;
            resume
        });
        if resume { Self::tell_protocol(slf, "resume_writing") } else { Ok(()) }
    }

    #[cold]
    fn tell_protocol(slf: &Bound<'_, Self>, method: &str) -> PyResult<()> {
        let py = slf.py();
        let (protocol, event_loop, context) = slf
            .get()
            .state
            .with(py, |state| (state.protocol.cloned(py), state.event_loop.cloned(py), state.context.cloned(py)));
        let (Some(protocol), Some(event_loop)) = (protocol, event_loop) else { return Ok(()) };
        let subjects = [("transport", slf.as_any()), ("protocol", protocol.bind(py))];
        tell_flow(event_loop.bind(py), protocol.bind(py), context.as_ref(), method, &subjects)
    }

    /// `set_write_buffer_limits()`.
    pub(super) fn set_limits(slf: &Bound<'_, Self>, high: Option<i64>, low: Option<i64>) -> PyResult<()> {
        let marks = water_marks(high, low)?;
        slf.get().state.with(slf.py(), |state| {
            if state.rare.is_some() || marks != WaterMarks::default() {
                state.rare_mut().marks = marks;
            }
        });
        // Bytes collected in this turn were written under the old limits, and count as tried.
        Self::send_collected(slf)?;
        Self::pause_protocol_above_high(slf)
    }
}

/// Calls `pause_writing()` or `resume_writing()` in the connection's context; what it raises is reported.
#[cold]
pub(super) fn tell_flow(
    event_loop: &Bound<'_, EventLoop>,
    protocol: &Bound<'_, PyAny>,
    context: Option<&Py<PyAny>>,
    method: &str,
    subjects: &[(&str, &Bound<'_, PyAny>)],
) -> PyResult<()> {
    let py = event_loop.py();
    match slots::in_copy_of(py, context, || protocol.call_method0(method)) {
        Ok(_) => Ok(()),
        Err(error) if leaves_the_loop(py, &error) => Err(error),
        Err(error) => report(event_loop, &format!("protocol.{method}() failed"), error, subjects),
    }
}

/// Marks of what `set_write_buffer_limits` was given.
pub(super) fn water_marks(high: Option<i64>, low: Option<i64>) -> PyResult<WaterMarks> {
    let high = high.unwrap_or_else(|| low.map_or(HIGH_DEFAULT, |low| low.saturating_mul(HIGH_TO_LOW)));
    let low = low.unwrap_or_else(|| high.div_euclid(HIGH_TO_LOW));
    let marks = match (usize::try_from(high), usize::try_from(low)) {
        (Ok(high), Ok(low)) => WaterMarks::new(Some(high), Some(low)).ok(),
        _ => None,
    };
    marks.ok_or_else(|| PyValueError::new_err(format!("high ({high}) must be >= low ({low}) must be >= 0")))
}
