//! `RWLock`: many read, or one writes; threads and tasks.

use std::sync::Arc;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::rwlock::{Access, Policy, Request, RwLock as Rules};

use super::call::wait_soon;
use super::door::Door;
use super::gates::{GateWait, Shared, Shown};
use super::manner::{Manner, Truth};
use super::owner::{Me, Owner, unique_number};
use super::pending::{Pending, block};
use super::permits::truth;
use super::ready::ready;
use super::shown::class_named;
use crate::cell::Cell;
use crate::observe::{By, OwnTag, Tagged, Watched};
use crate::task::WaitReason;

/// A readers-writer lock for threads and tasks: `with lock.read():` beside other readers, `with lock.write():` alone.
/// *policy*: "fair" lets in who came first, readers that stand next to each other together; "reader" lets readers
/// overtake; "writer" lets who waits to write in before readers.
///
/// Who reads may read once more at any time. Who reads cannot begin to write, and who writes can begin neither: it would
/// wait for itself, and gets RuntimeError.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct RWLock {
    gate: Shared<Rules>,
    policy: Policy,
    inside: Cell<Vec<(Owner, Access, usize)>>,
    tag: Arc<OwnTag>,
    /// Its place in the order of all locks.
    pub number: u64,
}

/// One side of an RWLock, to read or to write, with the methods of a lock.
#[pyclass(frozen, weakref, module = "tideloop.sync")]
pub struct RWLockSide {
    pub lock: Py<RWLock>,
    pub access: Access,
}

impl Shown for Rules {
    fn answered(py: Python<'_>, _: Access) -> PyResult<Py<PyAny>> {
        Ok(truth(py, true))
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(truth(py, false))
    }

    fn take_back(&mut self, access: Access) -> Option<Access> {
        self.leave(access);
        None
    }
}

impl RWLock {
    /// Whether one who is inside already is let in without asking, as a reader is once more.
    fn enter_again(&self, py: Python<'_>, me: &Me<'_>, access: Access) -> PyResult<bool> {
        let before = self.inside.with(py, |inside| {
            let mine = inside.iter_mut().find(|(owner, ..)| owner.is(me))?;
            if (mine.1, access) == (Access::Read, Access::Read) {
                mine.2 += 1;
            }
            Some(mine.1)
        });
        match (before, access) {
            (None, _) => Ok(false),
            (Some(Access::Read), Access::Read) => {
                self.gate.change(py, |lock, _| lock.read_again());
                Ok(true)
            }
            (Some(Access::Read), Access::Write) => {
                Err(PyRuntimeError::new_err("a reader cannot begin to write: it would wait for itself"))
            }
            (Some(Access::Write), _) => {
                Err(PyRuntimeError::new_err("this lock is held for writing by whoever asks: it would wait for itself"))
            }
        }
    }

    fn is_now_inside(slf: &Bound<'_, Self>, owner: Owner, access: Access) {
        let this = slf.get();
        this.inside.with(slf.py(), |inside| inside.push((owner, access, 1)));
        match access {
            Access::Read => this.tag.0.shared(slf.as_any(), By::Awaiting),
            Access::Write => this.tag.0.taken(slf.as_any(), By::Awaiting),
        }
    }

    fn leave(&self, py: Python<'_>, access: Access) -> PyResult<()> {
        let me = Me::now(py)?;
        let left = self.inside.with(py, |inside| {
            let at = inside.iter().position(|(owner, held, _)| *held == access && owner.is(&me))?;
            let entry = inside.get_mut(at)?;
            entry.2 -= 1;
            Some((entry.2 == 0).then(|| inside.swap_remove(at)))
        });
        let Some(left) = left else { return Err(PyRuntimeError::new_err("cannot release un-acquired lock")) };
        let _displaced = match (&left, access) {
            (None, _) => None,
            (Some(_), Access::Read) => self.tag.0.left_share(py, By::Awaiting),
            (Some(_), Access::Write) => self.tag.0.left(py),
        };
        self.gate.change(py, |lock, _| lock.leave(access));
        if let Some((mut owner, ..)) = left {
            drop(owner.take_task());
        }
        Ok(())
    }
}

impl RWLockSide {
    fn request(&self) -> Request {
        Request { policy: self.lock.get().policy, access: self.access }
    }

    /// Takes it if that needs no waiting.
    pub fn try_take(&self, py: Python<'_>) -> PyResult<bool> {
        let me = Me::now(py)?;
        let lock = self.lock.get();
        if lock.enter_again(py, &me, self.access)? {
            return Ok(true);
        }
        let taken = lock.gate.try_now(py, self.request()).is_ok();
        if taken {
            RWLock::is_now_inside(self.lock.bind(py), Owner::of(&me), self.access);
        }
        Ok(taken)
    }

    /// `__enter__`: blocks, whoever calls.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().try_take(slf.py())? {
            return Ok(());
        }
        block(slf.py(), &Self::pending(slf), None).map(drop)
    }

    /// `__aenter__`: something to await.
    pub fn enter_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().try_take(slf.py())? {
            return ready(slf.py());
        }
        wait_soon(slf.py(), Self::pending(slf), None)
    }

    /// `release()`.
    pub fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().lock.get().leave(slf.py(), slf.get().access)
    }

    /// A wait for it.
    pub fn pending(slf: &Bound<'_, Self>) -> SideWait {
        let (py, this) = (slf.py(), slf.get());
        let qualname = match this.access {
            Access::Read => "RWLock.read",
            Access::Write => "RWLock.write",
        };
        let turn = this.lock.get().gate.wait(this.lock.bind(py).as_any(), qualname, WaitReason::Lock, this.request());
        SideWait { side: slf.clone().unbind(), turn, owner: Cell::new(Owner::NONE) }
    }
}

