//! Entering and leaving the block of a `TaskGroup`.

use pyo3::exceptions::{PyBaseExceptionGroup, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::task_group::{TaskGroup, cancel, is_base_error};
use super::{let_all_go, let_go};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine, waiter};
use crate::names;
use crate::slots;
use crate::slots::loop_slot::LoopSlot;
use crate::slots::running::running_loop;
use crate::task::{self, Task, WaitReason};

struct State {
    leaving: bool,
    group: Slot<TaskGroup>,
    /// How the block ended: the class of its exception, and the exception.
    class: Slot,
    exception: Slot,
    /// The cancellation to pass on when all is over.
    cancellation: Slot,
}

type Contents = (Option<Py<TaskGroup>>, [Option<Py<PyAny>>; 3]);

impl State {
    const EMPTY: Self = Self {
        leaving: false,
        group: Slot::EMPTY,
        class: Slot::EMPTY,
        exception: Slot::EMPTY,
        cancellation: Slot::EMPTY,
    };

    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> Contents {
        (self.group.take(), [self.class.take(), self.exception.take(), self.cancellation.take()])
    }
}

/// A call of `__aenter__` or `__aexit__`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct GroupCall {
    life: Life,
    state: Cell<State>,
}

impl NativeCoroutine for GroupCall {
    fn blank() -> Self {
        Self { life: Life::ended(), state: Cell::new(State::EMPTY) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        if self.state.with(py, |state| state.leaving) { "TaskGroup.__aexit__" } else { "TaskGroup.__aenter__" }
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (leaving, group) = slf.get().state.with(py, |state| (state.leaving, state.group.cloned(py)));
        let Some(group) = group else { return Ok(Stepped::Return(py.None().into_bound(py))) };
        let group = group.into_bound(py);
        if !leaving {
            enter(&group)?;
            return Ok(Stepped::Return(group.into_any()));
        }
        let stepped = Self::leave(slf, &group, resumed);
        if !matches!(stepped, Ok(Stepped::Wait(_))) {
            group.get().forget(py);
        }
        stepped
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.group.visit(visit)?;
            state.class.visit(visit)?;
            state.exception.visit(visit)?;
            state.cancellation.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        let (group, others) = self.state.with(py, State::take_contents);
        let_go(py, group);
        let_all_go(py, others.into_iter().flatten());
    }
}

native_coroutine!(GroupCall);

impl GroupCall {
    pub(super) fn entering<'py>(group: &Bound<'py, TaskGroup>) -> PyResult<Bound<'py, Self>> {
        let state = State { group: Slot::holding(group.clone().unbind()), ..State::EMPTY };
        slots::coroutine::create(group.py(), Self { life: Life::fresh(), state: Cell::new(state) })
    }

    pub(super) fn leaving<'py>(
        group: &Bound<'py, TaskGroup>,
        class: &Bound<'py, PyAny>,
        exception: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let given = |object: &Bound<'py, PyAny>| Slot::maybe((!object.is_none()).then(|| object.clone().unbind()));
        let state = State {
            leaving: true,
            group: Slot::holding(group.clone().unbind()),
            class: given(class),
            exception: given(exception),
            ..State::EMPTY
        };
        slots::coroutine::create(group.py(), Self { life: Life::fresh(), state: Cell::new(state) })
    }

    /// Goes on leaving: waits until there is no task left.
    fn leave<'py>(
        slf: &Bound<'py, Self>,
        group: &Bound<'py, TaskGroup>,
        resumed: Resumed<'py>,
    ) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        match resumed {
            Resumed::Start => Self::begin_leaving(slf, group)?,
            Resumed::Woken(_) => {}
            Resumed::Thrown(exception, _) => {
                if !exception.is_instance(names::cancelled_error(py)?)? {
                    return Err(PyErr::from_value(exception));
                }
                // The parent is cancelled from outside, perhaps not for the first time.
                if !group.get().state.with(py, |state| state.aborting) {
                    Self::pass_on(slf, Some(exception));
                    TaskGroup::abort_native(group)?;
                }
            }
        }
        let_go(py, group.get().state.with(py, |state| state.completed.take()));
        let (any, event_loop) = group.get().state.with(py, |state| (!state.tasks.is_empty(), state.event_loop.get(py)));
        match event_loop {
            Some(event_loop) if any => {
                let waiter = waiter(py, &event_loop, WaitReason::TaskGroup, group.as_any())?;
                let kept = waiter.clone().unbind();
                let_go(py, group.get().state.with(py, |state| state.completed.replace(Some(kept))));
                Ok(Stepped::Wait(waiter))
            }
            _ => Self::conclude(slf, group),
        }
    }

    /// The block has ended, well or not.
    fn begin_leaving(slf: &Bound<'_, Self>, group: &Bound<'_, TaskGroup>) -> PyResult<()> {
        let py = slf.py();
        let (class, exception) = slf.get().state.with(py, |state| (state.class.cloned(py), state.exception.cloned(py)));
        let [class, exception] = [class, exception].map(|object| object.map(|object| object.into_bound(py)));
        let aborting = group.get().state.with(py, |state| {
            state.exiting = true;
            state.aborting
        });
        let Some(class) = class else { return Ok(()) };
        if let Some(exception) = &exception
            && is_base_error(exception)
        {
            let kept = exception.clone().unbind();
            let unused = group.get().state.with(py, |state| {
                if state.base_error.is_none() { state.base_error.replace(Some(kept)) } else { Some(kept) }
            });
            let_go(py, unused);
        }
        if is_cancellation(&class)? {
            Self::pass_on(slf, exception);
        }
        if aborting { Ok(()) } else { TaskGroup::abort_native(group) }
    }

    /// Notes the cancellation that is to be passed on, or that none is.
    fn pass_on(slf: &Bound<'_, Self>, cancellation: Option<Bound<'_, PyAny>>) {
        let cancellation = cancellation.map(Bound::unbind);
        let_go(slf.py(), slf.get().state.with(slf.py(), |state| state.cancellation.replace(cancellation)));
    }

    /// No task is left: what comes of it all.
    fn conclude<'py>(slf: &Bound<'py, Self>, group: &Bound<'py, TaskGroup>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (base_error, cancelled_parent, parent) = group
            .get()
            .state
            .with(py, |state| (state.base_error.take(), state.parent_cancel_requested, state.parent.cloned(py)));
        if let Some(base_error) = base_error {
            return Err(PyErr::from_value(base_error.into_bound(py)));
        }
        let parent = parent.map(|parent| parent.into_bound(py));
        if let (true, Some(parent)) = (cancelled_parent, &parent)
            && uncancel(parent)? == 0
        {
            Self::pass_on(slf, None);
        }
        let mut errors = group.get().state.with(py, |state| std::mem::take(&mut state.errors));
        let (class, exception, cancellation) =
            slf.get().state.with(py, |state| (state.class.take(), state.exception.take(), state.cancellation.take()));
        let [class, exception, cancellation] =
            [class, exception, cancellation].map(|object| object.map(|object| object.into_bound(py)));
        if let Some(cancellation) = cancellation
            && errors.is_empty()
        {
            return Err(PyErr::from_value(cancellation));
        }
        if let (Some(class), Some(exception)) = (class, &exception)
            && !is_cancellation(&class)?
        {
            errors.push(exception.clone().unbind());
        }
        if errors.is_empty() {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        }
        if let Some(parent) = &parent
            && cancelling(parent)? > 0
        {
            // Somebody else has cancelled it as well: it learns of that at its next wait, and the count stays.
            uncancel(parent)?;
            cancel(parent)?;
        }
        Err(group_of(&PyList::new(py, errors)?, exception.as_ref())?)
    }
}

