//! `TaskGroup`: tasks that live as long as a block. What happens when one of them ends, or fails; `group_call.rs` is
//! about entering and leaving the block.
//!
//! The group is *entered* once, by the task that is its parent. From then on it takes tasks, until it *aborts* (a task
//! failed, or the block did) or is *exiting* and the last task is done. To abort cancels all tasks; a task's failure
//! also cancels the parent, which the block takes back when it is left.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::group_call::GroupCall;
use super::members::Members;
use super::outcome::{self, Outcome};
use super::{Watcher, let_all_go, let_go};
use crate::cell::{Cell, Slot};
use crate::event_loop::EventLoop;
use crate::slots;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::task::{self, Future, Task};

pub(super) struct State {
    pub entered: bool,
    pub exiting: bool,
    pub aborting: bool,
    /// The group has cancelled its parent.
    pub parent_cancel_requested: bool,
    pub event_loop: LoopSlot,
    pub parent: Slot,
    /// The tasks that are not done.
    pub tasks: Members,
    pub errors: Vec<Py<PyAny>>,
    /// A `KeyboardInterrupt` or `SystemExit`, the first.
    pub base_error: Slot,
    /// Who leaves the block waits for this.
    pub completed: Slot<Future>,
}

impl State {
    fn new() -> Self {
        Self {
            entered: false,
            exiting: false,
            aborting: false,
            parent_cancel_requested: false,
            event_loop: LoopSlot::EMPTY,
            parent: Slot::EMPTY,
            tasks: Members::default(),
            errors: Vec::new(),
            base_error: Slot::EMPTY,
            completed: Slot::EMPTY,
        }
    }

    fn take_contents(&mut self) -> impl Sized + use<> {
        let (tasks, errors) = (std::mem::take(&mut self.tasks), std::mem::take(&mut self.errors));
        (self.event_loop.take(), self.parent.take(), tasks, errors, self.base_error.take(), self.completed.take())
    }
}

/// A group of tasks without its Python half.
///
/// Corresponds to `asyncio.TaskGroup`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct TaskGroup {
    pub(super) state: Cell<State>,
}

/// Whether it leaves the loop, and every group, at once.
pub(super) fn is_base_error(error: &Bound<'_, PyAny>) -> bool {
    error.is_instance_of::<PySystemExit>() || error.is_instance_of::<PyKeyboardInterrupt>()
}

