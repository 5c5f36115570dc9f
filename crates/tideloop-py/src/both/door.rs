//! Where one who waits for a shared primitive is woken: a thread that sleeps, or a task of some loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::parker::{Parker, Slept};

use super::knock::{Knock, KnockObject};
use super::pending::Pending;
use crate::cell::{Cell, Slot};
use crate::compose;
use crate::event_loop::EventLoop;
use crate::names;
use crate::slots::calls;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::slots::running::running_loop_or_none;
use crate::task::Future;

/// See the module.
pub enum Door {
    /// A thread sleeps here.
    Thread(ThreadDoor),
    /// A task of an asyncio loop, ours or another, waits for a future.
    Task(TaskDoor),
    /// Anything that can be called from any thread: it wakes a task of trio.
    Call(Cell<Slot>),
}

/// A thread that waits. The flags are for those who have the interpreter lock.
#[derive(Default)]
pub struct ThreadDoor {
    parker: Parker,
    /// It sleeps, or is about to.
    sleeps: AtomicBool,
    /// Somebody has knocked, and it has not looked since.
    knocked: AtomicBool,
}

/// A loop, and the future that its task waits for at present.
pub struct TaskDoor {
    event_loop: Cell<LoopSlot>,
    future: Cell<Slot<Future>>,
    /// What the task waits for, as long as it does.
    pending: Weak<dyn Pending>,
}

impl Door {
    /// The door of a thread.
    pub fn of_thread() -> Arc<Self> {
        Arc::new(Self::Thread(ThreadDoor::default()))
    }

    /// The door of a task that waits for `future`, until `pending` is answered.
    pub fn of_task(event_loop: &LoopRef<'_>, future: &Bound<'_, Future>, pending: &Arc<dyn Pending>) -> Arc<Self> {
        Arc::new(Self::Task(TaskDoor {
            event_loop: Cell::new(LoopSlot::holding(event_loop)),
            future: Cell::new(Slot::holding(future.clone().unbind())),
            pending: Arc::downgrade(pending),
        }))
    }

    /// The door of somebody whom a callable wakes.
    pub fn of_callable(wake: &Bound<'_, PyAny>) -> Arc<Self> {
        Arc::new(Self::Call(Cell::new(Slot::holding(wake.clone().unbind()))))
    }

    /// Wakes its owner. `false`: it cannot be woken any more, because its loop is closed.
    pub fn knock(self: &Arc<Self>, py: Python<'_>) -> bool {
        match &**self {
            Self::Thread(thread) => {
                thread.knocked.store(true, Ordering::Relaxed);
                thread.parker.unpark();
                true
            }
            Self::Task(task) => task.knock(py, self),
            Self::Call(wake) => {
                let Some(wake) = wake.with(py, |slot| slot.cloned(py)) else { return true };
                wake.call0(py).is_ok()
            }
        }
    }

    /// Whether a thread sleeps here, and nobody has woken it.
    pub fn is_slept_at(&self) -> bool {
        let sleeps =
            |thread: &ThreadDoor| thread.sleeps.load(Ordering::Relaxed) && !thread.knocked.load(Ordering::Relaxed);
        matches!(self, Self::Thread(thread) if sleeps(thread))
    }

    /// Nobody will ever open: whatever its owner has been given is handed on.
    pub fn abandon(&self, py: Python<'_>) {
        if let Self::Task(task) = self
            && let Some(pending) = task.pending.upgrade()
        {
            pending.abandon(py);
        }
    }

    /// Lets go of what it holds: its owner has left.
    pub fn shut(&self, py: Python<'_>) {
        match self {
            Self::Thread(_) => {}
            Self::Task(task) => {
                drop(task.future.with(py, Slot::take));
                drop(task.event_loop.with(py, LoopSlot::take));
            }
            Self::Call(wake) => drop(wake.with(py, Slot::take)),
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Thread(_) => Ok(()),
            Self::Task(task) => {
                task.event_loop.during_gc(|slot| slot.visit(visit)).unwrap_or(Ok(()))?;
                task.future.during_gc(|slot| slot.visit(visit)).unwrap_or(Ok(()))
            }
            Self::Call(wake) => wake.during_gc(|slot| slot.visit(visit)).unwrap_or(Ok(())),
        }
    }
}

impl ThreadDoor {
    /// Sleeps without the interpreter lock, at most for `longest`, and is about to look then.
    pub fn sleep(&self, py: Python<'_>, longest: Option<Duration>) -> Slept {
        self.sleeps.store(true, Ordering::Relaxed);
        let slept = calls::wait_or_hang(py, || self.parker.park(longest));
        self.sleeps.store(false, Ordering::Relaxed);
        self.knocked.store(false, Ordering::Relaxed);
        slept
    }
}

impl TaskDoor {
    /// From here on the task waits for another future.
    pub fn rearm(&self, py: Python<'_>, future: &Bound<'_, Future>) {
        drop(self.future.with(py, |slot| slot.replace(Some(future.clone().unbind()))));
    }

    /// What the task waits for, until it has left.
    pub fn future<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Future>> {
        self.future.with(py, |slot| slot.cloned(py)).map(|future| future.into_bound(py))
    }

    fn knock(&self, py: Python<'_>, door: &Arc<Door>) -> bool {
        let event_loop = self.event_loop.with(py, |slot| slot.get(py));
        let future = self.future.with(py, |slot| slot.cloned(py));
        let (Some(event_loop), Some(future)) = (event_loop, future) else { return true };
        let future = future.into_bound(py);
        let here = running_loop_or_none(py).ok().flatten();
        if here.is_some_and(|here| here.as_any().is(event_loop.as_any())) {
            return compose::release(&future).is_ok();
        }
        let knock = Knock::at(door, &future);
        let woken = match &event_loop {
            LoopRef::Native(native) => EventLoop::knock_from_thread(native, knock),
            LoopRef::Foreign(foreign) => names::knock_on_foreign(py).and_then(|post| {
                post.call1((foreign, KnockObject::of(knock)))?;
                Ok(())
            }),
        };
        woken.is_ok()
    }
}

/// A callable that finishes a future, unless somebody has before: a timer may come in the same turn as a knock.
pub fn release(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static RELEASE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let release = RELEASE.get_or_try_init(py, || PyResult::Ok(wrap_pyfunction!(finish, py)?.into_any().unbind()))?;
    Ok(release.bind(py))
}

#[pyfunction]
fn finish(future: &Bound<'_, Future>) -> PyResult<()> {
    compose::release(future)
}
