//! How a TLS connection begins.

use pyo3::exceptions::{PyConnectionAbortedError, PyConnectionResetError};
use pyo3::intern;
use pyo3::prelude::*;

use super::TlsProtocol;
use super::engine::Step;
use super::state::{Phase, Told};
use crate::error::leaves_the_loop;
use crate::names;
use crate::transports::lifecycle::{fail_waiter, wake};
use crate::transports::report::debug;

const HANDSHAKE_FAILED: &str = "SSL handshake failed";
const CERTIFICATE_REFUSED: &str = "SSL handshake failed on verifying the certificate";

impl TlsProtocol {
    /// *unwrapped* to *handshake*.
    pub(super) fn begin_handshake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let timeout = slf.get().state.with(py, |state| {
            state.phase = Phase::Handshake;
            state.handshake_timeout.cloned(py)
        });
        let event_loop = slf.get().event_loop(py)?;
        debug(&event_loop, "%r starts SSL handshake", slf.as_any())?;
        Self::start_timer(slf, timeout.into_pyobject(py)?.as_any(), intern!(py, "_check_handshake_timeout"))?;
        Self::go_on_with_handshake(slf)
    }

    /// Ciphertext has come, or there is none yet.
    pub(super) fn go_on_with_handshake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().engine(py)?.handshake(py)? {
            Step::Starved => Self::send_outgoing(slf, false),
            Step::Done => Self::complete_handshake(slf),
            Step::Failed(error) => Self::fail_handshake(slf, error),
        }
    }

    /// *handshake* to *wrapped*.
    fn complete_handshake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        Self::stop_timer(slf)?;
        let (make, app, transport) = this.state.with(py, |state| {
            if state.phase != Phase::Handshake {
                return (false, None, None);
            }
            state.phase = Phase::Wrapped;
            state.shaken = true;
            let make = state.told == Told::Nothing;
            if make {
                state.told = Told::Made;
            }
            (make, state.app.cloned(py), state.transport.cloned(py))
        });
        let event_loop = this.event_loop(py)?;
        debug(&event_loop, "%r: SSL handshake completed", slf.as_any())?;
        // The end of the handshake goes out with what connection_made() writes.
        if let (true, Some(app)) = (make, app) {
            app.bind(py).call_method1(intern!(py, "connection_made"), (transport,))?;
        }
        let upgraded = !make && this.state.with(py, |state| state.waiter.is_some());
        Self::wake_waiter(slf, None)?;
        if upgraded {
            // Whoever awaits start_tls() gets the transport first, and what came with the handshake's end after it.
            Self::read_later(slf)?;
        } else {
            Self::read_what_is_there(slf)?;
        }
        Self::flush(slf)
    }

    /// *handshake* to *unwrapped*.
    #[cold]
    pub(super) fn fail_handshake(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        Self::stop_timer(slf)?;
        let refused = error.is_instance(py, names::ssl_certificate_error(py)?);
        let message = if refused { CERTIFICATE_REFUSED } else { HANDSHAKE_FAILED };
        Self::fail(slf, error.clone_ref(py), message)?;
        Self::wake_waiter(slf, Some(error))
    }

    /// The peer has closed in the middle of it.
    #[cold]
    pub(super) fn handshake_cut_off(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::fail_handshake(slf, PyConnectionResetError::new_err(()))
    }

    /// The handshake's timer.
    #[cold]
    pub(super) fn handshake_timed_out(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (phase, timeout, timer) =
            slf.get().state.with(py, |state| (state.phase, state.handshake_timeout.cloned(py), state.timer.take()));
        drop(timer);
        if phase != Phase::Handshake {
            return Ok(());
        }
        let timeout = timeout.into_pyobject(py)?;
        let text = format!("SSL handshake is taking longer than {} seconds: aborting the connection", timeout.str()?);
        Self::fail(slf, PyConnectionAbortedError::new_err(text), "Fatal error on transport")
    }

    /// Tells whoever waits for the connection.
    pub(super) fn wake_waiter(slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        let py = slf.py();
        match (slf.get().state.with(py, |state| state.waiter.take()), error) {
            (None, _) => Ok(()),
            (Some(waiter), None) => wake(waiter.bind(py)),
            (Some(_), Some(error)) if leaves_the_loop(py, &error) => Err(error),
            (Some(waiter), Some(error)) => fail_waiter(waiter.bind(py), error),
        }
    }

    /// Has a method called after so many seconds, instead of what the timer was for before.
    pub(super) fn start_timer(
        slf: &Bound<'_, Self>,
        seconds: &Bound<'_, PyAny>,
        method: &Bound<'_, pyo3::types::PyString>,
    ) -> PyResult<()> {
        let py = slf.py();
        Self::stop_timer(slf)?;
        let event_loop = slf.get().event_loop(py)?;
        let timer = event_loop.call_method1(intern!(py, "call_later"), (seconds, slf.getattr(method)?))?.unbind();
        drop(slf.get().state.with(py, |state| state.timer.replace(Some(timer))));
        Ok(())
    }

    pub(super) fn stop_timer(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.timer.take()) {
            Some(timer) => timer.bind(py).call_method0(intern!(py, "cancel")).map(drop),
            None => Ok(()),
        }
    }
}