impl TaskGroup {
    /// The task that has entered the group.
    pub(super) fn parent<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.state.with(py, |state| state.parent.cloned(py))?.into_bound(py))
    }

    /// `RuntimeError` where the group takes no task: the coroutine is closed.
    #[cold]
    fn refuse(slf: &Bound<'_, Self>, coro: &Bound<'_, PyAny>, why: &str) -> PyResult<()> {
        coro.call_method0(intern!(slf.py(), "close"))?;
        Err(PyRuntimeError::new_err(format!("TaskGroup {} {why}", slf.repr()?)))
    }

    /// Makes the task as the running version of asyncio does.
    #[inline]
    fn make_task<'py>(
        event_loop: &LoopRef<'py>,
        coro: &Bound<'py, PyAny>,
        name: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match event_loop {
            LoopRef::Native(native) if native.get().creates_natively() => {
                EventLoop::create_task_native(native, coro, name, context, kwargs)
            }
            _ => Self::make_task_elsewhere(event_loop.as_any(), coro, name, context, kwargs),
        }
    }

    #[cold]
    fn make_task_elsewhere<'py>(
        event_loop: &Bound<'py, PyAny>,
        coro: &Bound<'py, PyAny>,
        name: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coro.py();
        let all = match kwargs {
            Some(kwargs) => kwargs.copy()?,
            None => PyDict::new(py),
        };
        if let Some(context) = context {
            all.set_item(intern!(py, "context"), context)?;
        }
        // Loops of before 3.13 may not know about names.
        let names_it = cfg!(Py_3_14) || cfg!(Py_3_13);
        match name {
            Some(name) if names_it => all.set_item(intern!(py, "name"), name)?,
            None if names_it && cfg!(not(Py_3_14)) => all.set_item(intern!(py, "name"), py.None())?,
            _ => {}
        }
        let task = event_loop.call_method(intern!(py, "create_task"), (coro,), Some(&all))?;
        if let (Some(name), false) = (name, names_it)
            && let Some(set_name) = task.getattr_opt(intern!(py, "set_name"))?
        {
            set_name.call1((name,))?;
        }
        Ok(task)
    }

    /// `create_task`.
    #[inline]
    pub fn create_task_native<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        name: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (refused, event_loop) = slf.get().state.with(py, |state| {
            let refused = match state {
                _ if !state.entered => Some("has not been entered"),
                _ if state.exiting && state.tasks.is_empty() => Some("is finished"),
                _ if state.aborting => Some("is shutting down"),
                _ => None,
            };
            (refused, state.event_loop.get(py))
        });
        if let Some(why) = refused {
            Self::refuse(slf, coro, why)?;
        }
        let Some(event_loop) = event_loop else { return Err(PyRuntimeError::new_err("no running event loop")) };
        let task = Self::make_task(&event_loop, coro, name, context, kwargs)?;
        // Also one that is eager, and done: the group learns of it a turn later, else its failure would cancel the parent
        // too early (as in 3.12.9, 3.13.2 and later).
        let member = task.clone().unbind();
        drop(slf.get().state.with(py, |state| state.tasks.insert(member)));
        Watcher::TaskGroup.watch(slf.as_any(), &task)?;
        Ok(task)
    }

    /// Cancels all tasks that are not done; no new ones are taken.
    pub(super) fn abort_native(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let tasks = slf.get().state.with(py, |state| {
            state.aborting = true;
            state.tasks.in_order(py)
        });
        for task in tasks {
            if !outcome::is_done(&task)? {
                cancel(&task)?;
            }
        }
        Ok(())
    }

    /// One of the tasks is done.
    #[inline]
    pub(super) fn task_done(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (gone, completed) = slf.get().state.with(py, |state| {
            let gone = state.tasks.remove(task);
            (gone, if state.tasks.is_empty() { state.completed.cloned(py) } else { None })
        });
        let_go(py, gone);
        Watcher::TaskGroup.settled(slf.as_any(), task)?;
        if let Some(completed) = completed {
            let completed = completed.into_bound(py);
            if !completed.get().is_done(py) {
                Future::finish(&completed, pyo3::types::PyBool::new(py, true).to_owned().into_any())?;
            }
        }
        if outcome::is_good(py, task) {
            return Ok(());
        }
        match outcome::of(task)? {
            Outcome::Exception(error) => Self::task_failed(slf, task, &error),
            Outcome::Result(_) | Outcome::Cancelled => Ok(()),
        }
    }

    #[cold]
    fn task_failed(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let base = is_base_error(error);
        let (kept, kept_base) = (error.clone().unbind(), error.clone().unbind());
        let (unused, calm) = slf.get().state.with(py, |state| {
            state.errors.push(kept);
            let first = base && state.base_error.is_none();
            let unused = if first { state.base_error.replace(Some(kept_base)) } else { Some(kept_base) };
            (unused, !state.aborting && !state.parent_cancel_requested)
        });
        let_go(py, unused);
        let parent = slf.get().parent(py);
        let Some(parent) = parent.filter(|parent| !outcome::is_done(parent).unwrap_or(false)) else {
            return Self::report_late(slf, task, error);
        };
        if calm {
            // The block is left with an exception, which it takes back: `parent_cancel_requested`.
            Self::abort_native(slf)?;
            slf.get().state.with(py, |state| state.parent_cancel_requested = true);
            cancel(&parent)?;
        }
        Ok(())
    }

    /// A task has failed, and nobody waits for the group any more.
    fn report_late(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let Some(event_loop) = slf.get().state.with(py, |state| state.event_loop.get(py)) else { return Ok(()) };
        let parent = slf
            .get()
            .parent(py)
            .map_or_else(|| Ok("None".to_owned()), |parent| -> PyResult<String> { Ok(parent.str()?.to_string()) })?;
        let message =
            format!("Task {} has errored out but its parent task {parent} is already completed", task.repr()?);
        let context = PyDict::new(py);
        context.set_item(intern!(py, "message"), message)?;
        context.set_item(intern!(py, "exception"), error)?;
        context.set_item(intern!(py, "task"), task)?;
        event_loop.as_any().call_method1(intern!(py, "call_exception_handler"), (context,)).map(drop)
    }

    /// Lets go of what would be part of reference cycles: the block is left.
    pub(super) fn forget(&self, py: Python<'_>) {
        let (parent, errors, base_error, completed) = self.state.with(py, |state| {
            (state.parent.take(), std::mem::take(&mut state.errors), state.base_error.take(), state.completed.take())
        });
        let_all_go(py, [parent, base_error].into_iter().flatten());
        let_all_go(py, errors);
        let_go(py, completed);
    }
}

