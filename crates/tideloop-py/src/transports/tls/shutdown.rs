//! How a TLS connection ends: in order, after an error, at once.

use pyo3::exceptions::{PyConnectionAbortedError, PyOSError, PyTimeoutError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::TlsProtocol;
use super::engine::Step;
use super::state::{Phase, State, Told};
use crate::error::leaves_the_loop;
use crate::names;
use crate::transports::lifecycle::schedule;
use crate::transports::report::{debug_error, report};

impl TlsProtocol {
    /// `close()`: what was written goes out, then both sides say that they are done.
    pub(super) fn begin_shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // What was written in this turn counts as tried.
        Self::flush(slf)?;
        let phase = slf.get().state.with(py, |state| {
            let phase = state.phase;
            if matches!(phase, Phase::Handshake | Phase::Wrapped) {
                state.closed = true;
            }
            if phase == Phase::Wrapped {
                state.phase = Phase::Flushing;
            }
            phase
        });
        match phase {
            Phase::Flushing | Phase::Shutdown | Phase::Unwrapped => Ok(()),
            Phase::Handshake => Self::abort(slf, None),
            Phase::Wrapped => {
                Self::limit_shutdown(slf)?;
                Self::go_on_flushing(slf)
            }
        }
    }

    /// *flushing* to *shutdown*, when nothing is left to encrypt.
    pub(super) fn go_on_flushing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        Self::read_what_is_there(slf)?;
        Self::flush(slf)?;
        let done = slf.get().state.with(py, |state| {
            let done = state.phase == Phase::Flushing && state.backlog.is_empty();
            if done {
                state.phase = Phase::Shutdown;
            }
            done
        });
        if done { Self::go_on_with_shutdown(slf) } else { Ok(()) }
    }

    /// Says that we are done, and listens whether the peer is.
    pub(super) fn go_on_with_shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let eof = slf.get().state.with(py, |state| state.eof);
        let step = if eof { Step::Done } else { slf.get().engine(py)?.shut_down(py)? };
        match step {
            Step::Starved => Self::send_outgoing(slf, false),
            Step::Failed(error) => {
                Self::stop_timer(slf)?;
                Self::fail(slf, error, "Fatal error on transport")
            }
            Step::Done => {
                Self::send_outgoing(slf, true)?;
                Self::tell_eof(slf)?;
                Self::complete_shutdown(slf)
            }
        }
    }

    /// Both sides are done. The transport below may still have bytes that the peer does not take: the timer goes on.
    fn complete_shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.lost) {
            return Ok(());
        }
        Self::limit_shutdown(slf)?;
        schedule(&slf.get().event_loop(py)?, close_lower_function(py)?, slf.as_any(), None)
    }

    /// Starts the shutdown's timer, unless it runs.
    pub(super) fn limit_shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (timed, timeout) =
            slf.get().state.with(py, |state| (state.timer.is_some(), state.shutdown_timeout.cloned(py)));
        if timed {
            return Ok(());
        }
        Self::start_timer(slf, timeout.into_pyobject(py)?.as_any(), intern!(py, "_check_shutdown_timeout"))
    }

    /// The shutdown's timer.
    #[cold]
    pub(super) fn shutdown_timed_out(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (phase, timer) = slf.get().state.with(py, |state| (state.phase, state.timer.take()));
        drop(timer);
        match slf.get().lower(py) {
            Some(lower) if matches!(phase, Phase::Flushing | Phase::Shutdown) => {
                let error = PyTimeoutError::new_err("SSL shutdown timed out");
                lower.force_close(Some(error.value(py).as_any()))
            }
            _ => Ok(()),
        }
    }

    /// `abort()`: ends the connection at once.
    pub(super) fn abort(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        if error.is_none() {
            // What was written in this turn counts as tried.
            Self::flush(slf)?;
        }
        let unsent = slf.get().state.with(py, |state| {
            state.closed = true;
            state.unwrap()
        });
        drop(unsent);
        match slf.get().lower(py) {
            Some(lower) => lower.force_close(error),
            None => Ok(()),
        }
    }

    /// Ends the connection for an error, and reports it. A broken connection is no news: it is only logged in debug mode.
    #[cold]
    pub(super) fn fail(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        // An alert tells the peer what is wrong.
        let told = Self::send_outgoing(slf, true);
        let unsent = slf.get().state.with(py, State::unwrap);
        drop(unsent);
        let lower = slf.get().lower(py);
        if let Some(lower) = &lower {
            lower.force_close(Some(error.value(py).as_any()))?;
        }
        let event_loop = slf.get().event_loop(py)?;
        if error.is_instance_of::<PyOSError>(py) {
            debug_error(&event_loop, slf.as_any(), message, &error)?;
        } else if !error.is_instance(py, names::cancelled_error(py)?.as_any()) {
            let none = py.None().into_bound(py);
            let below = lower.as_ref().map_or(&none, |lower| lower.as_any());
            report(&event_loop, message, error, &[("transport", below), ("protocol", slf.as_any())])?;
        }
        told
    }

    /// What the program's protocol raised: the connection ends, but `SystemExit` and `KeyboardInterrupt` leave.
    #[cold]
    pub(super) fn fail_unless_leaving(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        if leaves_the_loop(slf.py(), &error) { Err(error) } else { Self::fail(slf, error, message) }
    }

    /// `eof_received()`, once.
    pub(super) fn tell_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let app = slf.get().state.with(py, |state| {
            if state.told != Told::Made {
                return None;
            }
            state.told = Told::Eof;
            state.app.cloned(py)
        });
        let Some(app) = app else { return Ok(()) };
        let keep_open =
            app.bind(py).call_method0(intern!(py, "eof_received")).and_then(|keep_open| keep_open.is_truthy());
        match keep_open {
            Ok(false) => Ok(()),
            Ok(true) => {
                let text = "returning true from eof_received() has no effect when using ssl";
                names::logger(py)?.call_method1(intern!(py, "warning"), (text,)).map(drop)
            }
            Err(error) => Self::fail_unless_leaving(slf, error, "Error calling eof_received()"),
        }
    }

    /// `connection_lost()` of the transport below: everything is let go.
    pub(super) fn lose(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let context = this.call_context(py)?;
        let (app, transport, unsent, shaken) = this.state.with(py, |state| {
            (state.closed, state.lost) = (true, true);
            let unsent = (state.unwrap(), state.undelivered.take());
            let made = matches!(state.told, Told::Made | Told::Eof);
            if made {
                state.told = Told::Lost;
            }
            ((made, state.app.take()), state.transport.take(), unsent, state.shaken)
        });
        drop(unsent);
        Self::stop_timer(slf)?;
        if let Ok(engine) = this.engine(py) {
            drop(engine.take_outgoing(py)?);
        }
        let none = py.None().into_bound(py);
        if let (true, Some(app)) = app {
            let connection_lost = app.bind(py).getattr(intern!(py, "connection_lost"))?;
            let context = context.as_ref().map(|context| context.bind(py));
            schedule(&this.event_loop(py)?, &connection_lost, error.unwrap_or(&none), context)?;
        }
        drop((transport, this.state.with(py, State::forget)));
        let error = match error.filter(|error| !error.is_none()) {
            Some(error) => Some(PyErr::from_value(error.clone())),
            None if shaken => None,
            None => Some(PyConnectionAbortedError::new_err("the connection was closed during the TLS handshake")),
        };
        Self::wake_waiter(slf, error)
    }
}

/// What comes after both sides are done.
#[pyfunction]
fn close_lower(protocol: &Bound<'_, TlsProtocol>) -> PyResult<()> {
    match protocol.get().lower(protocol.py()) {
        Some(lower) => lower.close(),
        None => Ok(()),
    }
}

fn close_lower_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = FUNCTION.get_or_try_init(py, || wrap_pyfunction!(close_lower, py).map(|f| f.into_any().unbind()))?;
    Ok(function.bind(py))
}
