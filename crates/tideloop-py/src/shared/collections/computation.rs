//! A value that one thread is about to compute for a key, and the threads that wait for it.
//!
//! Who waits is parked detached and woken when the computation has ended, whichever way. A thread waits for at most one
//! computation, and each belongs to one thread: so a circle of waits shows when its last member is about to wait, and
//! that one gets an error instead.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::shared::short::Short;
use crate::shared::thread as number;

/// How long a wait lasts before it looks for signals, so that Ctrl+C ends it.
const SIGNALS_LOOKED_FOR_EVERY: Duration = Duration::from_millis(50);

/// Which thread waits for which other thread's computation.
static WAITS: LazyLock<Short<HashMap<u64, u64>>> = LazyLock::new(|| Short::new(HashMap::new()));

/// How a computation has ended.
pub enum Outcome {
    Value(Py<PyAny>),
    Error(PyErr),
    /// By what concerns one thread alone, such as KeyboardInterrupt, or by a fork: somebody has to compute it anew.
    Abandoned,
}

impl Outcome {
    fn copied(&self, py: Python<'_>) -> Self {
        match self {
            Self::Value(value) => Self::Value(value.clone_ref(py)),
            Self::Error(error) => Self::Error(error.clone_ref(py)),
            Self::Abandoned => Self::Abandoned,
        }
    }
}

enum State {
    Running(Vec<Thread>),
    Ended(Outcome),
}

/// A computation.
#[pyclass(frozen)]
pub struct Computation {
    owner: u64,
    state: Short<State>,
}

impl Computation {
    /// One that this thread is about to make.
    pub fn begin() -> Self {
        Self { owner: number::current(), state: Short::new(State::Running(Vec::new())) }
    }

    /// Whether this thread makes it.
    pub fn is_mine(&self) -> bool {
        self.owner == number::current()
    }

    /// Whether nobody makes it any more.
    pub fn has_ended(&self) -> bool {
        number::is_gone(self.owner) || self.state.with(|state| matches!(state, State::Ended(_)))
    }

    /// Ends it, and wakes who waits.
    pub fn end(&self, outcome: Outcome) {
        let before = self.state.with(|state| std::mem::replace(state, State::Ended(outcome)));
        if let State::Running(waiters) = before {
            waiters.iter().for_each(Thread::unpark);
        }
    }

    /// How it has ended, once it has; an exception of a signal handler ends the wait.
    pub fn wait(&self, py: Python<'_>) -> PyResult<Outcome> {
        let me = number::current();
        if !WAITS.with(|waits| announce(waits, me, self.owner)) {
            return Err(PyRuntimeError::new_err(
                "get_or_compute() would wait for itself: the function of this key waits, through those of other keys, \
                 for a key that this thread is computing",
            ));
        }
        let outcome = self.wait_announced(py);
        WAITS.with(|waits| waits.remove(&me));
        outcome
    }

    fn wait_announced(&self, py: Python<'_>) -> PyResult<Outcome> {
        let mut queued = false;
        loop {
            let ended = self.state.with(|state| match state {
                State::Ended(outcome) => Some(outcome.copied(py)),
                State::Running(waiters) => {
                    waiters.extend((!std::mem::replace(&mut queued, true)).then(thread::current));
                    None
                }
            });
            if let Some(outcome) = ended {
                return Ok(outcome);
            }
            if number::is_gone(self.owner) {
                return Ok(Outcome::Abandoned);
            }
            py.detach(|| thread::park_timeout(SIGNALS_LOOKED_FOR_EVERY));
            py.check_signals()?;
        }
    }
}

/// Notes that `me` waits for `owner`, unless `owner` waits for `me`, however indirectly.
fn announce(waits: &mut HashMap<u64, u64>, me: u64, owner: u64) -> bool {
    let mut last = owner;
    while let Some(&next) = waits.get(&last) {
        last = next;
    }
    if last == me {
        return false;
    }
    waits.insert(me, owner);
    true
}

#[pymethods]
impl Computation {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .during_gc(|state| match state {
                State::Ended(Outcome::Value(value)) => visit.call(value),
                _ => Ok(()),
            })
            .unwrap_or(Ok(()))
    }
}
