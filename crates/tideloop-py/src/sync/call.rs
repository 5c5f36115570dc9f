//! `SyncCall`: the coroutine that `lock.acquire()`, `event.wait()` and their like return. Which one it is says its
//! [`Op`]; what each does is written beside the primitive.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyClass, PyTraverseError, PyVisit};
use tideloop_core::wait_queue::Ticket;

use super::{barrier, condition, event, lock, semaphore};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::names;
use crate::slots::coroutine::create;

/// What a coroutine does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    LockAcquire,
    LockEnter,
    LockExit,
    SemaphoreAcquire,
    SemaphoreEnter,
    SemaphoreExit,
    EventWait,
    ConditionWait,
    ConditionWaitFor,
    BarrierWait,
    BarrierEnter,
    BarrierExit,
    BarrierReset,
    BarrierAbort,
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

/// How far a coroutine is and what it keeps from one step to the next.
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
    owner: Slot,
    progress: Progress,
}

/// A wait for a primitive: a coroutine in all but its exact class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct SyncCall {
    life: Life,
    state: Cell<State>,
}

impl Progress {
    const fn new(predicate: Slot) -> Self {
        Self { place: Place::Nowhere, part: barrier::Part::Start, index: 0, predicate, error: Slot::EMPTY }
    }
}

impl SyncCall {
    /// A coroutine that does `op` to `owner`, which is of the class that goes with it.
    #[inline]
    pub fn create<'py>(owner: &Bound<'py, PyAny>, op: Op) -> PyResult<Bound<'py, PyAny>> {
        Self::create_with(owner, op, Slot::EMPTY)
    }

    /// `wait_for(predicate)`.
    pub fn create_with<'py>(owner: &Bound<'py, PyAny>, op: Op, predicate: Slot) -> PyResult<Bound<'py, PyAny>> {
        let state = State { op, owner: Slot::holding(owner.clone().unbind()), progress: Progress::new(predicate) };
        create(owner.py(), Self { life: Life::fresh(), state: Cell::new(state) }).map(Bound::into_any)
    }

    /// Looks at what it keeps, or changes it; `f` runs no Python and drops no Python object.
    #[inline]
    pub fn progress<R>(slf: &Bound<'_, Self>, f: impl FnOnce(&mut Progress) -> R) -> R {
        slf.get().state.with(slf.py(), |state| f(&mut state.progress))
    }

    /// Where it waits.
    #[inline]
    pub fn place(slf: &Bound<'_, Self>) -> Place {
        Self::progress(slf, |progress| progress.place)
    }

    /// Notes where it waits from now on.
    #[inline]
    pub fn stand(slf: &Bound<'_, Self>, place: Place) {
        Self::progress(slf, |progress| progress.place = place);
    }
}

impl NativeCoroutine for SyncCall {
    fn blank() -> Self {
        let state = State { op: Op::LockExit, owner: Slot::EMPTY, progress: Progress::new(Slot::EMPTY) };
        Self { life: Life::ended(), state: Cell::new(state) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        match self.state.with(py, |state| state.op) {
            Op::LockAcquire => "Lock.acquire",
            Op::LockEnter | Op::SemaphoreEnter => "_ContextManagerMixin.__aenter__",
            Op::LockExit | Op::SemaphoreExit => "_ContextManagerMixin.__aexit__",
            Op::SemaphoreAcquire => "Semaphore.acquire",
            Op::EventWait => "Event.wait",
            Op::ConditionWait => "Condition.wait",
            Op::ConditionWaitFor => "Condition.wait_for",
            Op::BarrierWait => "Barrier.wait",
            Op::BarrierEnter => "Barrier.__aenter__",
            Op::BarrierExit => "Barrier.__aexit__",
            Op::BarrierReset => "Barrier.reset",
            Op::BarrierAbort => "Barrier.abort",
        }
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (op, owner) = slf.get().state.with(py, |state| (state.op, state.owner.cloned(py)));
        let Some(owner) = owner else { return Err(PyRuntimeError::new_err("coroutine was taken apart")) };
        let owner = owner.into_bound(py);
        match op {
            Op::LockAcquire | Op::LockEnter | Op::LockExit => lock::run(slf, op, of(&owner)?, resumed),
            Op::SemaphoreAcquire | Op::SemaphoreEnter | Op::SemaphoreExit => {
                semaphore::run(slf, op, of(&owner)?, resumed)
            }
            Op::EventWait => event::run(slf, of(&owner)?, resumed),
            Op::ConditionWait | Op::ConditionWaitFor => condition::run(slf, op, of(&owner)?, resumed),
            _ => barrier::run(slf, op, of(&owner)?, resumed),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.owner.visit(visit)?;
            state.progress.predicate.visit(visit)?;
            state.progress.error.visit(visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        let (owner, predicate, error) = self
            .state
            .with(py, |state| (state.owner.take(), state.progress.predicate.take(), state.progress.error.take()));
        if let Some(owner) = owner {
            owner.drop_ref(py);
        }
        drop((predicate, error));
    }
}

native_coroutine!(SyncCall);

/// The primitive, as the class that goes with the call.
#[inline]
fn of<'a, 'py, T: PyClass>(owner: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, T>> {
    Ok(owner.cast::<T>()?)
}

/// Whether it is a `CancelledError`.
pub fn is_cancellation(exception: &Bound<'_, PyAny>) -> PyResult<bool> {
    exception.is_instance(names::cancelled_error(exception.py())?)
}