/// `task.cancel()`
pub(super) fn cancel(task: &Bound<'_, PyAny>) -> PyResult<()> {
    match task.cast_exact::<Task>() {
        Ok(_) => task::cancel_any(task, None).map(drop),
        Err(_) => task.call_method0(intern!(task.py(), "cancel")).map(drop),
    }
}

#[pymethods]
impl TaskGroup {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "()")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { state: Cell::new(State::new()) }
    }

    fn __init__(&self, py: Python<'_>) {
        let mut old = self.state.with(py, |state| std::mem::replace(state, State::new()));
        drop(old.take_contents());
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (tasks, errors, aborting, entered) =
            self.state.with(py, |state| (state.tasks.len(), state.errors.len(), state.aborting, state.entered));
        let mut shown = String::from("<TaskGroup");
        if tasks > 0 {
            shown += &format!(" tasks={tasks}");
        }
        if errors > 0 {
            shown += &format!(" errors={errors}");
        }
        if aborting {
            shown += " cancelling";
        } else if entered {
            shown += " entered";
        }
        shown + ">"
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, GroupCall>> {
        GroupCall::entering(slf)
    }

    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        et: &Bound<'py, PyAny>,
        exc: &Bound<'py, PyAny>,
        tb: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, GroupCall>> {
        let _ = tb;
        GroupCall::leaving(slf, et, exc)
    }

    fn _abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::abort_native(slf)
    }

    fn _on_task_done(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::task_done(slf, task)
    }

    fn _is_base_error(&self, exc: &Bound<'_, PyAny>) -> bool {
        is_base_error(exc)
    }

    #[getter]
    fn _entered(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.entered)
    }

    #[getter]
    fn _exiting(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.exiting)
    }

    #[getter]
    fn _aborting(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.aborting)
    }

    #[getter]
    fn _parent_cancel_requested(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.parent_cancel_requested)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.event_loop.get(py)).map(|event_loop| event_loop.into_any().unbind())
    }

    #[getter]
    fn _parent_task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.parent(py)
    }

    /// The tasks that are not done: a new set.
    #[getter]
    fn _tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        PySet::new(py, self.state.with(py, |state| state.tasks.in_order(py)))
    }

    /// The tasks that are not done, the oldest first.
    fn _tasks_in_order<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        self.state.with(py, |state| state.tasks.in_order(py))
    }

    /// The exceptions of tasks so far: a new list.
    #[getter]
    fn _errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let errors: Vec<_> =
            self.state.with(py, |state| state.errors.iter().map(|error| error.clone_ref(py)).collect());
        PyList::new(py, errors)
    }

    #[getter]
    fn _base_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.base_error.cloned(py))
    }

    #[getter]
    fn _on_completed_fut(&self, py: Python<'_>) -> Option<Py<Future>> {
        self.state.with(py, |state| state.completed.cloned(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.event_loop.visit(&visit)?;
            state.parent.visit(&visit)?;
            state.tasks.visit(&visit)?;
            state.errors.iter().try_for_each(|error| visit.call(error))?;
            state.base_error.visit(&visit)?;
            state.completed.visit(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), State::take_contents));
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

/// Makes the class that derives from the native one whole.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub fn register_task_group(class: &Bound<'_, PyType>) -> PyResult<()> {
    slots::task_groups::install(class)
}
