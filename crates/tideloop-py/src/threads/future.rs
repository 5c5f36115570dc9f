//! `ThreadFuture`: the state of a `concurrent.futures.Future`, and every change of it; `future_methods.rs` shows it.
//!
//! The stdlib's future has a lock and a condition of its own from its birth. This one changes under the interpreter
//! lock and has threads wait on a flag that is made when the first one does. Others rely on the condition, though:
//! `concurrent.futures.wait` and `as_completed` hold it while they look at the state and leave a waiter. So it is made
//! when somebody asks for it, and from then on every change happens with it held.

use std::sync::{Arc, OnceLock};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::flag::Flag;

use super::job::Job;
use super::token::{Deadline, wait_for};
use super::wake::Wake;
use crate::cell::{Cell, Slot};
use crate::error::unraisable;
use crate::slots::finalizer::Finalize;
use crate::slots::{self, Slotted, calls};
use crate::{names, slots::OFFSET_OF_ROOT};

/// How far a future is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Pending,
    Running,
    Cancelled,
    /// Cancelled, and whoever waits in `concurrent.futures.wait` has been told.
    CancelledAndNotified,
    Finished,
}

impl Status {
    /// The stdlib's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Cancelled => "CANCELLED",
            Self::CancelledAndNotified => "CANCELLED_AND_NOTIFIED",
            Self::Finished => "FINISHED",
        }
    }

    pub const fn is_done(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified | Self::Finished)
    }

    pub const fn is_cancelled(self) -> bool {
        matches!(self, Self::Cancelled | Self::CancelledAndNotified)
    }
}

/// A future without its methods.
pub(super) struct FutureState {
    pub status: Status,
    /// The outcome is an exception.
    pub failed: bool,
    /// The exception was never looked at.
    pub untold: bool,
    /// The result or exception.
    pub outcome: Slot,
    pub callbacks: Vec<Py<PyAny>>,
    /// What threads in `result()` and `exception()` sleep on.
    pub gate: Option<Arc<Flag>>,
    /// The stdlib's white box: its condition and the list of its waiters.
    pub condition: Slot,
    pub waiters: Slot<PyList>,
    /// What it is the future of, until that is begun.
    pub job: Slot<Job>,
}

/// The native half of the futures that `tideloop.threads.ThreadPool.submit` returns.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct ThreadFuture {
    pub(super) state: Cell<FutureState>,
}

impl Slotted for ThreadFuture {
    const OFFSET: usize = OFFSET_OF_ROOT;
}

/// How a change of the state went.
pub enum Change {
    /// It was made; these have to be told.
    Made(Told),
    /// The state did not allow it.
    Refused(Status),
}

/// Who has to be told of a future that is done.
pub struct Told {
    gate: Option<Arc<Flag>>,
    callbacks: Vec<Py<PyAny>>,
}

impl FutureState {
    const fn blank() -> Self {
        Self {
            status: Status::Pending,
            failed: false,
            untold: false,
            outcome: Slot::EMPTY,
            callbacks: Vec::new(),
            gate: None,
            condition: Slot::EMPTY,
            waiters: Slot::EMPTY,
            job: Slot::EMPTY,
        }
    }

    fn told(&mut self) -> Told {
        Told { gate: self.gate.take(), callbacks: std::mem::take(&mut self.callbacks) }
    }
}

impl ThreadFuture {
    pub fn blank() -> Self {
        Self { state: Cell::new(FutureState::blank()) }
    }

