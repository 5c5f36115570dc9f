//! `Barrier`: so many tasks wait for each other. Corresponds to `asyncio.Barrier`: the same steps over a condition, so
//! that those who wait go on in the same order.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit, intern};

use super::call::SyncCall;
use super::condition::{Condition, Waited};
use super::lock::{Lock, Taken};
use super::primitive::shown;
use super::steps::{Op, Place, Steps};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Resumed, Stepped};
use crate::names;
use crate::task::WaitReason;

/// What a barrier does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Tasks arrive.
    Filling,
    /// All have arrived; they leave.
    Draining,
    /// It was reset; those who wait leave with an error.
    Resetting,
    /// It was aborted; nobody passes.
    Broken,
}

/// How far a `wait()` is, or `reset()` or `abort()`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Start,
    /// It takes the lock.
    Entering,
    /// It waits until the barrier has drained.
    Blocked,
    /// It is counted, and waits for the others.
    Counted,
}

struct State {
    mode: Mode,
    parties: i64,
    count: i64,
    condition: Slot<Condition>,
}

/// The native half of `tideloop.Barrier`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct Barrier {
    state: Cell<State>,
}

impl Mode {
    /// asyncio's word for it, and the name of the member of its enumeration in capitals.
    fn name(self) -> &'static str {
        match self {
            Self::Filling => "filling",
            Self::Draining => "draining",
            Self::Resetting => "resetting",
            Self::Broken => "broken",
        }
    }

    /// Whether those who wait for the others wait on.
    fn holds_up(self, part: Part) -> bool {
        match part {
            Part::Blocked => matches!(self, Self::Draining | Self::Resetting),
            _ => self == Self::Filling,
        }
    }
}

impl Barrier {
    fn mode(&self, py: Python<'_>) -> Mode {
        self.state.with(py, |state| state.mode)
    }

    fn condition<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Condition>> {
        let condition = self.state.with(py, |state| state.condition.cloned(py));
        condition
            .map(|condition| condition.into_bound(py))
            .ok_or_else(|| PyRuntimeError::new_err("Barrier.__init__() has not been called"))
    }

    /// Counts one who has arrived: its index, and whether it is the last one, who lets all go.
    fn arrive(&self, py: Python<'_>) -> (i64, bool) {
        self.state.with(py, |state| {
            state.count += 1;
            let last = state.count == state.parties;
            if last {
                state.mode = Mode::Draining;
            }
            (state.count - 1, last)
        })
    }

    /// Counts one who leaves; whether it is the last one, who makes the barrier ready for the next.
    fn leave(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| {
            state.count -= 1;
            if state.count == 0 && matches!(state.mode, Mode::Resetting | Mode::Draining) {
                state.mode = Mode::Filling;
            }
            state.count == 0
        })
    }
}

/// A step of any of its coroutines.
pub fn run<'py>(steps: &Steps, op: Op, barrier: &Bound<'py, Barrier>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
    let py = barrier.py();
    if op == Op::Exit {
        return Ok(Stepped::Return(py.None().into_bound(py)));
    }
    let condition = barrier.get().condition(py)?;
    let Some(lock) = condition.get().plain_lock(py) else {
        return Err(PyRuntimeError::new_err("the barrier's condition was replaced"));
    };
    let part = steps.progress(barrier.py(), |progress| progress.part);
    if part == Part::Start || part == Part::Entering {
        if let Some(waits) = enter(steps, &lock, resumed)? {
            return Ok(waits);
        }
        return finish(&lock, body(steps, op, barrier, &condition, None));
    }
    finish(&lock, body(steps, op, barrier, &condition, Some(resumed)))
}

