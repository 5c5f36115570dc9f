//! `RLock`: a lock that its owner, a task or a thread, may take again. Corresponds to `threading.RLock`.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::call::wait_soon;
use super::door::Door;
use super::manner::{Manner, Truth};
use super::owner::{Me, Owner, unique_number};
use super::pending::{Pending, block};
use super::permits::{PermitWait, Shared, truth};
use super::ready::ready;
use super::shown::object_named;
use crate::cell::Cell;
use crate::observe::{By, Watched};
use crate::task::WaitReason;

/// Mutual exclusion between threads and tasks, which whoever holds it may enter again; first come, first served if
/// *fair*. The owner is the task that runs, or the thread where none does.
///
/// Corresponds to `threading.RLock`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct RLock {
    permit: Shared,
    held: Cell<Held>,
    /// Its place in the order of all locks.
    pub number: u64,
}

/// Written by whoever has the permit.
struct Held {
    owner: Owner,
    /// How often its owner has taken it.
    count: u64,
}

impl RLock {
    /// A free one.
    pub fn create(fair: bool) -> Self {
        let held = Cell::new(Held { owner: Owner::NONE, count: 0 });
        Self { permit: Shared::owned(fair), held, number: unique_number() }
    }

    /// Whether somebody holds it.
    pub fn is_held(&self) -> bool {
        self.permit.free() == 0
    }

    /// Takes it if that needs no waiting.
    #[inline]
    pub fn try_take(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let me = Me::now(slf.py())?;
        Ok(slf.get().enter_again(slf.py(), &me) || Self::take_free(slf, &me, 1))
    }

    /// Once more, for its owner.
    #[inline]
    fn enter_again(&self, py: Python<'_>, me: &Me<'_>) -> bool {
        self.held.with(py, |held| {
            let is_mine = held.owner.is(me);
            held.count += u64::from(is_mine);
            is_mine
        })
    }

    #[inline]
    fn take_free(slf: &Bound<'_, Self>, me: &Me<'_>, count: u64) -> bool {
        let taken = slf.get().permit.try_take_as(slf.as_any(), By::Awaiting);
        if taken {
            slf.get().is_now_held(slf.py(), Owner::of(me), count);
        }
        taken
    }

    /// Who has the permit writes its name.
    #[inline]
    fn is_now_held(&self, py: Python<'_>, owner: Owner, count: u64) {
        self.held.with(py, |held| *held = Held { owner, count });
    }

    /// `__enter__`: blocks, whoever calls.
    #[inline]
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        if Self::try_take(slf)? {
            return Ok(());
        }
        block(slf.py(), &Self::pending(slf), None).map(drop)
    }

    /// `__aenter__`: something to await.
    #[inline]
    pub fn enter_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Self::try_take(slf)? {
            return ready(slf.py());
        }
        wait_soon(slf.py(), Self::pending(slf), None)
    }

    /// `release()`.
    #[inline]
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let me = Me::now(py)?;
        let task = this.held.with(py, |held| {
            if !held.owner.is(&me) {
                return Err(not_ours());
            }
            held.count -= 1;
            Ok((held.count == 0).then(|| held.take()))
        })?;
        if let Some(owner) = task {
            this.give_back(py, owner);
        }
        Ok(())
    }

    fn give_back(&self, py: Python<'_>, mut owner: Owner) {
        let _displaced = self.permit.left(py);
        // Nobody else can hold more than the one permit, which was ours.
        let _ = self.permit.give_back(py, 1, 1);
        drop(owner.take_task());
    }

    /// Whether whoever calls holds it.
    pub fn is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        let me = Me::now(py)?;
        Ok(self.held.with(py, |held| held.owner.is(&me)))
    }

    /// Releases it as often as its owner, who calls, has taken it: how often that was.
    pub fn release_all(&self, py: Python<'_>) -> PyResult<u64> {
        let me = Me::now(py)?;
        let (owner, count) = self.held.with(py, |held| {
            let count = held.count;
            if held.owner.is(&me) { Ok((held.take(), count)) } else { Err(not_ours()) }
        })?;
        self.give_back(py, owner);
        Ok(count)
    }

    /// A wait for it.
    pub fn pending(slf: &Bound<'_, Self>) -> RLockWait {
        Self::pending_again(slf, 1)
    }

    /// A wait to have it again as often as one had it before.
    pub fn pending_again(slf: &Bound<'_, Self>, count: u64) -> RLockWait {
        let permit = slf.get().permit.wait(slf.as_any(), "RLock.acquire", WaitReason::Lock, true);
        RLockWait { lock: slf.clone().unbind(), permit, owner: Cell::new(Owner::NONE), count }
    }
}

impl Held {
    fn take(&mut self) -> Owner {
        self.count = 0;
        std::mem::replace(&mut self.owner, Owner::NONE)
    }
}

