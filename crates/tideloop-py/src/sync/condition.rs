//! `Condition`: wait until somebody who holds the lock says that something has changed. Corresponds to
//! `asyncio.Condition`, as the running version has it.
//!
//! A condition on a lock of ours is native. On any other lock it is asyncio's own code that runs, over our crowd.
//!
//! # The life of a wait
//!
//! It holds the lock, gives it back and queues up in the condition's *crowd*. However it leaves that, it takes the
//! *lock* again, whatever happens meanwhile, and then returns, or raises what ended the wait. What it raises from 3.13
//! on wakes another one, who might else never hear of the change.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::call::SyncCall;
use super::crowd::Crowd;
use super::lock::{Lock, Taken};
use super::primitive::{Primitive, is_plain, shown};
use super::steps::{Op, Place, Steps, is_cancellation};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Resumed, Stepped};
use crate::names;
use crate::task::{Future, WaitReason};

struct State {
    /// The lock, of whatever class; none before `__init__`.
    lock: Slot,
    /// The same, if it is one of ours, and neither class has methods of its own.
    plain_lock: Slot<Lock>,
}

/// The native half of `tideloop.Condition`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Condition {
    state: Cell<State>,
}

/// What a task that waits for a condition shows: why, and for what.
pub type Shown<'a, 'py> = (WaitReason, &'a Bound<'py, PyAny>);

/// How far a wait is.
pub enum Waited<'py> {
    /// It is over, and the lock is held.
    Over,
    /// It has to wait for this.
    For(Bound<'py, Future>),
}

impl Condition {
    /// The lock, if everything about the condition is ours.
    #[inline]
    pub fn plain_lock<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Lock>> {
        self.state.with(py, |state| state.plain_lock.cloned(py)).map(|lock| lock.into_bound(py))
    }

    /// The lock of a condition in a native coroutine, which is made only where it is ours.
    fn own_lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Lock>> {
        self.plain_lock(py).ok_or_else(|| PyRuntimeError::new_err("the condition's lock was replaced"))
    }

    /// `_lock`.
    fn lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let lock = self.state.with(py, |state| state.lock.cloned(py));
        lock.map(|lock| lock.into_bound(py))
            .ok_or_else(|| PyRuntimeError::new_err("Condition.__init__() has not been called"))
    }

    /// `locked()`.
    pub fn is_locked(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match slf.get().plain_lock(slf.py()) {
            Some(lock) => Ok(Lock::is_locked(&lock)),
            None => slf.call_method0(intern!(slf.py(), "locked"))?.is_truthy(),
        }
    }

    /// `notify(count)`.
    #[inline]
    pub fn notify(slf: &Bound<'_, Self>, count: usize) -> PyResult<()> {
        if !Self::is_locked(slf)? {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        Self::wake(slf, count)
    }

    /// Wakes the first `count` of those who wait.
    #[inline]
    pub fn wake(slf: &Bound<'_, Self>, count: usize) -> PyResult<()> {
        crowd(slf).wake(slf.py(), count, false)
    }

    /// Starts a wait.
    #[inline]
    pub fn wait<'py>(slf: &Bound<'py, Self>, steps: &Steps, shown: Shown<'_, 'py>) -> PyResult<Waited<'py>> {
        let lock = slf.get().own_lock(slf.py())?;
        if !Lock::is_locked(&lock) {
            return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
        }
        let future = if cfg!(Py_3_13) {
            let future = crowd(slf).future(slf.as_any(), shown)?;
            Lock::give_back(&lock)?;
            future
        } else {
            Lock::give_back(&lock)?;
            match crowd(slf).future(slf.as_any(), shown) {
                Ok(future) => future,
                Err(error) => return Self::take_back(slf, steps, &lock, Some(error)),
            }
        };
        steps.stand(slf.py(), Place::Crowd(crowd(slf).enter(future.as_any())));
        Ok(Waited::For(future))
    }

    /// Goes on with a wait.
    #[inline]
    pub fn go_on<'py>(slf: &Bound<'py, Self>, steps: &Steps, resumed: Resumed<'py>) -> PyResult<Waited<'py>> {
        let lock = slf.get().own_lock(slf.py())?;
        match (steps.place(slf.py()), resumed) {
            (Place::Crowd(ticket), resumed) => {
                crowd(slf).leave(slf.py(), ticket);
                let error =
                    if let Resumed::Thrown(exception, _) = resumed { Some(PyErr::from_value(exception)) } else { None };
                Self::take_back(slf, steps, &lock, error)
            }
            (Place::Lock(ticket), Resumed::Thrown(exception, _)) => {
                steps.stand(slf.py(), Place::Nowhere);
                Lock::give_up(&lock, ticket, &exception)?;
                if !is_cancellation(&exception)? {
                    return Self::failed(slf, PyErr::from_value(exception));
                }
                let error = match cfg!(Py_3_13) {
                    true => PyErr::from_value(exception),
                    false => PyErr::from_value(names::cancelled_error(slf.py())?.call0()?),
                };
                Self::take_back(slf, steps, &lock, Some(error))
            }
            (Place::Lock(ticket), _) => {
                Lock::taken(&lock, ticket);
                Self::over(slf, steps)
            }
            (Place::Nowhere, Resumed::Thrown(exception, _)) => Err(PyErr::from_value(exception)),
            (Place::Nowhere, _) => Ok(Waited::Over),
        }
    }

    /// Takes the lock again, and raises `error` when it has it, or what was to be raised before.
    fn take_back<'py>(
        slf: &Bound<'py, Self>,
        steps: &Steps,
        lock: &Bound<'py, Lock>,
        error: Option<PyErr>,
    ) -> PyResult<Waited<'py>> {
        let py = slf.py();
        steps.stand(slf.py(), Place::Nowhere);
        if let Some(error) = error {
            let error = Some(error.into_value(py).into_any());
            drop(steps.progress(slf.py(), |progress| progress.error.replace(error)));
        }
        match Lock::take(lock) {
            Ok(Taken::Now) => Self::over(slf, steps),
            Ok(Taken::Later(ticket, future)) => {
                steps.stand(slf.py(), Place::Lock(ticket));
                Ok(Waited::For(future))
            }
            Err(error) => Self::failed(slf, error),
        }
    }

    /// The lock is held again.
    #[inline]
    fn over<'py>(slf: &Bound<'py, Self>, steps: &Steps) -> PyResult<Waited<'py>> {
        let error = steps.progress(slf.py(), |progress| {
            progress.place = Place::Nowhere;
            progress.error.take()
        });
        match error {
            None => Ok(Waited::Over),
            Some(error) => Self::failed(slf, PyErr::from_value(error.into_bound(slf.py()))),
        }
    }

    /// A wait ends with an exception: perhaps it had been notified, and another one has to be.
    fn failed<'py>(slf: &Bound<'py, Self>, error: PyErr) -> PyResult<Waited<'py>> {
        if cfg!(Py_3_13) {
            Self::wake(slf, 1)?;
        }
        Err(error)
    }
}

