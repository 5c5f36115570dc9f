//! `Task`: a coroutine that the loop runs. Its state and its making; `step.rs` runs it, `task_methods.rs` shows it to
//! Python.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};

use super::wait_reason::WaitReason;
use super::wakeup::TaskStep;
use super::{Future, registry, step};
use crate::cell::{Cell, Slot};
use crate::compose::Gathering;
use crate::event_loop::Entry;
use crate::names;
use crate::slots::loop_slot::LoopRef;
use crate::slots::roster::Place;
use crate::slots::{self, Slotted, calls};

/// The number in the name of the task that was made last. Numbers count up as asyncio's do, and become a string
/// only when somebody asks.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A task without its Python methods, beyond what it has as a future.
pub(super) struct TaskState {
    pub coro: Slot,
    pub context: Slot,
    /// `_fut_waiter`: what it waits for.
    pub waiter: Slot,
    pub rare: Option<Box<TaskRare>>,
    /// What its name is made of, unless it was given one.
    pub number: u64,
    pub cancels_requested: u32,
    pub place: Place,
    pub must_cancel: bool,
    /// `rare` holds an exception for the next step to throw.
    pub must_throw: bool,
    pub log_destroy_pending: bool,
    pub wait_reason: WaitReason,
}

/// What most tasks never have.
#[derive(Default)]
pub(super) struct TaskRare {
    pub name: Option<Py<PyAny>>,
    pub thrown_next: Option<Py<PyAny>>,
}

/// A Task that is native: `asyncio.Task` to isinstance, and on any event loop.
///
/// Corresponds to `asyncio.Task`.
#[pyclass(frozen, subclass, extends = Future, module = "tideloop")]
pub struct Task {
    pub(super) state: Cell<TaskState>,
}

impl Slotted for Task {
    const OFFSET: usize = slots::offset_after::<Future>();
}

/// What was in a task, for dropping outside of its cell.
pub(super) type TaskContents = (Option<Py<PyAny>>, Option<Py<PyAny>>, Option<Py<PyAny>>, Option<Box<TaskRare>>);

/// What is asked of a new task.
pub(super) struct Wanted<'a, 'py> {
    pub event_loop: &'a LoopRef<'py>,
    pub coro: &'a Bound<'py, PyAny>,
    pub name: Option<&'a Bound<'py, PyAny>>,
    pub context: Option<&'a Bound<'py, PyAny>>,
    pub eager: bool,
}

impl TaskState {
    const fn blank() -> Self {
        Self {
            coro: Slot::EMPTY,
            context: Slot::EMPTY,
            waiter: Slot::EMPTY,
            rare: None,
            number: 0,
            cancels_requested: 0,
            place: Place::NONE,
            must_cancel: false,
            must_throw: false,
            log_destroy_pending: false,
            wait_reason: WaitReason::Start,
        }
    }

    /// The state of a task before its first step.
    #[inline]
    fn starting(wanted: &Wanted<'_, '_>) -> PyResult<Self> {
        let py = wanted.coro.py();
        let context = match wanted.context {
            Some(context) if !context.is_none() => context.clone(),
            _ => slots::copy_context(py)?,
        };
        let (number, rare) = match wanted.name {
            Some(name) if !name.is_none() => {
                let name = Some(name_of(name)?.unbind());
                (0, Some(Box::new(TaskRare { name, ..TaskRare::default() })))
            }
            _ => (next_number(py), None),
        };
        Ok(Self {
            coro: Slot::holding(wanted.coro.clone().unbind()),
            context: Slot::holding(context.unbind()),
            rare,
            number,
            log_destroy_pending: true,
            ..Self::blank()
        })
    }

    pub fn rare(&mut self) -> &mut TaskRare {
        self.rare.get_or_insert_default()
    }

    /// Empties the state, but for its place in the registry.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> TaskContents {
        (self.coro.take(), self.context.take(), self.waiter.take(), self.rare.take())
    }
}

/// The number of a new task. Attached threads take turns, so that this needs no atomic addition, which is dear.
#[inline]
fn next_number(_py: Python<'_>) -> u64 {
    let number = LAST_NUMBER.load(Ordering::Relaxed) + 1;
    LAST_NUMBER.store(number, Ordering::Relaxed);
    number
}

/// A name as a string.
pub(super) fn name_of<'py>(name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if name.is_exact_instance_of::<PyString>() {
        return Ok(name.clone());
    }
    Ok(name.str()?.into_any())
}