fn not_ours() -> PyErr {
    PyRuntimeError::new_err("cannot release un-acquired lock")
}

#[pymethods]
impl RLock {
    #[new]
    #[pyo3(signature = (*, fair=false))]
    fn __new__(fair: bool) -> Self {
        Self::create(fair)
    }

    /// Take the lock, once more if it is ours; return whether that has worked out. A thread waits until it is free; a
    /// task awaits what is returned. *blocking* False: do not wait; True: block, also in a task. *timeout*: seconds to
    /// wait at most; None and -1: without limit. Corresponds to `threading.RLock.acquire`.
    #[pyo3(signature = (blocking=None, timeout=None))]
    pub fn acquire<'py>(
        slf: &Bound<'py, Self>,
        blocking: Option<Truth>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let manner = Manner::of_lock(blocking, timeout)?;
        manner.acquire(py, || Self::try_take(slf), || Self::pending(slf))
    }

    /// Whether somebody holds it. Corresponds to `threading.RLock.locked`.
    fn locked(&self) -> bool {
        self.is_held()
    }

    /// Whether whoever calls holds it: the task that runs, or this thread.
    fn owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_owned(py)
    }

    /// The same, for `threading.Condition`.
    fn _is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_owned(py)
    }

    /// How often whoever calls holds it.
    fn _recursion_count(&self, py: Python<'_>) -> PyResult<u64> {
        let me = Me::now(py)?;
        Ok(self.held.with(py, |held| if held.owner.is(&me) { held.count } else { 0 }))
    }

    /// Release it altogether; return what `_acquire_restore` wants. For `threading.Condition`.
    fn _release_save(&self, py: Python<'_>) -> PyResult<u64> {
        self.release_all(py)
    }

    /// Take it again, blocking, as often as it was held.
    fn _acquire_restore(slf: &Bound<'_, Self>, count: u64) -> PyResult<()> {
        block(slf.py(), &Self::pending_again(slf, count), None).map(drop)
    }

    /// As new, in a child of `fork()`.
    fn _at_fork_reinit(&self, py: Python<'_>) {
        let mut owner = self.held.with(py, Held::take);
        self.permit.dropped();
        self.permit.reset(1);
        drop(owner.take_task());
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (py, this) = (slf.py(), slf.get());
        let state = if this.is_held() { "locked" } else { "unlocked" };
        let (mut owner, count) = this.held.with(py, |held| (held.owner.cloned(py), held.count));
        let name = owner.describe(py).unwrap_or_else(|| String::from("None"));
        drop(owner.take_task());
        let (object, waiting) = (object_named(slf.as_any())?, this.permit.waiting());
        Ok(format!("<{state} {object}, owner={name} count={count}, {waiting} waiting>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.held.during_gc(|held| held.owner.visit(&visit)).unwrap_or(Ok(()))
    }
}

impl Drop for RLock {
    fn drop(&mut self) {
        self.permit.dropped();
        drop(self.held.get_mut().owner.take_task());
    }
}

/// One wait for the lock, by whoever enters.
pub struct RLockWait {
    lock: Py<RLock>,
    permit: PermitWait,
    owner: Cell<Owner>,
    /// How often it holds the lock then.
    count: u64,
}

impl RLockWait {
    /// It has the permit.
    fn has_it(&self, py: Python<'_>) -> Py<PyAny> {
        let owner = self.owner.with(py, |owner| std::mem::replace(owner, Owner::NONE));
        self.lock.get().is_now_held(py, owner, self.count);
        truth(py, true)
    }
}

impl Pending for RLockWait {
    fn qualname(&self) -> &'static str {
        self.permit.qualname()
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        self.permit.reason(py)
    }

    fn attempt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let me = Me::now(py)?;
        let lock = self.lock.bind(py);
        let taken = lock.get().enter_again(py, &me) || RLock::take_free(lock, &me, self.count);
        Ok(taken.then(|| truth(py, true)))
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        let me = Me::now(py)?;
        if self.lock.get().enter_again(py, &me) {
            return Ok(Some(truth(py, true)));
        }
        self.owner.with(py, |owner| *owner = Owner::of(&me));
        Ok(self.permit.take(py, door).then(|| self.has_it(py)))
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.permit.has_come(py).then(|| self.has_it(py)))
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(if self.permit.leave(py) { self.has_it(py) } else { truth(py, false) })
    }

    fn give_up(&self, py: Python<'_>) {
        self.permit.give_up(py);
    }

    fn watched<'py>(&self, py: Python<'py>) -> Option<Watched<'py>> {
        self.permit.watched(py)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.permit.visit(visit)?;
        visit.call(&self.lock)?;
        self.owner.during_gc(|owner| owner.visit(visit)).unwrap_or(Ok(()))
    }
}

impl Drop for RLockWait {
    fn drop(&mut self) {
        drop(self.owner.get_mut().take_task());
    }
}
