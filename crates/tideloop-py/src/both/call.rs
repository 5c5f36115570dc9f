//! What a task awaits: a coroutine written in Rust on asyncio's loops, one of Python's on trio.

use std::sync::Arc;

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::clock::now_ns;

use super::door::{Door, release};
use super::here::{Here, here};
use super::pending::{Limit, Pending, block, deadline_ns};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine, waiter};
use crate::names;
use crate::observe::{self, Watching};
use crate::slots::coroutine::create;
use crate::slots::running::running_loop;
use crate::task::Future;

/// A wait by a task: a coroutine in all but its exact class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct BothCall {
    life: Life,
    limit: Limit,
    progress: Cell<Progress>,
}

struct Progress {
    /// None when it has ended.
    pending: Option<Arc<dyn Pending>>,
    door: Option<Arc<Door>>,
    deadline_ns: Option<u64>,
    /// What wakes it at its deadline.
    timer: Slot,
    /// With what it ends as soon as it may.
    error: Slot,
    /// The deadlock detector looks at the wait.
    watching: Watching,
}

impl Progress {
    const fn of(pending: Option<Arc<dyn Pending>>) -> Self {
        let watching = Watching::task();
        Self { pending, door: None, deadline_ns: None, timer: Slot::EMPTY, error: Slot::EMPTY, watching }
    }
}

/// Waits as the caller can: blocks a thread until the answer is there, or gives a task something to await.
pub fn wait<'py>(py: Python<'py>, pending: impl Pending + 'static, limit: Limit) -> PyResult<Bound<'py, PyAny>> {
    match here(py)? {
        Here::Thread => block(py, &pending, limit).map(|answer| answer.into_bound(py)),
        Here::Task(_) => BothCall::create(py, pending, limit),
        Here::Trio(_) => wait_on_trio(py, pending, limit),
    }
}

/// Something to await, whoever calls: for `__aenter__` and such.
pub fn wait_soon<'py>(py: Python<'py>, pending: impl Pending + 'static, limit: Limit) -> PyResult<Bound<'py, PyAny>> {
    match here(py)? {
        Here::Thread | Here::Task(_) => BothCall::create(py, pending, limit),
        Here::Trio(_) => wait_on_trio(py, pending, limit),
    }
}

fn wait_on_trio<'py>(py: Python<'py>, pending: impl Pending + 'static, limit: Limit) -> PyResult<Bound<'py, PyAny>> {
    let wait = Bound::new(py, BothWait::of(Box::new(pending), limit.is_some()))?;
    names::wait_on_trio(py)?.call1((wait, limit.map(|limit| limit.as_secs_f64())))
}

impl BothCall {
    /// A coroutine that waits.
    pub fn create<'py>(py: Python<'py>, pending: impl Pending + 'static, limit: Limit) -> PyResult<Bound<'py, PyAny>> {
        let pending: Option<Arc<dyn Pending>> = Some(Arc::new(pending));
        let progress = Cell::new(Progress::of(pending));
        create(py, Self { life: Life::fresh(), limit, progress }).map(Bound::into_any)
    }

