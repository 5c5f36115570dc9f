//! What `sendfile` needs of a transport: the socket for itself, and to know when it takes bytes.
//!
//! The Python half (`python/tideloop/_sendfile.py`) makes the system calls. From the moment that the transport's own
//! bytes are awaited until `_reset_empty_waiter` nobody else may write.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::SocketTransport;
use super::lifecycle::wake;

impl SocketTransport {
    /// A future that is done when everything is sent; until it is reset nobody else may write. For `sendfile`.
    pub(super) fn make_empty_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        Self::send_collected(slf)?;
        let (busy, event_loop) =
            slf.get().state.with(py, |state| (state.sendfile_in_progress(), state.event_loop.cloned(py)));
        let Some(event_loop) = event_loop else { return Err(PyRuntimeError::new_err("Transport is closed")) };
        if busy {
            return Err(PyRuntimeError::new_err("Empty waiter is already set"));
        }
        let waiter = event_loop.bind(py).call_method0(intern!(py, "create_future"))?;
        let kept = waiter.clone().unbind();
        let (before, blocked) = slf.get().state.with(py, |state| {
            let blocked = state.blocked;
            (state.rare_mut().empty_waiter.replace(Some(kept)), blocked)
        });
        drop(before);
        if !blocked {
            wake(&waiter)?;
        }
        Ok(waiter)
    }

    /// Lets others write again.
    pub(super) fn take_empty_waiter(slf: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        slf.get().state.with(slf.py(), |state| state.rare.as_deref_mut()?.empty_waiter.take())
    }

    /// A future that is done when the kernel takes bytes again, or the transport closes. The descriptor is watched on
    /// between one wait and the next.
    pub(super) fn make_writable_waiter<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (closing, event_loop) = slf.get().state.with(py, |state| (state.closing, state.event_loop.cloned(py)));
        let Some(event_loop) = event_loop else { return Err(PyRuntimeError::new_err("Transport is closed")) };
        let waiter = event_loop.bind(py).call_method0(intern!(py, "create_future"))?;
        if closing {
            wake(&waiter)?;
            return Ok(waiter);
        }
        let kept = waiter.clone().unbind();
        drop(slf.get().state.with(py, |state| state.rare_mut().writable_waiter.replace(Some(kept))));
        Self::sync_interest(slf)?;
        Ok(waiter)
    }

    /// The kernel takes bytes, and there are none: `sendfile` goes on, or has come to its end.
    #[cold]
    pub(super) fn writable_for_sendfile(slf: &Bound<'_, Self>) -> PyResult<()> {
        if Self::wake_sendfile(slf)? { Ok(()) } else { Self::sync_interest(slf) }
    }

    /// Wakes `sendfile` if it waits for the kernel; whether it did.
    pub(super) fn wake_sendfile(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().state.with(slf.py(), |state| state.rare.as_deref_mut()?.writable_waiter.take()) {
            Some(waiter) => wake(waiter.bind(slf.py())).map(|()| true),
            None => Ok(false),
        }
    }

    /// `sendfile` is over.
    pub(super) fn end_sendfile(slf: &Bound<'_, Self>) -> PyResult<()> {
        drop(Self::take_empty_waiter(slf));
        Self::wake_sendfile(slf)?;
        Self::sync_interest(slf)
    }
}