#[pymethods]
impl RWLock {
    #[new]
    #[pyo3(signature = (policy="fair"))]
    fn __new__(policy: &str) -> PyResult<Self> {
        let policy = match policy {
            "fair" => Policy::Fair,
            "reader" => Policy::Reader,
            "writer" => Policy::Writer,
            _ => return Err(PyValueError::new_err("policy must be 'fair', 'reader' or 'writer'")),
        };
        let inside = Cell::new(Vec::new());
        Ok(Self { gate: Shared::new(Rules::default()), policy, inside, tag: Arc::default(), number: unique_number() })
    }

    /// The side of those who read: a lock for `with` and `async with`.
    fn read(slf: &Bound<'_, Self>) -> RWLockSide {
        RWLockSide { lock: slf.clone().unbind(), access: Access::Read }
    }

    /// The side of those who write: a lock for `with` and `async with`.
    fn write(slf: &Bound<'_, Self>) -> RWLockSide {
        RWLockSide { lock: slf.clone().unbind(), access: Access::Write }
    }

    /// How many read; one who has entered twice counts twice.
    #[getter]
    fn reading(&self) -> usize {
        self.gate.look(|lock, _| lock.reading())
    }

    /// How many write: 0 or 1.
    #[getter]
    fn writing(&self) -> usize {
        self.gate.look(|lock, _| usize::from(lock.is_writing()))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let (reading, writing, waiting) =
            this.gate.look(|lock, waiting| (lock.reading(), lock.is_writing(), waiting[0] + waiting[1]));
        let (name, at) = (class_named(slf.as_any())?, slf.as_ptr());
        let policy = format!("{:?}", this.policy).to_lowercase();
        let writing = u8::from(writing);
        Ok(format!("<{name} at {at:p}: {policy}, {reading} reading, {writing} writing, {waiting} waiting>"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.inside.during_gc(|inside| inside.iter().try_for_each(|(owner, ..)| owner.visit(&visit)));
        visited.unwrap_or(Ok(()))?;
        self.gate.visit(&visit)
    }
}

impl Drop for RWLock {
    fn drop(&mut self) {
        self.tag.0.dropped();
        for (owner, ..) in self.inside.get_mut() {
            drop(owner.take_task());
        }
    }
}

#[pymethods]
impl RWLockSide {
    /// Take this side of the lock; return whether that has worked out. The arguments are those of `Lock.acquire`.
    #[pyo3(signature = (blocking=None, timeout=None))]
    fn acquire<'py>(
        slf: &Bound<'py, Self>,
        blocking: Option<Truth>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        Manner::of_lock(blocking, timeout)?.acquire(py, || slf.get().try_take(py), || Self::pending(slf))
    }

    /// Whether somebody holds this side.
    fn locked(&self) -> bool {
        self.lock.get().gate.look(|lock, _| match self.access {
            Access::Read => lock.reading() > 0,
            Access::Write => lock.is_writing(),
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.get();
        let side = format!("{:?}", this.access).to_lowercase();
        Ok(format!("<{} {side} of {}>", class_named(slf.as_any())?, this.lock.bind(slf.py()).repr()?))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)
    }
}

/// One wait to be let in, by whoever enters.
pub struct SideWait {
    side: Py<RWLockSide>,
    turn: GateWait<Rules>,
    owner: Cell<Owner>,
}

impl SideWait {
    /// It is let in, if there is an answer that says so.
    fn told(&self, py: Python<'_>, answer: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(answer) = &answer
            && answer.is_truthy(py)?
        {
            let owner = self.owner.with(py, |owner| std::mem::replace(owner, Owner::NONE));
            let side = self.side.get();
            RWLock::is_now_inside(side.lock.bind(py), owner, side.access);
        }
        Ok(answer)
    }
}

impl Pending for SideWait {
    fn qualname(&self) -> &'static str {
        self.turn.qualname()
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        self.turn.reason(py)
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        let me = Me::now(py)?;
        let side = self.side.get();
        if side.lock.get().enter_again(py, &me, side.access)? {
            return Ok(Some(truth(py, true)));
        }
        let mut before = self.owner.with(py, |owner| std::mem::replace(owner, Owner::of(&me)));
        drop(before.take_task());
        let answer = self.turn.enter(py, door)?;
        self.told(py, answer)
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let answer = self.turn.look(py)?;
        self.told(py, answer)
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let answer = self.turn.expire(py)?;
        Ok(self.told(py, Some(answer))?.unwrap_or_else(|| truth(py, false)))
    }

    fn give_up(&self, py: Python<'_>) {
        self.turn.give_up(py);
    }

    fn watched<'py>(&self, py: Python<'py>) -> Option<Watched<'py>> {
        let side = self.side.get();
        let tag: Arc<dyn Tagged> = side.lock.get().tag.clone();
        let object = side.lock.bind(py).clone().into_any();
        Some(Watched { object, tag, seat: self.turn.seat(py)?, shared: side.access == Access::Read, may_leave: true })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.side)?;
        self.owner.during_gc(|owner| owner.visit(visit)).unwrap_or(Ok(()))?;
        self.turn.visit(visit)
    }
}

impl Drop for SideWait {
    fn drop(&mut self) {
        drop(self.owner.get_mut().take_task());
    }
}