/// `TypeError` where `coro` is not a coroutine.
#[inline]
fn check_coroutine(coro: &Bound<'_, PyAny>) -> PyResult<()> {
    if slots::coroutine::is_plain_coroutine(coro) {
        return Ok(());
    }
    if names::iscoroutine(coro.py())?.call1((coro,))?.is_truthy()? {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!("a coroutine was expected, got {}", coro.repr()?)))
}

impl Task {
    /// A task whose `__init__` has not run.
    pub fn blank() -> Self {
        Self { state: Cell::new(TaskState::blank()) }
    }

    /// A new task on its way.
    #[inline]
    pub(super) fn create<'py>(wanted: &Wanted<'_, 'py>) -> PyResult<Bound<'py, Self>> {
        let py = wanted.coro.py();
        check_coroutine(wanted.coro)?;
        let state = TaskState::starting(wanted)?;
        let future = Future::pending_on(wanted.event_loop);
        let task = slots::classes::new_task(py, future, Self { state: Cell::new(state) })?;
        task.as_super().get().remember_origin(py, wanted.event_loop)?;
        Self::start(&task, wanted)?;
        Ok(task)
    }

    /// `Task.__init__`.
    pub(super) fn initialize(slf: &Bound<'_, Self>, wanted: &Wanted<'_, '_>) -> PyResult<()> {
        let py = slf.py();
        slf.as_super().get().initialize(py, wanted.event_loop)?;
        check_coroutine(wanted.coro)?;
        let mut fresh = TaskState::starting(wanted)?;
        let mut old = slf.get().state.with(py, |state| {
            fresh.place = state.place;
            std::mem::replace(state, fresh)
        });
        drop(old.take_contents());
        Self::start(slf, wanted)
    }

