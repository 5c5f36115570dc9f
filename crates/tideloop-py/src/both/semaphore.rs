//! `Semaphore` and `BoundedSemaphore`: so many holders at a time, threads and tasks. Correspond to those of threading
//! and of asyncio.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tideloop_core::both::permits::PERMITS_MAX;

use super::call::wait_soon;
use super::manner::{Manner, Truth};
use super::owner::unique_number;
use super::pending::block;
use super::permits::{PermitWait, Shared};
use super::ready::ready;
use super::shown::class_named;
use crate::task::WaitReason;

/// A number of permits for threads and tasks; first come, first served if *fair*.
///
/// Corresponds to `threading.Semaphore` and `asyncio.Semaphore`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Semaphore {
    permits: Shared,
    /// As many may be free.
    limit: u64,
    /// Its place in the order of all locks.
    pub number: u64,
}

/// A semaphore that more than the initial number of permits cannot be given back to.
///
/// Corresponds to `threading.BoundedSemaphore` and `asyncio.BoundedSemaphore`.
#[pyclass(frozen, subclass, extends = Semaphore, module = "tideloop.sync")]
pub struct BoundedSemaphore;

impl Semaphore {
    fn create(value: i64, fair: bool, bounded: bool) -> PyResult<Self> {
        let Ok(value) = u64::try_from(value) else {
            return Err(PyValueError::new_err("semaphore initial value must be >= 0"));
        };
        let limit = if bounded { value } else { PERMITS_MAX };
        Ok(Self { permits: Shared::new(value, fair), limit, number: unique_number() })
    }

    /// `__enter__`: blocks, whoever calls.
    #[inline]
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().permits.try_take() {
            return Ok(());
        }
        block(slf.py(), &Self::pending(slf, false), None).map(drop)
    }

    /// `__aenter__`: something to await.
    #[inline]
    pub fn enter_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().permits.try_take() {
            return ready(slf.py());
        }
        wait_soon(slf.py(), Self::pending(slf, false), None)
    }

    /// `release()`.
    #[inline]
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::release_many(slf, 1)
    }

    /// `release(n)`.
    pub fn release_many(slf: &Bound<'_, Self>, count: i64) -> PyResult<()> {
        let this = slf.get();
        let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
            return Err(PyValueError::new_err("n must be one or more"));
        };
        match this.permits.give_back(slf.py(), count, this.limit) {
            Ok(()) => Ok(()),
            Err(_) => Err(PyValueError::new_err("Semaphore released too many times")),
        }
    }

    /// Takes a permit if that needs no waiting.
    #[inline]
    pub fn try_take(&self) -> bool {
        self.permits.try_take()
    }

    /// A wait for a permit.
    pub fn pending(slf: &Bound<'_, Self>, answer: bool) -> PermitWait {
        slf.get().permits.wait(slf.as_any(), "Semaphore.acquire", WaitReason::Semaphore, answer)
    }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (value=1, *, fair=false))]
    fn __new__(value: i64, fair: bool) -> PyResult<Self> {
        Self::create(value, fair, false)
    }

    /// Take a permit; return whether that has worked out. A thread waits until one is free; a task awaits what is
    /// returned. *blocking* False: do not wait; True: block, also in a task. *timeout*: seconds to wait at most; None:
    /// without limit. Corresponds to `threading.Semaphore.acquire` and `asyncio.Semaphore.acquire`.
    #[pyo3(signature = (blocking=None, timeout=None))]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        blocking: Option<Truth>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let manner = Manner::of_semaphore(blocking, timeout)?;
        manner.acquire(slf.py(), || Ok(slf.get().permits.try_take()), || Self::pending(slf, true))
    }

    /// Whether no permit is free. Corresponds to `asyncio.Semaphore.locked`.
    fn locked(&self) -> bool {
        self.permits.free() == 0
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let most = if this.limit == PERMITS_MAX { String::new() } else { format!("/{}", this.limit) };
        let (free, waiting) = (this.permits.free(), this.permits.waiting());
        let waiting = if waiting == 0 { String::new() } else { format!(", {waiting} waiting") };
        Ok(format!("<{} at {:p}: value={free}{most}{waiting}>", class_named(slf.as_any())?, slf.as_ptr()))
    }
}

#[pymethods]
impl BoundedSemaphore {
    #[new]
    #[pyo3(signature = (value=1, *, fair=false))]
    fn __new__(value: i64, fair: bool) -> PyResult<PyClassInitializer<Self>> {
        Ok(PyClassInitializer::from(Semaphore::create(value, fair, true)?).add_subclass(Self))
    }
}