/// Takes the lock of the condition; what to wait for, if it is not free.
fn enter<'py>(steps: &Steps, lock: &Bound<'py, Lock>, resumed: Resumed<'py>) -> PyResult<Option<Stepped<'py>>> {
    match (resumed, steps.place(lock.py())) {
        (Resumed::Start, _) => {
            if let Taken::Later(ticket, future) = Lock::take(lock)? {
                steps.progress(lock.py(), |progress| {
                    (progress.part, progress.place) = (Part::Entering, Place::Lock(ticket));
                });
                return Ok(Some(Stepped::Wait(future)));
            }
        }
        (Resumed::Thrown(exception, _), Place::Lock(ticket)) => {
            Lock::give_up(lock, ticket, &exception)?;
            return Err(PyErr::from_value(exception));
        }
        (Resumed::Thrown(exception, _), _) => return Err(PyErr::from_value(exception)),
        (Resumed::Woken(_), Place::Lock(ticket)) => Lock::taken(lock, ticket),
        (Resumed::Woken(_), _) => {}
    }
    steps.progress(lock.py(), |progress| (progress.part, progress.place) = (Part::Blocked, Place::Nowhere));
    Ok(None)
}

/// Gives the lock back, unless the coroutine waits with it or without it.
fn finish<'py>(lock: &Bound<'py, Lock>, outcome: PyResult<Stepped<'py>>) -> PyResult<Stepped<'py>> {
    if !matches!(outcome, Ok(Stepped::Wait(_))) {
        Lock::give_back(lock)?;
    }
    outcome
}

/// What is done with the lock held.
fn body<'py>(
    steps: &Steps,
    op: Op,
    barrier: &Bound<'py, Barrier>,
    condition: &Bound<'py, Condition>,
    resumed: Option<Resumed<'py>>,
) -> PyResult<Stepped<'py>> {
    let py = barrier.py();
    match op {
        Op::Reset | Op::Abort => {
            barrier.get().state.with(py, |state| {
                state.mode = match () {
                    () if op == Op::Abort => Mode::Broken,
                    () if state.count > 0 => Mode::Resetting,
                    () => Mode::Filling,
                };
            });
            Condition::notify(condition, usize::MAX)?;
            Ok(Stepped::Return(py.None().into_bound(py)))
        }
        _ => match steps.progress(barrier.py(), |progress| progress.part) {
            Part::Counted => counted(steps, barrier, condition, resumed),
            _ => blocked(steps, barrier, condition, resumed),
        },
    }
}

/// Waits while the barrier drains, and then counts in.
fn blocked<'py>(
    steps: &Steps,
    barrier: &Bound<'py, Barrier>,
    condition: &Bound<'py, Condition>,
    resumed: Option<Resumed<'py>>,
) -> PyResult<Stepped<'py>> {
    let py = barrier.py();
    if let Waited::For(future) = wait_while_held_up(steps, barrier, condition, resumed, Part::Blocked)? {
        return Ok(Stepped::Wait(future));
    }
    if barrier.get().mode(py) == Mode::Broken {
        return Err(broken(py, "Barrier aborted"));
    }
    let (index, last) = barrier.get().arrive(py);
    steps.progress(barrier.py(), |progress| (progress.part, progress.index) = (Part::Counted, index));
    if !last {
        return counted(steps, barrier, condition, None);
    }
    let notified = Condition::notify(condition, usize::MAX);
    leave(steps, barrier, condition, notified)
}

/// Waits for the others.
fn counted<'py>(
    steps: &Steps,
    barrier: &Bound<'py, Barrier>,
    condition: &Bound<'py, Condition>,
    resumed: Option<Resumed<'py>>,
) -> PyResult<Stepped<'py>> {
    let outcome = match wait_while_held_up(steps, barrier, condition, resumed, Part::Counted) {
        Ok(Waited::For(future)) => return Ok(Stepped::Wait(future)),
        Ok(Waited::Over) => match barrier.get().mode(barrier.py()) {
            Mode::Broken | Mode::Resetting => Err(broken(barrier.py(), "Abort or reset of barrier")),
            _ => Ok(()),
        },
        Err(error) => Err(error),
    };
    leave(steps, barrier, condition, outcome)
}

/// Counts out.
fn leave<'py>(
    steps: &Steps,
    barrier: &Bound<'py, Barrier>,
    condition: &Bound<'py, Condition>,
    outcome: PyResult<()>,
) -> PyResult<Stepped<'py>> {
    if barrier.get().leave(barrier.py()) {
        Condition::notify(condition, usize::MAX)?;
    }
    outcome?;
    let index = steps.progress(barrier.py(), |progress| progress.index);
    Ok(Stepped::Return(index.into_bound_py_any(barrier.py())?))
}

