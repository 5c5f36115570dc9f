//! `Lock`: one holder at a time, a thread or a task. Corresponds to `threading.Lock` and `asyncio.Lock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::call::wait_soon;
use super::manner::{Manner, Truth};
use super::owner::unique_number;
use super::pending::block;
use super::permits::{PermitWait, Shared};
use super::ready::ready;
use super::shown::object_named;
use crate::observe::By;
use crate::task::WaitReason;

/// Mutual exclusion between threads and tasks; first come, first served if *fair*.
///
/// Corresponds to `threading.Lock` and `asyncio.Lock`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Lock {
    permit: Shared,
    /// Its place in the order of all locks.
    pub number: u64,
}

impl Lock {
    /// `__enter__`: blocks, whoever calls.
    #[inline]
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().permit.try_take_as(slf.as_any(), By::Calling) {
            return Ok(());
        }
        block(slf.py(), &Self::pending(slf, false), None).map(drop)
    }

    /// `__aenter__`: something to await.
    #[inline]
    pub fn enter_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().permit.try_take_as(slf.as_any(), By::Awaiting) {
            return ready(slf.py());
        }
        wait_soon(slf.py(), Self::pending(slf, false), None)
    }

    /// `release()`.
    #[inline]
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let _displaced = slf.get().permit.left(slf.py());
        match slf.get().permit.give_back(slf.py(), 1, 1) {
            Ok(()) => Ok(()),
            Err(_) => Err(PyRuntimeError::new_err("release unlocked lock")),
        }
    }

    /// Takes it if that needs no waiting.
    #[inline]
    pub fn try_take(slf: &Bound<'_, Self>) -> bool {
        slf.get().permit.try_take_as(slf.as_any(), By::Awaiting)
    }

    /// Whether somebody holds it.
    pub fn is_held(&self) -> bool {
        self.permit.free() == 0
    }

    /// A wait for it.
    pub fn pending(slf: &Bound<'_, Self>, answer: bool) -> PermitWait {
        slf.get().permit.wait(slf.as_any(), "Lock.acquire", WaitReason::Lock, answer)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.permit.dropped();
    }
}

#[pymethods]
impl Lock {
    #[new]
    #[pyo3(signature = (*, fair=false))]
    fn __new__(fair: bool) -> Self {
        Self { permit: Shared::owned(fair), number: unique_number() }
    }

    /// Take the lock; return whether that has worked out. A thread waits until it is free; a task awaits what is
    /// returned. *blocking* False: do not wait; True: block, also in a task. *timeout*: seconds to wait at most; None
    /// and -1: without limit. Corresponds to `threading.Lock.acquire` and `asyncio.Lock.acquire`.
    #[pyo3(signature = (blocking=None, timeout=None))]
    pub fn acquire<'py>(
        slf: &Bound<'py, Self>,
        blocking: Option<Truth>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let manner = Manner::of_lock(blocking, timeout)?;
        manner.acquire(slf.py(), || Ok(Self::try_take(slf)), || Self::pending(slf, true))
    }

    /// Whether somebody holds it. Corresponds to `threading.Lock.locked`.
    fn locked(&self) -> bool {
        self.is_held()
    }

    /// As new, in a child of `fork()`.
    fn _at_fork_reinit(&self) {
        self.permit.dropped();
        self.permit.reset(1);
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let state = if this.is_held() { "locked" } else { "unlocked" };
        Ok(format!("<{state} {}, {} waiting>", object_named(slf.as_any())?, this.permit.waiting()))
    }
}