    /// Runs `act`, which may run Python, with what is waited for.
    fn with_pending<R>(&self, py: Python<'_>, act: impl FnOnce(&dyn Pending) -> R) -> Option<R> {
        self.progress.with(py, |progress| progress.pending.clone()).map(|pending| act(&*pending))
    }

    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Stepped<'py>> {
        let Some(pending) = self.progress.with(py, |progress| progress.pending.clone()) else {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        };
        if let Some(answer) = pending.attempt(py)? {
            return Ok(Stepped::Return(answer.into_bound(py)));
        }
        let future = self.new_future(py)?;
        let door = Door::of_task(&running_loop(py)?, &future, &pending);
        self.progress.with(py, |progress| {
            progress.door = Some(Arc::clone(&door));
            progress.deadline_ns = deadline_ns(self.limit);
        });
        match pending.enter(py, &door)? {
            None => self.wait_for(py, future),
            Some(answer) => Ok(Stepped::Return(answer.into_bound(py))),
        }
    }

    fn go_on<'py>(&self, py: Python<'py>) -> PyResult<Stepped<'py>> {
        self.cancel_timer(py)?;
        if let Some(answer) = self.with_pending(py, |pending| pending.look(py)).transpose()?.flatten() {
            return Ok(Stepped::Return(answer.into_bound(py)));
        }
        if self.progress.with(py, |progress| progress.deadline_ns).is_some_and(|deadline| now_ns() >= deadline) {
            let expired = self.with_pending(py, |pending| pending.expire_or_linger(py)).transpose()?;
            match expired {
                Some(None) => self.progress.with(py, |progress| progress.deadline_ns = None),
                Some(Some(answer)) => return Ok(Stepped::Return(answer.into_bound(py))),
                None => return Ok(Stepped::Return(py.None().into_bound(py))),
            }
        }
        self.wait_again(py)
    }

    /// An error is thrown into it. It may have to wait for something more before it ends with that.
    fn fail<'py>(&self, py: Python<'py>, error: Bound<'py, PyAny>) -> PyResult<Stepped<'py>> {
        self.cancel_timer(py)?;
        if !self.with_pending(py, |pending| pending.leave_or_linger(py)).unwrap_or(false) {
            return Err(PyErr::from_value(error));
        }
        let closes = error.is_instance_of::<PyGeneratorExit>();
        let displaced = self.progress.with(py, |progress| {
            progress.deadline_ns = None;
            progress.error.replace(Some(error.unbind()))
        });
        drop(displaced);
        if !closes {
            return self.wait_again(py);
        }
        // Nobody will step it any more. To give way once more is what a coroutine does that cannot be closed: what is
        // around it must not run on as if it had what it waited for.
        let door = self.progress.with(py, |progress| progress.door.clone());
        match door.as_deref() {
            Some(Door::Task(task)) => task.future(py).map(Stepped::Wait).ok_or_else(lost),
            _ => Err(lost()),
        }
    }

    fn wait_again<'py>(&self, py: Python<'py>) -> PyResult<Stepped<'py>> {
        // Woken in vain. Whoever knocks from here on finds the new future; who did before, `look` finds.
        let future = self.new_future(py)?;
        if let Some(door) = self.progress.with(py, |progress| progress.door.clone())
            && let Door::Task(task) = &*door
        {
            task.rearm(py, &future);
        }
        if let Some(answer) = self.with_pending(py, |pending| pending.look(py)).transpose()?.flatten() {
            return Ok(Stepped::Return(answer.into_bound(py)));
        }
        self.wait_for(py, future)
    }

    fn new_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Future>> {
        let event_loop = running_loop(py)?;
        let (reason, object) = self
            .with_pending(py, |pending| pending.reason(py))
            .unwrap_or_else(|| (crate::task::WaitReason::Other, py.None().into_bound(py)));
        waiter(py, &event_loop, reason, &object)
    }

    /// Has the deadlock detector look at the wait. (Taken out meanwhile, since it runs Python.)
    #[cold]
    fn watch(&self, py: Python<'_>) -> PyResult<()> {
        let (mut watching, limited) = self.progress.with(py, |progress| {
            (std::mem::replace(&mut progress.watching, Watching::task()), progress.deadline_ns.is_some())
        });
        let outcome = self.with_pending(py, |pending| watching.look(py, pending, limited));
        drop(self.progress.with(py, |progress| std::mem::replace(&mut progress.watching, watching)));
        outcome.unwrap_or(Ok(()))
    }

    /// The wait is over. What a task has got that does nothing else (`create_task(lock.acquire())`) is for whoever
    /// awaits the task.
    #[cold]
    fn unwatch(slf: &Bound<'_, Self>, answered: bool) {
        let (py, this) = (slf.py(), slf.get());
        drop(this.progress.with(py, |progress| std::mem::replace(&mut progress.watching, Watching::task())));
        if answered && observe::is_root(slf.as_any()) {
            this.with_pending(py, |pending| pending.disown(py));
        }
    }

    /// Waits for `future`, which is finished in any case when the time is up.
    fn wait_for<'py>(&self, py: Python<'py>, future: Bound<'py, Future>) -> PyResult<Stepped<'py>> {
        if observe::on() {
            self.watch(py)?;
        }
        if let Some(deadline) = self.progress.with(py, |progress| progress.deadline_ns) {
            let seconds = deadline.saturating_sub(now_ns()) as f64 / 1e9;
            let timer =
                running_loop(py)?.as_any().call_method1(intern!(py, "call_later"), (seconds, release(py)?, &future))?;
            drop(self.progress.with(py, |progress| progress.timer.replace(Some(timer.unbind()))));
        }
        Ok(Stepped::Wait(future))
    }

    fn cancel_timer(&self, py: Python<'_>) -> PyResult<()> {
        match self.progress.with(py, |progress| progress.timer.take()) {
            Some(timer) => timer.call_method0(py, intern!(py, "cancel")).map(drop),
            None => Ok(()),
        }
    }
}