/// `condition.wait_for(...)`: until the barrier does not hold up one at this part.
fn wait_while_held_up<'py>(
    steps: &Steps,
    barrier: &Bound<'py, Barrier>,
    condition: &Bound<'py, Condition>,
    resumed: Option<Resumed<'py>>,
    part: Part,
) -> PyResult<Waited<'py>> {
    let mut waited = match resumed {
        Some(resumed) => Condition::go_on(condition, steps, resumed)?,
        None => Waited::Over,
    };
    while matches!(waited, Waited::Over) && barrier.get().mode(barrier.py()).holds_up(part) {
        waited = Condition::wait(condition, steps, (WaitReason::Barrier, barrier.as_any()))?;
    }
    Ok(waited)
}

#[cold]
fn broken(py: Python<'_>, message: &'static str) -> PyErr {
    match names::broken_barrier_error(py).and_then(|class| class.call1((message,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(State { mode: Mode::Filling, parties: 1, count: 0, condition: Slot::EMPTY }) }
    }

    /// What `__init__` does, with a new condition.
    #[pyo3(signature = (parties, condition, /))]
    fn _start(&self, parties: i64, condition: &Bound<'_, Condition>) -> PyResult<()> {
        if parties < 1 {
            let needed = if cfg!(Py_3_14) { "parties must be >= 1" } else { "parties must be > 0" };
            return Err(PyValueError::new_err(needed));
        }
        let kept = condition.clone().unbind();
        let old = self.state.with(condition.py(), |state| {
            (state.mode, state.parties, state.count) = (Mode::Filling, parties, 0);
            state.condition.replace(Some(kept))
        });
        drop(old);
        Ok(())
    }

    /// Wait until all have arrived; a number of one's own, 0 to `parties` - 1. BrokenBarrierError where the barrier is
    /// reset or aborted. Corresponds to `asyncio.Barrier.wait`.
    fn wait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        SyncCall::create(slf.py(), Op::Wait, slf.into())
    }

    /// Have those who wait raise BrokenBarrierError, and start anew. Corresponds to `asyncio.Barrier.reset`.
    fn reset<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        SyncCall::create(slf.py(), Op::Reset, slf.into())
    }

    /// Have those who wait, and whoever comes, raise BrokenBarrierError. Corresponds to `asyncio.Barrier.abort`.
    fn abort<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        SyncCall::create(slf.py(), Op::Abort, slf.into())
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.getattr(intern!(slf.py(), "wait"))?.is_instance_of::<pyo3::types::PyCFunction>() {
            return SyncCall::create(slf.py(), Op::Enter, slf.into());
        }
        names::barrier_class(slf.py())?.call_method1(intern!(slf.py(), "__aenter__"), (slf,))
    }

    #[pyo3(signature = (*_args))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        SyncCall::create(slf.py(), Op::Exit, slf.into())
    }

    /// How many tasks it takes. Corresponds to `asyncio.Barrier.parties`.
    #[getter]
    fn parties(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| state.parties)
    }

    /// How many wait now. Corresponds to `asyncio.Barrier.n_waiting`.
    #[getter]
    fn n_waiting(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| if state.mode == Mode::Filling { state.count } else { 0 })
    }

    /// Whether it was aborted. Corresponds to `asyncio.Barrier.broken`.
    #[getter]
    fn broken(&self, py: Python<'_>) -> bool {
        self.mode(py) == Mode::Broken
    }

    #[getter]
    fn _count(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| state.count)
    }

    #[getter]
    fn _parties(&self, py: Python<'_>) -> i64 {
        self.parties(py)
    }

    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        names::barrier_state(py)?.call1((self.mode(py).name(),))
    }

    #[getter]
    fn _cond<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Condition>> {
        self.condition(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let mut extra = slf.get().mode(py).name().to_owned();
        if !slf.get().broken(py) {
            extra = format!("{extra}, waiters:{}/{}", slf.get().n_waiting(py), slf.get().parties(py));
        }
        shown(slf.as_any(), &extra, 0)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.condition.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.state.with(py, |state| state.condition.take()));
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        drop(self.state.get_mut().condition.take());
    }
}
