//! What a coroutine of a primitive does and how far it is: the same for `SyncCall` and `EntryCall`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::wait_queue::Ticket;

use super::owner::{Owner, Subject};
use super::{barrier, condition, event, lock, semaphore};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Resumed, Stepped};
use crate::names;

/// What a coroutine does to its primitive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Acquire,
    Enter,
    Exit,
    Wait,
    WaitFor,
    Reset,
    Abort,
}

/// Where a coroutine waits.
#[derive(Clone, Copy)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// In the crowd of its primitive.
    Crowd(Ticket),
    /// Among those who wait for the lock of its condition.
    Lock(Ticket),
}

/// What is kept from one step to the next.
pub struct Progress {
    pub place: Place,
    /// The part of a `barrier.wait()`.
    pub part: barrier::Part,
    /// The number that `barrier.wait()` returns.
    pub index: i64,
    /// What `wait_for` waits for.
    pub predicate: Slot,
    /// What `condition.wait()` raises as soon as it has the lock again.
    pub error: Slot,
}

struct State {
    op: Op,
    owner: Owner,
    progress: Progress,
}

/// The body of a coroutine.
pub struct Steps(Cell<State>);

impl Steps {
    /// Those of a coroutine that does `op` to `owner`.
    #[inline]
    pub const fn new(op: Op, owner: Owner, predicate: Slot) -> Self {
        let error = Slot::EMPTY;
        let progress = Progress { place: Place::Nowhere, part: barrier::Part::Start, index: 0, predicate, error };
        Self(Cell::new(State { op, owner, progress }))
    }

    /// Looks at what it keeps, or changes it; `f` runs no Python and drops no Python object.
    #[inline]
    pub fn progress<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Progress) -> R) -> R {
        self.0.with(py, |state| f(&mut state.progress))
    }

    /// Where it waits.
    #[inline]
    pub fn place(&self, py: Python<'_>) -> Place {
        self.progress(py, |progress| progress.place)
    }

    /// Its ticket in the crowd of its primitive, if it waits there.
    #[inline]
    pub fn ticket(&self, py: Python<'_>) -> Option<Ticket> {
        self.progress(py, |progress| if let Place::Crowd(ticket) = progress.place { Some(ticket) } else { None })
    }

    /// Notes where it waits from now on.
    #[inline]
    pub fn stand(&self, py: Python<'_>, place: Place) {
        self.progress(py, |progress| progress.place = place);
    }

    /// What it does.
    #[inline]
    pub fn op(&self, py: Python<'_>) -> Op {
        self.0.with(py, |state| state.op)
    }

    /// What it does, and to what, unless that has been let go.
    #[inline]
    pub fn subject<'py>(&self, py: Python<'py>) -> (Op, Option<Subject<'py>>) {
        self.0.with(py, |state| (state.op, state.owner.cloned(py)))
    }

    /// asyncio's name for the coroutine.
    pub fn qualname(&self, py: Python<'_>) -> &'static str {
        match self.0.with(py, |state| (state.op, Kind::of(&state.owner))) {
            (Op::Enter, Kind::Barrier) => "Barrier.__aenter__",
            (Op::Exit, Kind::Barrier) => "Barrier.__aexit__",
            (Op::Enter, _) => "_ContextManagerMixin.__aenter__",
            (Op::Exit, _) => "_ContextManagerMixin.__aexit__",
            (Op::Acquire, Kind::Semaphore) => "Semaphore.acquire",
            (Op::Acquire, _) => "Lock.acquire",
            (Op::Wait, Kind::Condition) => "Condition.wait",
            (Op::Wait, Kind::Barrier) => "Barrier.wait",
            (Op::Wait, _) => "Event.wait",
            (Op::WaitFor, _) => "Condition.wait_for",
            (Op::Reset, _) => "Barrier.reset",
            (Op::Abort, _) => "Barrier.abort",
        }
    }

    /// One step.
    #[inline]
    pub fn run<'py>(&self, py: Python<'py>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let (op, subject) = self.subject(py);
        match &subject {
            Some(Subject::Lock(lock)) => lock::run(self, op, lock, resumed),
            Some(Subject::Semaphore(semaphore)) => semaphore::run(self, op, semaphore, resumed),
            Some(Subject::Event(event)) => event::run(self, event, resumed),
            Some(Subject::Condition(condition)) => condition::run(self, op, condition, resumed),
            Some(Subject::Barrier(barrier)) => barrier::run(self, op, barrier, resumed),
            None => Err(PyRuntimeError::new_err("coroutine was taken apart")),
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.owner.visit(visit)?;
            state.progress.predicate.visit(visit)?;
            state.progress.error.visit(visit)
        };
        self.0.during_gc(visit_all).unwrap_or(Ok(()))
    }

    /// Lets go of what it holds.
    #[inline]
    pub fn clear(&self, py: Python<'_>) {
        let (owner, predicate, error) = self.0.with(py, |state| {
            let owner = std::mem::replace(&mut state.owner, Owner::Nobody);
            (owner, state.progress.predicate.take(), state.progress.error.take())
        });
        owner.release(py);
        if let Some(predicate) = predicate {
            predicate.drop_ref(py);
        }
        if let Some(error) = error {
            error.drop_ref(py);
        }
    }
}

/// The class of an owner, for names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lock,
    Event,
    Semaphore,
    Condition,
    Barrier,
}

impl Kind {
    fn of(owner: &Owner) -> Self {
        match owner {
            Owner::Nobody | Owner::Lock(_) => Self::Lock,
            Owner::Event(_) => Self::Event,
            Owner::Semaphore(_) => Self::Semaphore,
            Owner::Condition(_) => Self::Condition,
            Owner::Barrier(_) => Self::Barrier,
        }
    }
}

/// Whether it is a `CancelledError`.
pub fn is_cancellation(exception: &Bound<'_, PyAny>) -> PyResult<bool> {
    exception.is_instance(names::cancelled_error(exception.py())?)
}
