//! What the loop's timers do when they are due: `call_later` has a handle, `sleep` and timeouts need none.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::timers::TimerKey;

use super::scheduling::deadline_ns;
use super::{Entry, EventLoop, TimerHandle};
use crate::compose::Timeout;
use crate::task::Future;

/// An idle loop wakes for timers at most this often: of a crowd of deadlines those that follow another this closely wait
/// for each other, no longer than a timer is late anyhow (some 150 µs under a hypervisor). A lone timer is exact.
pub(super) const TIMERS_APART_NS: u64 = 100_000;
/// A longer wait is made in two steps: most of it, then the rest. Under a hypervisor a timer is late by up to a
/// thousandth of what it was asked for (1 ms for 1 s, measured), which a short second step makes good.
const EXACT_WAIT_NS: u64 = 20_000_000;
/// The part of a long wait that is left for the second step: twice what the first may be late.
const LEFT_OF_LONG_WAIT: u64 = 500;

/// When to wake on the way to a deadline that has not come: at the deadline, or shortly before one that is far away.
pub(super) const fn first_step_to(deadline_ns: u64, now_ns: u64) -> u64 {
    let wait = deadline_ns - now_ns;
    if wait > EXACT_WAIT_NS { deadline_ns - wait / LEFT_OF_LONG_WAIT } else { deadline_ns }
}

/// One thing to do at its time. It becomes an entry of the ready queue, as asyncio's handles do.
pub enum Timer {
    /// Run a handle, unless it was cancelled.
    Handle(Py<TimerHandle>),
    /// Finish a future, unless it is done.
    Release(Py<Future>),
    /// Cancel what a timeout limits, if it still waits for this deadline.
    Expire(Py<Timeout>),
}

impl Timer {
    /// It is due: what is to be done in this turn.
    pub(super) fn into_entry(self, py: Python<'_>) -> Entry {
        match self {
            Self::Handle(timer) => {
                timer.get().set_key(py, None);
                Entry::Handle(timer.into_bound(py).into_super().unbind())
            }
            Self::Release(future) => Entry::Release(future),
            Self::Expire(timeout) => {
                let arming = timeout.get().arming(py);
                Entry::Expire(timeout, arming)
            }
        }
    }

    /// Drops what it holds.
    #[inline]
    fn release(self, py: Python<'_>) {
        match self {
            Self::Handle(timer) => timer.drop_ref(py),
            Self::Release(future) => future.drop_ref(py),
            Self::Expire(timeout) => timeout.drop_ref(py),
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(timer) => visit.call(timer),
            Self::Release(future) => visit.call(future),
            Self::Expire(timeout) => visit.call(timeout),
        }
    }
}

impl EventLoop {
    /// Sets a timer `delay` seconds from now. `RuntimeError` where the loop is closed.
    #[inline]
    pub(crate) fn set_timer_in(&self, py: Python<'_>, delay: f64, timer: Timer) -> PyResult<TimerKey> {
        self.set_timer_at(py, self.time() + delay, timer)
    }

    /// Sets a timer for `when`, in seconds on the loop's clock. `RuntimeError` where the loop is closed.
    #[inline]
    pub(crate) fn set_timer_at(&self, py: Python<'_>, when: f64, timer: Timer) -> PyResult<TimerKey> {
        self.check_usable(py)?;
        Ok(self.with_state(py, |state| state.timers.insert(deadline_ns(when), timer)))
    }

    /// Takes a timer back, if it is not due yet.
    #[inline]
    pub(crate) fn forget_timer(&self, py: Python<'_>, key: TimerKey) {
        if let Some(timer) = self.with_state(py, |state| state.timers.remove(key)) {
            timer.release(py);
        }
    }
}