    /// Schedules the first step, or makes it at once.
    #[inline]
    fn start(slf: &Bound<'_, Self>, wanted: &Wanted<'_, '_>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.place) == Place::NONE {
            let place = registry::enter(slf);
            slf.get().state.with(py, |state| state.place = place);
        }
        if wanted.eager && is_running(wanted.event_loop.as_any())? {
            return step::start_eagerly(slf, wanted.event_loop.as_any());
        }
        Self::schedule_step_on(slf, wanted.event_loop)
    }

    /// Has the loop make a step of the task in its next turn.
    #[inline]
    pub(super) fn schedule_step(slf: &Bound<'_, Self>) -> PyResult<()> {
        let event_loop = slf.as_super().get().event_loop(slf.py())?;
        Self::schedule_step_on(slf, &event_loop)
    }

    #[inline]
    fn schedule_step_on(slf: &Bound<'_, Self>, event_loop: &LoopRef<'_>) -> PyResult<()> {
        let py = slf.py();
        if let LoopRef::Native(native) = event_loop {
            let entry = Entry::Step(slf.clone().unbind());
            // Debug mode wants handles that know where they were made, a closed loop wants to complain.
            let refused = native.get().with_state(py, |state| {
                if state.debug || state.closed {
                    return Some(entry);
                }
                state.ready.push(entry);
                None
            });
            if refused.is_none() {
                return Ok(());
            }
        }
        let context = slf.get().context(py).unwrap_or_else(|| py.None().into_bound(py));
        calls::call_soon(event_loop.as_any(), TaskStep::of(slf)?.as_any(), None, &context)?;
        Ok(())
    }

    /// Has the next step throw `exception` into the coroutine.
    #[cold]
    pub(super) fn throw_soon(slf: &Bound<'_, Self>, exception: PyErr) -> PyResult<()> {
        let py = slf.py();
        let exception = Some(exception.into_value(py).into_any());
        let old = slf.get().state.with(py, |state| {
            (state.must_throw, state.wait_reason) = (true, WaitReason::Error);
            std::mem::replace(&mut state.rare().thrown_next, exception)
        });
        drop(old);
        Self::schedule_step(slf)
    }

    /// The context it runs in.
    #[inline]
    pub(super) fn context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.state.with(py, |state| state.context.cloned(py))?.into_bound(py))
    }

    /// Its name: made now, if it was not given one.
    pub(super) fn name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let (number, given) = self.state.with(py, |state| {
            (state.number, state.rare.as_ref().and_then(|rare| rare.name.as_ref().map(|name| name.clone_ref(py))))
        });
        match given {
            Some(name) => Some(name.into_bound(py)),
            None if number > 0 => Some(PyString::new(py, &format!("Task-{number}")).into_any()),
            None => None,
        }
    }

    /// `Task.cancel`.
    pub(super) fn request_cancel(slf: &Bound<'_, Self>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let future = slf.as_super().get();
        if !future.cancellable(py) {
            return Ok(false);
        }
        let waiter = slf.get().state.with(py, |state| {
            state.cancels_requested = state.cancels_requested.saturating_add(1);
            state.waiter.cloned(py)
        });
        if let Some(waiter) = waiter
            && slots::one_level_deeper(py, || cancel_any(waiter.bind(py), message))?
        {
            return Ok(true);
        }
        slf.get().state.with(py, |state| state.must_cancel = true);
        future.store_cancel_message(py, message.map(|message| message.clone().unbind()));
        Ok(true)
    }

    /// `Task.uncancel`. From 3.13 on the last one also takes back a cancellation that was not delivered yet.
    pub(crate) fn withdraw_cancel(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| {
            if state.cancels_requested > 0 {
                state.cancels_requested -= 1;
                if cfg!(Py_3_13) && state.cancels_requested == 0 {
                    state.must_cancel = false;
                }
            }
            state.cancels_requested
        })
    }

    /// `Task.cancelling`.
    pub(crate) fn cancels_requested(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.cancels_requested)
    }

    /// `_log_destroy_pending`.
    pub(crate) fn logs_destroy_pending(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.log_destroy_pending)
    }

    /// Assigns `_log_destroy_pending`.
    pub(crate) fn log_destroy_pending(&self, py: Python<'_>, wanted: bool) {
        self.state.with(py, |state| state.log_destroy_pending = wanted);
    }

    /// Whether there is nothing to report when it dies.
    #[inline]
    pub(crate) fn dies_silently(&self, future: &Future) -> bool {
        let unfinished = self.state.during_gc(|state| state.log_destroy_pending).unwrap_or(false);
        future.dies_silently() && !(unfinished && future.dies_pending())
    }

    /// Leaves the registry: nobody can find the task any more.
    #[inline]
    pub(crate) fn leave_registry(&self, py: Python<'_>) {
        let place = self.state.with(py, |state| std::mem::replace(&mut state.place, Place::NONE));
        if place != Place::NONE {
            registry::leave(py, place);
        }
    }

    /// Drops everything it holds beyond what it holds as a future: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        let (coro, context, waiter, rare) = self.state.get_mut().take_contents();
        for object in [coro, context, waiter].into_iter().flatten() {
            object.drop_ref(py);
        }
        drop(rare);
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .during_gc(|state| {
                state.coro.visit(visit)?;
                state.context.visit(visit)?;
                state.waiter.visit(visit)?;
                match &state.rare {
                    Some(rare) => {
                        visit.call(&rare.name)?;
                        visit.call(&rare.thrown_next)
                    }
                    None => Ok(()),
                }
            })
            .unwrap_or(Ok(()))
    }
}

/// `future.cancel(msg=message)` of whatever a task waits for.
pub(crate) fn cancel_any(future: &Bound<'_, PyAny>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let py = future.py();
    match slots::classes::exact_class(future) {
        slots::classes::Exact::Task => {
            if let Ok(task) = future.cast::<Task>() {
                return Task::request_cancel(task, message);
            }
        }
        slots::classes::Exact::Future => {
            if let Ok(future) = future.cast::<Future>() {
                return Future::cancel_native(future, message.map(|message| message.clone().unbind()));
            }
        }
        slots::classes::Exact::Gathering => {
            if let Ok(gathering) = future.cast::<Gathering>() {
                return Gathering::cancel_children(gathering, message);
            }
        }
        slots::classes::Exact::Other => {}
    }
    let message = message.map_or_else(|| py.None().into_bound(py), Clone::clone);
    let keywords = pyo3::types::PyDict::new(py);
    keywords.set_item(intern!(py, "msg"), message)?;
    future.call_method(intern!(py, "cancel"), (), Some(&keywords))?.is_truthy()
}

/// `loop.is_running()`.
fn is_running(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    event_loop.call_method0(intern!(event_loop.py(), "is_running"))?.is_truthy()
}

/// The loop that `Future()` and `Task()` belong to when none is given.
pub(crate) fn default_loop<'py>(py: Python<'py>, event_loop: Option<&Bound<'py, PyAny>>) -> PyResult<LoopRef<'py>> {
    Ok(match event_loop {
        Some(event_loop) if !event_loop.is_none() => LoopRef::to(event_loop),
        _ => LoopRef::to(&names::get_event_loop(py)?.call0()?),
    })
}
