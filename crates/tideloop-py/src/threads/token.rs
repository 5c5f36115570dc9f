//! `CancelToken`: how a function in a thread learns that nobody wants its result any more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::flag::Flag;
use tideloop_sys::parker::Slept;

use super::job::Job;
use crate::cell::Cell;
use crate::names;

/// Tells a running function that it may stop: ``token.cancelled``, ``token.raise_if_cancelled()``, ``token.wait(1.0)``.
///
/// Nothing stops a function that does not ask.
#[pyclass(frozen, weakref, module = "tideloop.threads")]
#[derive(Default)]
pub struct CancelToken {
    flag: Flag,
    /// The jobs that have it and have not begun, by their addresses.
    queued: Queued,
}

struct Queued(Cell<Option<HashMap<usize, Py<Job>>>>);

impl Default for Queued {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

impl CancelToken {
    pub fn is_cancelled(&self) -> bool {
        self.flag.is_set()
    }

    /// `cancel()`.
    pub fn set(&self, py: Python<'_>) {
        self.flag.set();
        let queued = self.queued.0.with(py, Option::take).unwrap_or_default();
        for job in queued.values() {
            Job::call_off(job.bind(py));
        }
    }

    /// A job that has it is queued, and to be called off when it is cancelled.
    pub fn watch(&self, job: &Bound<'_, Job>) {
        let py = job.py();
        if self.is_cancelled() {
            Job::call_off(job);
        } else if job.get().is_queued() {
            let entry = job.clone().unbind();
            let before = self.queued.0.with(py, |queued| queued.get_or_insert_default().insert(address_of(job), entry));
            drop(before);
        }
    }

    /// It has begun, or never will.
    pub fn forget(&self, job: &Bound<'_, Job>) {
        drop(self.queued.0.with(job.py(), |queued| queued.as_mut()?.remove(&address_of(job))));
    }
}

fn address_of(job: &Bound<'_, Job>) -> usize {
    job.as_ptr() as usize
}

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Cancel: whoever asks or waits is told, calls that have not begun are cancelled at once. Callable from any thread.
    fn cancel(&self, py: Python<'_>) {
        self.set(py);
    }

    /// Whether cancel() was called.
    #[getter]
    fn cancelled(&self) -> bool {
        self.is_cancelled()
    }

    /// Raise concurrent.futures.CancelledError if it is cancelled: the future is then cancelled, not failed.
    fn raise_if_cancelled(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_cancelled() { Err(PyErr::from_value(names::thread_cancelled_error(py)?.call0()?)) } else { Ok(()) }
    }

    /// Sleep for *seconds* (None: without limit), or until it is cancelled, which is the answer.
    #[pyo3(signature = (seconds=None))]
    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<bool> {
        wait_for(py, &self.flag, Deadline::after(seconds))
    }

    fn __repr__(&self) -> String {
        let state = if self.is_cancelled() { "cancelled" } else { "not cancelled" };
        format!("<CancelToken {state}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self
            .queued
            .0
            .during_gc(|queued| queued.iter().flat_map(HashMap::values).try_for_each(|job| visit.call(job)));
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(&self) {
        Python::attach(|py| drop(self.queued.0.with(py, Option::take)));
    }
}

/// The token of the function that a pool's worker runs in this thread.
///
/// Raises RuntimeError in any other thread.
#[pyfunction]
pub(super) fn current_token(py: Python<'_>) -> PyResult<Py<CancelToken>> {
    Job::current_token(py)
}

/// When a wait is over; None: never.
#[derive(Clone, Copy)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// So many seconds from now; None: never. So is a time that no clock reaches.
    pub fn after(seconds: Option<f64>) -> Self {
        let Some(seconds) = seconds else { return Self(None) };
        let wait = Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        Self(wait.and_then(|wait| Instant::now().checked_add(wait)))
    }

    fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// Waits until the flag is set, without the interpreter; whether it is. Signals' handlers run meanwhile, and what they
/// raise ends the wait.
pub fn wait_for(py: Python<'_>, flag: &Flag, deadline: Deadline) -> PyResult<bool> {
    loop {
        let left = deadline.left();
        if flag.is_set() || left.is_some_and(|left| left.is_zero()) {
            return Ok(flag.is_set());
        }
        match py.detach(|| flag.wait(left)) {
            Slept::Woken => return Ok(true),
            Slept::TimedOut => {}
            Slept::Interrupted => py.check_signals()?,
        }
    }
}