    /// A pending future of the public class.
    pub fn create(py: Python<'_>) -> PyResult<Bound<'_, Self>> {
        slots::create_derived(names::thread_future_class(py)?, Self::blank())
    }

    pub fn status(&self, py: Python<'_>) -> Status {
        self.state.with(py, |state| state.status)
    }

    /// Notes what it is the future of: cancelling it takes that out of the queue.
    pub fn belongs_to(&self, py: Python<'_>, job: Py<Job>) {
        drop(self.state.with(py, |state| state.job.replace(Some(job))));
    }

    /// Makes a change, with the condition held if there is one, in which case waiters are told too.
    fn change<R>(slf: &Bound<'_, Self>, f: impl FnOnce(&mut FutureState) -> R) -> PyResult<R> {
        let py = slf.py();
        let condition = slf.get().state.with(py, |state| match state.condition.cloned(py) {
            Some(condition) => Err((condition, f)),
            None => Ok(f(state)),
        });
        let (condition, f) = match condition {
            Ok(result) => return Ok(result),
            Err(pair) => pair,
        };
        let condition = condition.bind(py);
        condition.call_method0(intern!(py, "acquire"))?;
        let before = slf.get().status(py);
        let result = slf.get().state.with(py, f);
        let told = if slf.get().status(py) == before { Ok(()) } else { Self::tell_waiters(slf, condition) };
        condition.call_method0(intern!(py, "release"))?;
        told.map(|()| result)
    }

    /// `concurrent.futures.wait` and `as_completed` are told of an end, and of a cancellation once it is notified.
    fn tell_waiters(slf: &Bound<'_, Self>, condition: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (status, failed, waiters) =
            slf.get().state.with(py, |state| (state.status, state.failed, state.waiters.cloned(py)));
        let method = match status {
            Status::Finished if failed => intern!(py, "add_exception"),
            Status::Finished => intern!(py, "add_result"),
            Status::CancelledAndNotified => intern!(py, "add_cancelled"),
            Status::Cancelled => return condition.call_method0(intern!(py, "notify_all")).map(drop),
            Status::Pending | Status::Running => return Ok(()),
        };
        if let Some(waiters) = waiters {
            for waiter in waiters.bind(py) {
                waiter.call_method1(method, (slf,))?;
            }
        }
        condition.call_method0(intern!(py, "notify_all")).map(drop)
    }

    /// Sets the result or exception. A future that is done already refuses it, with the state that it is in.
    pub fn finish(slf: &Bound<'_, Self>, outcome: Py<PyAny>, failed: bool) -> PyResult<Change> {
        let (change, unused) = Self::change(slf, |state| {
            if state.status.is_done() {
                return (Change::Refused(state.status), Some(outcome));
            }
            (state.status, state.failed, state.untold) = (Status::Finished, failed, failed);
            let old = state.outcome.replace(Some(outcome));
            (Change::Made(state.told()), old)
        })?;
        drop(unused);
        Ok(change)
    }

    /// A worker begins: whether it may. One that was cancelled meanwhile is notified instead.
    pub fn begin(slf: &Bound<'_, Self>) -> PyResult<Result<bool, Status>> {
        let (begun, job) = Self::change(slf, |state| {
            let begun = match state.status {
                Status::Pending => {
                    state.status = Status::Running;
                    Ok(true)
                }
                Status::Cancelled => {
                    state.status = Status::CancelledAndNotified;
                    Ok(false)
                }
                other => Err(other),
            };
            (begun, state.job.take())
        })?;
        drop(job);
        Ok(begun)
    }

    /// Cancels, unless it runs or is done; whether it is cancelled now. One that waits in a pool's queue leaves it.
    pub fn cancel_native(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (change, job) = Self::change(slf, |state| match state.status {
            Status::Pending => {
                state.status = Status::Cancelled;
                (Change::Made(state.told()), state.job.take())
            }
            other => (Change::Refused(other), None),
        })?;
        match change {
            Change::Refused(status) => Ok(status.is_cancelled()),
            Change::Made(told) => {
                Self::tell(slf, told)?.keep();
                if let Some(job) = job {
                    // No worker will ever come across it to do this.
                    Job::abandon(job.bind(slf.py()));
                    let _ = Self::begin(slf)?;
                }
                Ok(true)
            }
        }
    }

    /// Calls the callbacks, as the stdlib does: what one raises is logged. Who waits in `result()` is left to wake, or,
    /// where there are callbacks, awake: one of them may wait for that.
    pub fn tell(slf: &Bound<'_, Self>, told: Told) -> PyResult<Wake> {
        let py = slf.py();
        let wake = Wake::waiting(told.gate);
        if told.callbacks.is_empty() {
            return Ok(wake);
        }
        wake.keep();
        for callback in told.callbacks {
            Self::call_back(slf, callback.bind(py))?;
        }
        Ok(Wake::Nobody)
    }

    /// Calls one callback; only what is no `Exception` leaves it.
    pub fn call_back(slf: &Bound<'_, Self>, callback: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let Err(error) = calls::call_one_or_hang(callback, slf.as_any()) else { return Ok(()) };
        if !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
            return Err(error);
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.value(py))?;
        let arguments = (intern!(py, "exception calling callback for %r"), slf);
        names::futures_logger(py)?.call_method(intern!(py, "error"), arguments, Some(&keywords)).map(drop)
    }

