//! `Condition`: waits until somebody notifies, without the lock meanwhile. Corresponds to `threading.Condition` and
//! `asyncio.Condition`.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::condition::Condition as Rules;
use tideloop_sys::clock::now_ns;

use super::call::wait;
use super::condition_wait::ConditionWait;
use super::gates::{Shared, Shown};
use super::here::{Here, here};
use super::lock::Lock;
use super::manner::Truth;
use super::pending::{Limit, Pending, block, deadline_ns, limit};
use super::permits::truth;
use super::rlock::RLock;
use super::shown::object_named;
use crate::names;

/// Waits until somebody notifies, threads and tasks in one queue, around a *lock*, a Lock or RLock of this module
/// (None: a new RLock).
///
/// Corresponds to `threading.Condition` and `asyncio.Condition`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Condition {
    pub gate: Shared<Rules>,
    pub base: Base,
}

/// The lock around which a condition is.
pub enum Base {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
}

impl Base {
    fn of(lock: Option<&Bound<'_, PyAny>>, py: Python<'_>) -> PyResult<Self> {
        let Some(lock) = lock.filter(|lock| !lock.is_none()) else {
            return Ok(Self::RLock(Py::new(py, RLock::create(false))?));
        };
        if let Ok(lock) = lock.cast::<Lock>() {
            return Ok(Self::Lock(lock.clone().unbind()));
        }
        match lock.cast::<RLock>() {
            Ok(lock) => Ok(Self::RLock(lock.clone().unbind())),
            Err(_) => Err(PyTypeError::new_err(format!("a Lock or RLock of tideloop.sync, not {}", lock.repr()?))),
        }
    }

    /// The lock itself.
    pub fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        match self {
            Self::Lock(lock) => lock.bind(py).as_any(),
            Self::RLock(lock) => lock.bind(py).as_any(),
        }
    }

    /// Whether whoever calls holds it; a Lock does not know by whom it is held.
    pub fn is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Self::Lock(lock) => Ok(lock.get().is_held()),
            Self::RLock(lock) => lock.get().is_owned(py),
        }
    }

    /// Releases it altogether: how often it was held.
    pub fn release_all(&self, py: Python<'_>) -> PyResult<u64> {
        match self {
            Self::Lock(lock) => Lock::release(lock.bind(py)).map(|()| 1),
            Self::RLock(lock) => lock.get().release_all(py),
        }
    }

    /// A wait to have it again.
    pub fn pending_again(&self, py: Python<'_>, count: u64) -> Box<dyn Pending> {
        match self {
            Self::Lock(lock) => Box::new(Lock::pending(lock.bind(py), true)),
            Self::RLock(lock) => Box::new(RLock::pending_again(lock.bind(py), count)),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Lock(lock) => visit.call(lock),
            Self::RLock(lock) => visit.call(lock),
        }
    }
}

impl Shown for Rules {
    fn answered(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
        Ok(truth(py, true))
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(truth(py, false))
    }

    /// One who was notified has left: the next one is.
    fn take_back(&mut self, (): ()) -> Option<()> {
        self.notify(1);
        None
    }
}

impl Condition {
    /// `__enter__`: blocks, whoever calls.
    #[inline]
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        match &slf.get().base {
            Base::Lock(lock) => Lock::enter(lock.bind(slf.py())),
            Base::RLock(lock) => RLock::enter(lock.bind(slf.py())),
        }
    }

    /// `__aenter__`: something to await.
    #[inline]
    pub fn enter_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match &slf.get().base {
            Base::Lock(lock) => Lock::enter_soon(lock.bind(slf.py())),
            Base::RLock(lock) => RLock::enter_soon(lock.bind(slf.py())),
        }
    }

    /// `release()`.
    #[inline]
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        match &slf.get().base {
            Base::Lock(lock) => Lock::release(lock.bind(slf.py())),
            Base::RLock(lock) => RLock::release(lock.bind(slf.py())),
        }
    }

    fn notify_some(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        if !self.base.is_owned(py)? {
            return Err(PyRuntimeError::new_err("cannot notify on un-acquired lock"));
        }
        self.gate.change(py, |condition, _| condition.notify(count));
        Ok(())
    }

    /// Blocks until the predicate holds.
    fn block_for<'py>(
        slf: &Bound<'py, Self>,
        predicate: &Bound<'py, PyAny>,
        limit: Limit,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline_ns = deadline_ns(limit);
        loop {
            let result = predicate.call0()?;
            if result.is_truthy()? {
                return Ok(result);
            }
            let left = deadline_ns.map(|deadline| std::time::Duration::from_nanos(deadline.saturating_sub(now_ns())));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(result);
            }
            block(slf.py(), &ConditionWait::new(slf), left)?;
        }
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (lock=None))]
    fn __new__(py: Python<'_>, lock: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self { gate: Shared::new(Rules::default()), base: Base::of(lock, py)? })
    }

    /// Take the lock: see there. Corresponds to `threading.Condition.acquire`.
    #[pyo3(signature = (blocking=None, timeout=None))]
    fn acquire<'py>(
        &self,
        py: Python<'py>,
        blocking: Option<Truth>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &self.base {
            Base::Lock(lock) => Lock::acquire(lock.bind(py), blocking, timeout),
            Base::RLock(lock) => RLock::acquire(lock.bind(py), blocking, timeout),
        }
    }

    /// Whether somebody holds the lock. Corresponds to `asyncio.Condition.locked`.
    fn locked(&self) -> bool {
        match &self.base {
            Base::Lock(lock) => lock.get().is_held(),
            Base::RLock(lock) => lock.get().is_held(),
        }
    }

    /// Release the lock, wait until notified, at most *timeout* seconds (None: without limit), and take the lock again;
    /// return whether it was in time. In a task: await it. The lock is held again however the wait ends, and one who is
    /// cancelled after it was notified notifies the next. RuntimeError where the lock is not held. Corresponds to
    /// `threading.Condition.wait` and `asyncio.Condition.wait`.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        wait(slf.py(), ConditionWait::new(slf), limit(timeout)?)
    }

    /// Wait until `predicate()`, which is called with the lock held, is true, at most *timeout* seconds; return what it
    /// returned last. In a task: await it. Corresponds to `threading.Condition.wait_for` and
    /// `asyncio.Condition.wait_for`.
    #[pyo3(signature = (predicate, timeout=None))]
    fn wait_for<'py>(
        slf: &Bound<'py, Self>,
        predicate: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let limit = limit(timeout)?;
        match here(slf.py())? {
            Here::Thread => Self::block_for(slf, predicate, limit),
            Here::Task(_) | Here::Trio(_) => names::wait_for_condition(slf.py())?.call1((slf, predicate, timeout)),
        }
    }

    /// Wake the first *n* who wait; the lock has to be held. Corresponds to `threading.Condition.notify`.
    #[pyo3(signature = (n=1))]
    fn notify(&self, py: Python<'_>, n: isize) -> PyResult<()> {
        self.notify_some(py, usize::try_from(n).unwrap_or(0))
    }

    /// Wake all who wait; the lock has to be held. Corresponds to `threading.Condition.notify_all`.
    fn notify_all(&self, py: Python<'_>) -> PyResult<()> {
        self.notify_some(py, usize::MAX)
    }

    /// Whether whoever calls holds the lock.
    fn _is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.base.is_owned(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let waiting = this.gate.look(|_, waiting| waiting[0]);
        Ok(format!("<{} {}, {waiting} waiting>", object_named(slf.as_any())?, this.base.object(slf.py()).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.base.visit(&visit)?;
        self.gate.visit(&visit)
    }
}