impl NativeCoroutine for BothCall {
    fn blank() -> Self {
        Self { life: Life::ended(), limit: None, progress: Cell::new(Progress::of(None)) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        self.with_pending(py, |pending| pending.qualname()).unwrap_or("BothCall")
    }

    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let this = slf.get();
        let outcome = match resumed {
            Resumed::Start => this.begin(py),
            Resumed::Woken(_) => this.go_on(py),
            Resumed::Thrown(exception, _) => this.fail(py, exception),
        };
        if observe::on() && !matches!(outcome, Ok(Stepped::Wait(_))) {
            Self::unwatch(slf, outcome.is_ok());
        }
        if outcome.is_err() {
            this.with_pending(py, |pending| pending.give_up(py));
            this.cancel_timer(py)?;
        }
        match (outcome, this.progress.with(py, |progress| progress.error.cloned(py))) {
            (Ok(Stepped::Return(_)), Some(error)) => Err(PyErr::from_value(error.into_bound(py))),
            (outcome, _) => outcome,
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.progress.during_gc(|progress| {
            if let Some(pending) = &progress.pending {
                pending.visit(visit)?;
            }
            if let Some(door) = &progress.door {
                door.visit(visit)?;
            }
            progress.timer.visit(visit)?;
            progress.error.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        let Progress { pending, door, mut timer, mut error, watching, .. } =
            self.progress.with(py, |progress| std::mem::replace(progress, Progress::of(None)));
        drop((timer.take(), error.take(), watching));
        if let Some(door) = &door {
            door.shut(py);
        }
        drop((pending, door));
    }
}

/// Has a task's wait for a shared primitive hand on what it has been given, because the task will never run again.
/// Whether `awaitable` is such a wait.
#[pyfunction]
pub fn abandon(awaitable: &Bound<'_, PyAny>) -> bool {
    let Ok(call) = awaitable.cast::<BothCall>() else { return false };
    call.get().with_pending(awaitable.py(), |pending| pending.abandon(awaitable.py()));
    true
}

fn lost() -> PyErr {
    PyRuntimeError::new_err("closed while it waited to take a lock again")
}

native_coroutine!(BothCall);

/// A wait in the hands of `tideloop._trio`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct BothWait {
    pending: Box<dyn Pending>,
    /// The deadlock detector looks at the wait; and whether that has a limit.
    watching: Cell<(Watching, bool)>,
}

impl BothWait {
    fn of(pending: Box<dyn Pending>, limited: bool) -> Self {
        Self { pending, watching: Cell::new((Watching::task(), limited)) }
    }

    /// Has the deadlock detector look at the wait.
    fn watch(&self, py: Python<'_>) -> PyResult<()> {
        let (mut watching, limited) =
            self.watching.with(py, |(watching, limited)| (std::mem::replace(watching, Watching::task()), *limited));
        watching.look(py, &*self.pending, limited)?;
        drop(self.watching.with(py, |(place, _)| std::mem::replace(place, watching)));
        Ok(())
    }

    /// The wait is over, or goes on without a limit.
    fn unwatch(&self, py: Python<'_>) {
        drop(self.watching.with(py, |watching| std::mem::replace(watching, (Watching::task(), false))));
    }
}

#[pymethods]
impl BothWait {
    /// Ask; `wake` is called from any thread when there may be an answer. None: wait. Else a tuple of the answer.
    fn enter<'py>(&self, py: Python<'py>, wake: &Bound<'py, PyAny>) -> PyResult<Option<(Py<PyAny>,)>> {
        let answer = self.pending.enter(py, &Door::of_callable(wake))?;
        if answer.is_none()
            && let Err(error) = self.watch(py)
        {
            self.pending.give_up(py);
            return Err(error);
        }
        Ok(answer.map(|answer| (answer,)))
    }

    /// A tuple of the answer, or None: not yet.
    fn look(&self, py: Python<'_>) -> PyResult<Option<(Py<PyAny>,)>> {
        let answer = self.pending.look(py)?;
        if answer.is_none() {
            self.watch(py)?;
        } else {
            self.unwatch(py);
        }
        Ok(answer.map(|answer| (answer,)))
    }

    /// The time is up: a tuple of what is returned then. None: wait on, without a limit.
    fn expire(&self, py: Python<'_>) -> PyResult<Option<(Py<PyAny>,)>> {
        self.unwatch(py);
        Ok(self.pending.expire_or_linger(py)?.map(|answer| (answer,)))
    }

    /// Leave; what had been given is handed on. True: not before there is an answer, which counts for nothing.
    fn leave(&self, py: Python<'_>) -> bool {
        self.unwatch(py);
        self.pending.leave_or_linger(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.pending.visit(&visit)
    }
}
