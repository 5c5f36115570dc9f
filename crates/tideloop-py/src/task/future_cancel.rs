//! Cancelling a future: what is scheduled, what is remembered of it, and what is raised for it.

use pyo3::prelude::*;

use super::Future;
use super::future::Status;
use super::wait_reason::WaitReason;
use crate::names;
use crate::threads::Job;

impl Future {
    /// Cancels, and schedules the callbacks; whether it was still pending.
    pub(crate) fn cancel_native(slf: &Bound<'_, Self>, message: Option<Py<PyAny>>) -> PyResult<bool> {
        Self::cancel_by(slf, message, None)
    }

    /// The same for a task, with the error that its coroutine ended with.
    pub(super) fn cancel_by(
        slf: &Bound<'_, Self>,
        message: Option<Py<PyAny>>,
        error: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let py = slf.py();
        let set = slf.get().state.with(py, |state| {
            state.log_traceback = false;
            if state.status != Status::Pending {
                return None;
            }
            state.status = Status::Cancelled;
            let is_job = state.reason == WaitReason::Job;
            let no_message = message.is_none() && state.rare.is_none();
            let old = if no_message { None } else { std::mem::replace(&mut state.rare().cancel_message, message) };
            let waited_for = state.outcome.replace(error);
            Some((old, is_job, waited_for, state.event_loop.get(py), state.take_callbacks()))
        });
        match set {
            Some((old, is_job, waited_for, event_loop, callbacks)) => {
                drop(old);
                if let (true, Some(job)) = (is_job, &waited_for) {
                    abandon(job.bind(py));
                }
                drop(waited_for);
                callbacks.schedule(slf, event_loop)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The `CancelledError` to raise: the one that ended a task, the first time; else a new one with the message.
    pub(crate) fn cancelled_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (saved, message) = self.state.with(py, |state| {
            let saved = if state.status == Status::Cancelled { state.outcome.take() } else { None };
            let message = state.rare.as_ref().and_then(|rare| rare.cancel_message.as_ref().map(|m| m.clone_ref(py)));
            (saved, message)
        });
        if let Some(saved) = saved {
            return Ok(saved.into_bound(py));
        }
        match message {
            Some(message) if !message.is_none(py) => names::cancelled_error(py)?.call1((message,)),
            _ => names::cancelled_error(py)?.call0(),
        }
    }

    /// The first thing that `cancel` does: whatever was not retrieved is not reported; and whether it is pending.
    pub(super) fn cancellable(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| {
            state.log_traceback = false;
            state.status == Status::Pending
        })
    }

    pub(super) fn store_cancel_message(&self, py: Python<'_>, message: Option<Py<PyAny>>) {
        let old = self.state.with(py, |state| {
            if message.is_none() && state.rare.is_none() {
                return None;
            }
            std::mem::replace(&mut state.rare().cancel_message, message)
        });
        drop(old);
    }

    pub(super) fn cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.rare.as_ref()?.cancel_message.as_ref().map(|message| message.clone_ref(py)))
    }
}

/// Nobody waits any more for what a thread was to do.
#[cold]
fn abandon(job: &Bound<'_, PyAny>) {
    if let Ok(job) = job.cast::<Job>() {
        Job::abandon(job);
    }
}