/// A step of `wait()` and `wait_for()`.
#[inline]
pub fn run<'py>(
    steps: &Steps,
    op: Op,
    condition: &Bound<'py, Condition>,
    resumed: Resumed<'py>,
) -> PyResult<Stepped<'py>> {
    let py = condition.py();
    let shown = (WaitReason::Condition, condition.as_any());
    let mut waited = match resumed {
        Resumed::Start if op == Op::WaitFor => Waited::Over,
        Resumed::Start => Condition::wait(condition, steps, shown)?,
        resumed => Condition::go_on(condition, steps, resumed)?,
    };
    loop {
        if let Waited::For(future) = waited {
            return Ok(Stepped::Wait(future));
        }
        if op == Op::Wait {
            return Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any()));
        }
        let Some(predicate) = steps.progress(py, |progress| progress.predicate.cloned(py)) else {
            return Err(PyRuntimeError::new_err("coroutine was taken apart"));
        };
        let result = predicate.bind(py).call0()?;
        if result.is_truthy()? {
            return Ok(Stepped::Return(result));
        }
        waited = Condition::wait(condition, steps, shown)?;
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let plain = is_plain(class, &["acquire", "release", "locked", "wait"])?;
        let state = State { lock: Slot::EMPTY, plain_lock: Slot::EMPTY };
        Ok(PyClassInitializer::from(Primitive::new(plain)).add_subclass(Self { state: Cell::new(state) }))
    }

    /// What `__init__` does; whether the lock is one whose methods have to be looked up.
    #[pyo3(signature = (lock, /))]
    fn _start(slf: &Bound<'_, Self>, lock: &Bound<'_, PyAny>) -> bool {
        let py = lock.py();
        let ours = lock.cast::<Lock>().ok().filter(|lock| Lock::is_plain(lock)).map(|lock| lock.clone().unbind());
        let (kept, ours) = (lock.clone().unbind(), ours.filter(|_| crowd(slf).is_plain()));
        let is_foreign = ours.is_none();
        drop(slf.get().state.with(py, |state| (state.lock.replace(Some(kept)), state.plain_lock.replace(ours))));
        is_foreign
    }

    /// The lock.
    #[getter]
    fn _lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lock(py)
    }

    /// Wait until `predicate()` is true; that value. Corresponds to `asyncio.Condition.wait_for`.
    fn wait_for<'py>(slf: &Bound<'py, Self>, predicate: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().plain_lock(slf.py()).is_none() {
            return names::condition_class(slf.py())?.call_method1(intern!(slf.py(), "wait_for"), (slf, predicate));
        }
        SyncCall::create_with(slf.py(), Op::WaitFor, slf.into(), Slot::holding(predicate.clone().unbind()))
    }

    /// Wake all who wait. Corresponds to `asyncio.Condition.notify_all`.
    fn notify_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::notify(slf, usize::MAX)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = if Self::is_locked(slf)? { "locked" } else { "unlocked" };
        shown(slf.as_any(), extra, crowd(slf).len(slf.py()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.lock.visit(&visit)?;
            state.plain_lock.visit(&visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.state.with(py, |state| (state.lock.take(), state.plain_lock.take())));
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        drop((state.lock.take(), state.plain_lock.take()));
    }
}

#[inline]
fn crowd<'a>(condition: &'a Bound<'_, Condition>) -> &'a Crowd {
    condition.as_super().get().crowd()
}