/// The exception group, raised from none, while `handled` is being handled.
fn group_of(errors: &Bound<'_, PyList>, handled: Option<&Bound<'_, PyAny>>) -> PyResult<PyErr> {
    let py = errors.py();
    let class = py.get_type::<PyBaseExceptionGroup>();
    let group = class.call1((intern!(py, "unhandled errors in a TaskGroup"), errors))?;
    group.setattr(intern!(py, "__context__"), handled)?;
    group.setattr(intern!(py, "__suppress_context__"), true)?;
    Ok(PyErr::from_value(group))
}

fn is_cancellation(class: &Bound<'_, PyAny>) -> PyResult<bool> {
    class.cast::<PyType>()?.is_subclass(names::cancelled_error(class.py())?)
}

/// `task.uncancel()`
fn uncancel(task: &Bound<'_, PyAny>) -> PyResult<u32> {
    match task.cast_exact::<Task>() {
        Ok(native) => Ok(native.get().withdraw_cancel(task.py())),
        Err(_) => task.call_method0(intern!(task.py(), "uncancel"))?.extract(),
    }
}

/// `task.cancelling()`
fn cancelling(task: &Bound<'_, PyAny>) -> PyResult<u32> {
    match task.cast_exact::<Task>() {
        Ok(native) => Ok(native.get().cancels_requested(task.py())),
        Err(_) => task.call_method0(intern!(task.py(), "cancelling"))?.extract(),
    }
}

/// The running task becomes the group's parent.
fn enter(group: &Bound<'_, TaskGroup>) -> PyResult<()> {
    let py = group.py();
    let (entered, event_loop) = group.get().state.with(py, |state| (state.entered, state.event_loop.get(py)));
    if entered {
        return Err(PyRuntimeError::new_err(format!("TaskGroup {} has already been entered", group.repr()?)));
    }
    let event_loop = match event_loop {
        Some(event_loop) => event_loop,
        None => {
            let event_loop = running_loop(py)?;
            let slot = LoopSlot::holding(&event_loop);
            let mut none = group.get().state.with(py, |state| std::mem::replace(&mut state.event_loop, slot));
            drop(none.take());
            event_loop
        }
    };
    let Some(parent) = task::current::task_on(&event_loop)? else {
        let message = format!("TaskGroup {} cannot determine the parent task", group.repr()?);
        return Err(PyRuntimeError::new_err(message));
    };
    let parent = Some(parent.unbind());
    let none = group.get().state.with(py, |state| {
        state.entered = true;
        state.parent.replace(parent)
    });
    drop(none);
    Ok(())
}
