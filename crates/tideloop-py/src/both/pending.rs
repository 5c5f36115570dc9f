//! One wait for a shared primitive, whoever waits: what a thread does that blocks, and what a task does that awaits.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::clock::now_ns;
use tideloop_sys::parker::Slept;

use super::door::Door;
use crate::observe::{Watched, Watching};
use crate::task::WaitReason;

/// What is waited for. One object is one wait: `enter` first, then `look` after each waking, until there is an answer,
/// or one leaves by `expire` or `give_up`.
pub trait Pending: Send + Sync {
    /// The name that a coroutine which waits has, such as `Lock.acquire`.
    fn qualname(&self) -> &'static str;

    /// Why a task that awaits it waits, and for which object.
    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>);

    /// Asks for what can be had without waiting. `None`: nothing; one enters then.
    fn attempt(&self, _py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(None)
    }

    /// Asks. `None`: one has to wait, and the door will be knocked at.
    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>>;

    /// Somebody has knocked: the answer. `None`: not yet; one goes on waiting.
    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>>;

    /// The time is up. Leaves: the answer if that came first, or what a time-out returns or raises.
    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;

    /// Leaves: whatever had been given meanwhile is handed on. May be called at any time, also twice.
    fn give_up(&self, py: Python<'_>);

    /// As `give_up`: its loop is closed, and nobody will look. What a coroutine does that is closed, it may do after.
    fn abandon(&self, py: Python<'_>) {
        self.give_up(py);
    }

    /// As `expire`. `None`: something has to be waited for before one may leave, without a limit; `look` as before.
    fn expire_or_linger(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.expire(py).map(Some)
    }

    /// As `give_up`, for one who leaves with an error. `true`: it may not yet; `look` as before, until there is an
    /// answer, which counts for nothing then.
    fn leave_or_linger(&self, py: Python<'_>) -> bool {
        self.give_up(py);
        false
    }

    /// What the deadlock detector looks at while one waits here; None where nobody owns what is waited for.
    fn watched<'py>(&self, _py: Python<'py>) -> Option<Watched<'py>> {
        None
    }

    /// The answer was for somebody else than the one who has waited: the detector does not know for whom.
    fn disown(&self, _py: Python<'_>) {}

    /// Shows what it holds to the collector.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// How long one is ready to wait: None is for ever.
pub type Limit = Option<Duration>;

/// Blocks this thread, without the interpreter lock, until there is an answer. Signal handlers run meanwhile, and what
/// they raise ends the wait.
pub fn block(py: Python<'_>, pending: &dyn Pending, limit: Limit) -> PyResult<Py<PyAny>> {
    let door = Door::of_thread();
    let Door::Thread(thread) = &*door else { return Ok(py.None()) };
    let mut deadline_ns = deadline_ns(limit);
    if let Some(answer) = pending.enter(py, &door)? {
        return Ok(answer);
    }
    // With what it ends as soon as it may.
    let mut failed = None;
    let mut watching = Watching::thread();
    loop {
        let mut error = watching.look(py, pending, deadline_ns.is_some()).err();
        if error.is_none() {
            let left = deadline_ns.map(|deadline| Duration::from_nanos(deadline.saturating_sub(now_ns())));
            let longest = watching.longest(left);
            let slept = thread.sleep(py, longest);
            error = match pending.look(py) {
                Ok(Some(answer)) => return failed.map_or(Ok(answer), Err),
                Ok(None) if slept == Slept::Interrupted => {
                    // Handlers may do anything, so that meanwhile nothing is known of this thread.
                    watching.pause();
                    py.check_signals().err()
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
        }
        if let Some(error) = error {
            if !pending.leave_or_linger(py) {
                return Err(error);
            }
            (failed, deadline_ns) = (Some(error), None);
        }
        if deadline_ns.is_some_and(|deadline| now_ns() >= deadline) {
            if let Some(answer) = pending.expire_or_linger(py)? {
                return Ok(answer);
            }
            deadline_ns = None;
        }
    }
}

/// The time at which a wait of `limit` ends, in nanoseconds of the monotonic clock.
pub fn deadline_ns(limit: Limit) -> Option<u64> {
    let ns = u64::try_from(limit?.as_nanos()).unwrap_or(u64::MAX);
    Some(now_ns().saturating_add(ns))
}

/// A number of seconds that somebody is ready to wait; None is for ever.
///
/// # Errors
/// `ValueError` for NaN, `OverflowError` for what no clock holds. What is below 0 is over.
pub fn limit(timeout: Option<f64>) -> PyResult<Limit> {
    let Some(seconds) = timeout else { return Ok(None) };
    if seconds.is_nan() {
        return Err(PyValueError::new_err("Invalid value NaN (not a number)"));
    }
    if seconds > THREAD_TIMEOUT_MAX {
        return Err(PyOverflowError::new_err("timeout value is too large"));
    }
    Ok(Some(Duration::from_secs_f64(seconds.max(0.0))))
}

/// `threading.TIMEOUT_MAX` on Linux, in seconds: nanoseconds in 64 bits.
const THREAD_TIMEOUT_MAX: f64 = 9_223_372_036.0;
