//! `acquire_all`: several locks at once. Each has a number, and whoever takes several takes them in that order, so
//! that no two wait for each other.

use std::time::Duration;

use pyo3::exceptions::{PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::rwlock::Access;
use tideloop_sys::clock::now_ns;

use super::lock::Lock;
use super::pending::{Limit, Pending, block, deadline_ns, limit};
use super::ready::ready;
use super::rlock::RLock;
use super::rwlock::RWLockSide;
use super::semaphore::Semaphore;
use crate::names;

/// Holds several locks while its block runs.
#[pyclass(frozen, module = "tideloop.sync")]
pub struct AcquireAll {
    /// In order.
    locks: Vec<Member>,
    limit: Limit,
}

enum Member {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
    Semaphore(Py<Semaphore>),
    Side(Py<RWLockSide>),
}

impl Member {
    fn of(lock: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(lock) = lock.cast::<Lock>() {
            return Ok(Self::Lock(lock.clone().unbind()));
        }
        if let Ok(lock) = lock.cast::<RLock>() {
            return Ok(Self::RLock(lock.clone().unbind()));
        }
        if let Ok(semaphore) = lock.cast::<Semaphore>() {
            return Ok(Self::Semaphore(semaphore.clone().unbind()));
        }
        match lock.cast::<RWLockSide>() {
            Ok(side) => Ok(Self::Side(side.clone().unbind())),
            Err(_) => Err(PyTypeError::new_err(format!("not a lock of tideloop.sync: {}", lock.repr()?))),
        }
    }

    /// The place in the order of all locks, and of the sides of one that to write first, which stands for both.
    fn key(&self) -> (u64, bool) {
        match self {
            Self::Lock(lock) => (lock.get().number, false),
            Self::RLock(lock) => (lock.get().number, false),
            Self::Semaphore(semaphore) => (semaphore.get().number, false),
            Self::Side(side) => (side.get().lock.get().number, side.get().access == Access::Read),
        }
    }

    fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        match self {
            Self::Lock(lock) => lock.bind(py).as_any(),
            Self::RLock(lock) => lock.bind(py).as_any(),
            Self::Semaphore(semaphore) => semaphore.bind(py).as_any(),
            Self::Side(side) => side.bind(py).as_any(),
        }
    }

    /// Takes it, blocking: whether it was in time.
    fn take(&self, py: Python<'_>, limit: Limit) -> PyResult<bool> {
        let pending: Box<dyn Pending> = match self {
            Self::Lock(lock) => Box::new(Lock::pending(lock.bind(py), true)),
            Self::RLock(lock) => Box::new(RLock::pending(lock.bind(py))),
            Self::Semaphore(semaphore) => Box::new(Semaphore::pending(semaphore.bind(py), true)),
            Self::Side(side) => Box::new(RWLockSide::pending(side.bind(py))),
        };
        block(py, &*pending, limit)?.is_truthy(py)
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Lock(lock) => Lock::release(lock.bind(py)),
            Self::RLock(lock) => RLock::release(lock.bind(py)),
            Self::Semaphore(semaphore) => Semaphore::release(semaphore.bind(py)),
            Self::Side(side) => RWLockSide::release(side.bind(py)),
        }
    }
}

impl AcquireAll {
    /// Releases these, the last one first; all of them, whatever goes wrong with one.
    fn release(py: Python<'_>, locks: &[Member]) -> PyResult<()> {
        let mut outcome = Ok(());
        for lock in locks.iter().rev() {
            outcome = outcome.and(lock.release(py));
        }
        outcome
    }
}

/// Hold several locks in a block, `with acquire_all(a, b):` in a thread and `async with acquire_all(a, b):` in a task:
/// Lock, RLock, Semaphore, and the sides of an RWLock. They are taken in one order that all locks have, so that those who
/// take theirs in this way never wait for each other in a circle. One that is given twice is taken once, and of both
/// sides of an RWLock that to write. What has been taken is released again where the rest cannot be had: TimeoutError
/// after *timeout* seconds (None: without limit).
#[pyfunction]
#[pyo3(signature = (*locks, timeout=None))]
pub fn acquire_all(locks: &Bound<'_, PyTuple>, timeout: Option<f64>) -> PyResult<AcquireAll> {
    let mut locks = locks.iter().map(|lock| Member::of(&lock)).collect::<PyResult<Vec<_>>>()?;
    locks.sort_by_key(Member::key);
    locks.dedup_by_key(|lock| lock.key().0);
    Ok(AcquireAll { locks, limit: limit(timeout)? })
}

#[pymethods]
impl AcquireAll {
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let deadline_ns = deadline_ns(self.limit);
        for (taken, lock) in self.locks.iter().enumerate() {
            let left = deadline_ns.map(|deadline| Duration::from_nanos(deadline.saturating_sub(now_ns())));
            let outcome = match lock.take(py, left) {
                Ok(true) => continue,
                Ok(false) => Err(PyTimeoutError::new_err("not all locks could be had in time")),
                Err(error) => Err(error),
            };
            Self::release(py, self.locks.get(..taken).unwrap_or_default())?;
            return outcome;
        }
        Ok(())
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        Self::release(py, &self.locks)
    }

    fn __aenter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let locks = PyTuple::new(py, self.locks.iter().map(|lock| lock.object(py)))?;
        names::take_in_order(py)?.call1((locks, self.limit.map(|limit| limit.as_secs_f64())))
    }

    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _kind: &Bound<'py, PyAny>,
        _error: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::release(py, &self.locks)?;
        ready(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let locks =
            self.locks.iter().map(|lock| Ok(lock.object(py).repr()?.to_string())).collect::<PyResult<Vec<_>>>()?;
        Ok(format!("<tideloop.sync.acquire_all {}>", locks.join(", ")))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.locks.iter().try_for_each(|lock| match lock {
            Member::Lock(lock) => visit.call(lock),
            Member::RLock(lock) => visit.call(lock),
            Member::Semaphore(semaphore) => visit.call(semaphore),
            Member::Side(side) => visit.call(side),
        })
    }
}
