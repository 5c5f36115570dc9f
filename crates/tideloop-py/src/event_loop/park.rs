//! What surrounds a run: the signal descriptor, and closing.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tideloop_core::registrations::Token;
use tideloop_sys::poll::Interest;
use tideloop_sys::socket;

use super::io::TOKEN_SIGNALS;
use super::{EventLoop, LoopState};
use crate::error::os_error;

/// Signal numbers taken from the descriptor at once, one byte each.
const SIGNALS_READ_MAX: usize = 4096;

impl EventLoop {
    /// Watches the read end of the pair that `signal.set_wakeup_fd` writes to, or no longer watches it.
    pub(super) fn watch_signals(slf: &Bound<'_, Self>, fd: Option<i32>) -> PyResult<()> {
        let py = slf.py();
        let kernel = slf.get().kernel(py)?;
        if let Some(old) = slf.get().with_state(py, |state| std::mem::replace(&mut state.signals_fd, fd)) {
            // Whoever closed the pair first has taken it out of the poller.
            let _ = kernel.poller.remove(old);
        }
        match fd {
            Some(fd) => kernel.poller.add(fd, TOKEN_SIGNALS, Interest::READ).map_err(|error| os_error(py, &error)),
            None => Ok(()),
        }
    }

    /// Takes what has arrived on the signal descriptor, and hands it to the Python half.
    pub(super) fn receive_signals(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Some(fd) = slf.get().with_state(py, |state| state.signals_fd) else { return Ok(()) };
        let mut numbers = [0_u8; SIGNALS_READ_MAX];
        match socket::recv(fd, &mut numbers) {
            Ok(0) => Ok(()),
            Ok(count) => {
                let data = PyBytes::new(py, numbers.get(..count).unwrap_or_default());
                slf.call_method1(intern!(py, "_process_signals"), (data,))?;
                Ok(())
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {
                Ok(())
            }
            Err(error) => Err(os_error(py, &error)),
        }
    }

    /// Empties the loop and closes its descriptors.
    pub(super) fn close_native(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.with_state(py, |state| state.thread.is_some()) {
            return Err(PyRuntimeError::new_err("Cannot close a running event loop"));
        }
        let contents = this.with_state(py, |state| {
            state.closed = true;
            state.signals_fd = None;
            LoopState::take_contents(state)
        });
        contents.let_go(py);
        drop(contents);
        while let Some(arrival) = this.take_from_inbox(py) {
            drop(arrival);
        }
        // No Python object in there: the descriptors are closed as soon as nobody polls them.
        drop(this.kernel.with(py, Option::take));
        Ok(())
    }

    /// The owner of a registration, for reports.
    pub(super) fn io_owner(&self, py: Python<'_>, token: Token) -> Option<Py<PyAny>> {
        self.with_state(py, |state| state.registrations.get(token).and_then(|registration| registration.owner(py)))
    }
}