    /// Waits until it is done, at most so long; whether it is. A worker of the pool that is to do the job does it right
    /// here if nobody else can: one that waits for its own kind would wait for ever.
    pub fn wait(slf: &Bound<'_, Self>, seconds: Option<f64>) -> PyResult<bool> {
        let py = slf.py();
        let deadline = Deadline::after(seconds);
        if seconds.is_none()
            && let Some(job) = slf.get().state.with(py, |state| state.job.cloned(py))
        {
            Job::help(job.bind(py))?;
        }
        let gate = slf
            .get()
            .state
            .with(py, |state| (!state.status.is_done()).then(|| Arc::clone(state.gate.get_or_insert_default())));
        let Some(gate) = gate else { return Ok(true) };
        wait_for(py, &gate, deadline)?;
        // Who sets the white-box attributes by hand holds the condition until all of them are set.
        if let Some(condition) = slf.get().state.with(py, |state| state.condition.cloned(py)) {
            condition.bind(py).call_method0(intern!(py, "acquire"))?;
            condition.bind(py).call_method0(intern!(py, "release"))?;
        }
        Ok(slf.get().status(py).is_done())
    }

    /// The result or exception, which counts as told from here on, and whether it is the latter.
    pub fn outcome(&self, py: Python<'_>) -> (Option<Py<PyAny>>, bool) {
        self.state.with(py, |state| {
            state.untold = false;
            (state.outcome.cloned(py), state.failed)
        })
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.outcome.visit(visit)?;
            for callback in &state.callbacks {
                visit.call(callback)?;
            }
            state.condition.visit(visit)?;
            state.waiters.visit(visit)?;
            state.job.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }

    /// Everything that it holds, for dropping outside of its cell.
    pub(super) fn take_contents(state: &mut FutureState) -> impl Sized + use<> {
        let callbacks = std::mem::take(&mut state.callbacks);
        (state.outcome.take(), callbacks, state.condition.take(), state.waiters.take(), state.job.take())
    }
}

impl Drop for ThreadFuture {
    fn drop(&mut self) {
        drop(Self::take_contents(self.state.get_mut()));
    }
}

impl Finalize for ThreadFuture {
    fn deallocator() -> &'static OnceLock<ffi::destructor> {
        static ORIGINAL: OnceLock<ffi::destructor> = OnceLock::new();
        &ORIGINAL
    }

    fn dies_silently(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.untold)
    }

    /// Nobody has looked at its exception, and nobody can any more: the program is told.
    fn finalize(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let untold = slf.get().state.with(py, |state| std::mem::replace(&mut state.untold, false));
        if !untold {
            return;
        }
        let (Some(exception), true) = slf.get().outcome(py) else { return };
        let report = || {
            let keywords = PyDict::new(py);
            keywords.set_item(intern!(py, "exc_info"), exception)?;
            let arguments = (intern!(py, "exception of a thread pool's job was never retrieved: %r"), slf);
            names::thread_logger(py)?.call_method(intern!(py, "error"), arguments, Some(&keywords)).map(drop)
        };
        if let Err(error) = report() {
            unraisable(py, error, Some(slf));
        }
    }
}
