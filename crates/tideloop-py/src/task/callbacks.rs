//! What happens when a future is done: native tasks wake up, callables are called soon.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::{PyTraverseError, PyVisit};

use super::future::{FutureState, Status};
use super::wakeup::TaskWakeup;
use super::{Future, Task};
use crate::compose::{DoneCallback, Watcher};
use crate::event_loop::{Entry, EventLoop};
use crate::names;
use crate::slots::loop_slot::LoopRef;
use crate::slots::{self, calls};

/// One thing that waits for a future.
pub(super) enum Callback {
    /// A native task.
    Waiter(Py<Task>),
    /// A callable and its context.
    Function(Py<PyAny>, Py<PyAny>),
    /// What one of our own objects does about it, without a callable.
    Watched(Watcher, Py<PyAny>),
}

impl Callback {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Waiter(task) => Self::Waiter(task.clone_ref(py)),
            Self::Function(function, context) => Self::Function(function.clone_ref(py), context.clone_ref(py)),
            Self::Watched(watcher, object) => Self::Watched(*watcher, object.clone_ref(py)),
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Waiter(task) => visit.call(task),
            Self::Function(function, context) => {
                visit.call(function)?;
                visit.call(context)
            }
            Self::Watched(_, object) => visit.call(object),
        }
    }

    /// As Python sees it: a callable and a context.
    fn into_pair(self, py: Python<'_>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
        match self {
            Self::Waiter(task) => {
                let context = task.get().context(py).unwrap_or_else(|| py.None().into_bound(py));
                Ok((TaskWakeup::of(task.bind(py))?.into_any(), context))
            }
            Self::Function(function, context) => Ok((function.into_bound(py), context.into_bound(py))),
            Self::Watched(watcher, object) => {
                Ok((DoneCallback::of(watcher, object.bind(py))?.into_any(), slots::copy_context(py)?))
            }
        }
    }
}

/// All that waited for a future, taken out of it.
pub(super) struct Callbacks {
    pub first: Option<Py<PyAny>>,
    pub first_context: Option<Py<PyAny>>,
    pub first_watcher: Option<Watcher>,
    pub more: Vec<Callback>,
}

impl Callbacks {
    /// Schedules them all on `event_loop`, in their order.
    #[inline(always)]
    pub fn schedule(self, future: &Bound<'_, Future>, event_loop: Option<LoopRef<'_>>) -> PyResult<()> {
        let py = future.py();
        let (Some(first), Some(event_loop)) = (self.first, event_loop) else { return Ok(()) };
        schedule(future, &event_loop, callback(py, first, self.first_context, self.first_watcher))?;
        if self.more.is_empty() {
            return Ok(());
        }
        schedule_all(future, &event_loop, self.more)
    }

    /// Drops them: the end of the future.
    #[inline]
    pub fn release(self, py: Python<'_>) {
        let Some(first) = self.first else { return };
        first.drop_ref(py);
        if let Some(context) = self.first_context {
            context.drop_ref(py);
        }
        drop(self.more);
    }
}

#[cold]
fn schedule_all(future: &Bound<'_, Future>, event_loop: &LoopRef<'_>, callbacks: Vec<Callback>) -> PyResult<()> {
    for callback in callbacks {
        schedule(future, event_loop, callback)?;
    }
    Ok(())
}

/// The first callback, from the fields that hold it.
#[inline(always)]
fn callback(py: Python<'_>, first: Py<PyAny>, context: Option<Py<PyAny>>, watcher: Option<Watcher>) -> Callback {
    if let Some(watcher) = watcher {
        return Callback::Watched(watcher, first);
    }
    match (context, first.into_bound(py).cast_into::<Task>()) {
        (None, Ok(task)) => Callback::Waiter(task.unbind()),
        (context, Ok(task)) => Callback::Function(task.into_any().unbind(), context.unwrap_or_else(|| py.None())),
        (context, Err(other)) => Callback::Function(other.into_inner().unbind(), context.unwrap_or_else(|| py.None())),
    }
}

/// Schedules one callback of a future that is done.
#[inline]
pub(super) fn schedule(future: &Bound<'_, Future>, event_loop: &LoopRef<'_>, callback: Callback) -> PyResult<()> {
    let py = future.py();
    let argument = future.as_any();
    let LoopRef::Native(native) = event_loop else {
        return schedule_by_call_soon(event_loop, argument, callback);
    };
    let entry = match callback {
        Callback::Waiter(task) => return wake(future, native, task),
        Callback::Function(callback, context) => Entry::Call { callback, argument: argument.clone().unbind(), context },
        Callback::Watched(watcher, object) => Entry::Watched(watcher, object, argument.clone().unbind()),
    };
    // Debug mode wants handles that know where they were made, a closed loop wants to complain: both in `call_soon`.
    let refused = native.get().with_state(py, |state| {
        if state.debug || state.closed {
            return Some(entry);
        }
        state.ready.push(entry);
        None
    });
    match refused {
        None => Ok(()),
        Some(Entry::Call { callback, context, .. }) => {
            schedule_by_call_soon(event_loop, argument, Callback::Function(callback, context))
        }
        Some(Entry::Watched(watcher, object, _)) => {
            schedule_by_call_soon(event_loop, argument, Callback::Watched(watcher, object))
        }
        Some(_) => Ok(()),
    }
}

/// Schedules the step of a task that waited for a future that is done.
#[inline]
fn wake(future: &Bound<'_, Future>, event_loop: &Bound<'_, EventLoop>, task: Py<Task>) -> PyResult<()> {
    // The entry is made in its place in the queue: one that is made elsewhere and moved costs as much as the rest.
    let refused = event_loop.get().with_state(future.py(), |state| {
        if state.debug || state.closed {
            return Some(task);
        }
        state.ready.push(Entry::Wake(task, future.clone().into_any().unbind()));
        None
    });
    let Some(task) = refused else { return Ok(()) };
    schedule_by_call_soon(&LoopRef::to_native(event_loop), future.as_any(), Callback::Waiter(task))
}

#[cold]
fn schedule_by_call_soon(event_loop: &LoopRef<'_>, argument: &Bound<'_, PyAny>, callback: Callback) -> PyResult<()> {
    let (function, context) = callback.into_pair(argument.py())?;
    calls::call_soon(event_loop.as_any(), &function, Some(argument), &context)?;
    Ok(())
}

impl FutureState {
    /// References of one's own to all callbacks.
    fn callbacks(&self, py: Python<'_>) -> Callbacks {
        let more =
            self.rare.as_ref().map(|rare| rare.callbacks.iter().map(|callback| callback.clone_ref(py)).collect());
        Callbacks {
            first: self.first.cloned(py),
            first_context: self.first_context.cloned(py),
            first_watcher: self.first_watcher,
            more: more.unwrap_or_default(),
        }
    }
}

impl Future {
    /// Calls `function(self)` in `context` when the future is done: soon, if it is done now.
    pub(crate) fn add_callback(
        slf: &Bound<'_, Self>,
        function: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let event_loop = slf.get().event_loop(py)?;
        let (function, context) = (function.clone().unbind(), context.clone().unbind());
        let done = slf.get().state.with(py, |state| {
            if state.status != Status::Pending {
                return Some((function, context));
            }
            if state.first.is_none() {
                // Both were empty.
                std::mem::forget((state.first.replace(Some(function)), state.first_context.replace(Some(context))));
            } else {
                state.rare().callbacks.push(Callback::Function(function, context));
            }
            None
        });
        match done {
            Some((function, context)) => schedule(slf, &event_loop, Callback::Function(function, context)),
            None => Ok(()),
        }
    }

    /// The callbacks as Python sees them, in order.
    pub(super) fn callback_pairs<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        let py = slf.py();
        Self::callbacks(slf).into_iter().map(|callback| callback.into_pair(py)).collect()
    }

    /// References of one's own to the callbacks, in order.
    fn callbacks(slf: &Bound<'_, Self>) -> Vec<Callback> {
        let py = slf.py();
        let Callbacks { first, first_context, first_watcher, more } =
            slf.get().state.with(py, |state| state.callbacks(py));
        let first = first.map(|first| callback(py, first, first_context, first_watcher));
        first.into_iter().chain(more).collect()
    }

    /// The tasks that wait for this future, and those that wait for it through one of our own objects.
    pub(super) fn waiting_tasks<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = slf.py();
        let mut waiting = Vec::new();
        for callback in Self::callbacks(slf) {
            let task = match &callback {
                Callback::Waiter(task) => Some(task.bind(py).as_any().clone()),
                Callback::Watched(watcher, object) => watcher.waiting_task(object.bind(py)),
                Callback::Function(function, _) => match function.bind(py).getattr_opt(intern!(py, "__self__"))? {
                    Some(owner) if owner.is_instance(names::task_class(py)?)? => Some(owner),
                    _ => None,
                },
            };
            waiting.extend(task);
        }
        Ok(waiting)
    }

    /// Tells `object` when the future is done: soon, if it is done now.
    #[inline]
    pub(crate) fn watch(slf: &Bound<'_, Self>, watcher: Watcher, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let object = object.clone().unbind();
        let refused = slf.get().state.with(py, |state| {
            if state.status != Status::Pending || !state.event_loop.is_some() {
                return Some(object);
            }
            if state.first.is_none() {
                state.first_watcher = Some(watcher);
                // It was empty.
                std::mem::forget(state.first.replace(Some(object)));
            } else {
                state.rare().callbacks.push(Callback::Watched(watcher, object));
            }
            None
        });
        match refused {
            Some(object) => schedule(slf, &slf.get().event_loop(py)?, Callback::Watched(watcher, object)),
            None => Ok(()),
        }
    }

    /// Takes [`Self::watch`] back, unless the future is done.
    pub(crate) fn unwatch(slf: &Bound<'_, Self>, watcher: Watcher, object: &Bound<'_, PyAny>) {
        let py = slf.py();
        let wanted = object.as_ptr();
        let removed = slf.get().state.with(py, |state| {
            let is_first = state.first_watcher == Some(watcher)
                && state.first.as_ref().is_some_and(|first| first.as_ptr() == wanted);
            if is_first {
                let mut more = match &mut state.rare {
                    Some(rare) => std::mem::take(&mut rare.callbacks),
                    None => Vec::new(),
                };
                let first = state.first.take();
                state.first_watcher = None;
                state.put_back(more.drain(..));
                return first;
            }
            let callbacks = &mut state.rare.as_mut()?.callbacks;
            let is_it = |callback: &Callback| match callback {
                Callback::Watched(kind, object) => *kind == watcher && object.as_ptr() == wanted,
                _ => false,
            };
            match callbacks.remove(callbacks.iter().position(is_it)?) {
                Callback::Watched(_, object) => Some(object),
                _ => None,
            }
        });
        drop(removed);
    }

    /// The value of `_callbacks`: None where there are none.
    pub(super) fn callback_list<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyList>>> {
        let pairs = Self::callback_pairs(slf)?;
        if pairs.is_empty() { Ok(None) } else { PyList::new(slf.py(), pairs).map(Some) }
    }

    /// Removes the callbacks that equal `function`; how many there were. A comparison may run Python, and that may
    /// change the callbacks: they are put back only as far as they are still there.
    pub(super) fn remove_callbacks(slf: &Bound<'_, Self>, function: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = slf.py();
        let mut unwanted = Vec::new();
        for (callback, context) in Self::callback_pairs(slf)? {
            if callback.is(function) || callback.eq(function)? {
                unwanted.push((callback, context));
            }
        }
        if unwanted.is_empty() {
            return Ok(0);
        }
        let taken = slf.get().state.with(py, FutureState::take_callbacks);
        let mut all = Vec::new();
        if let Some(first) = taken.first {
            all.push(callback(py, first, taken.first_context, taken.first_watcher));
        }
        all.extend(taken.more);
        let before = all.len();
        let (kept, removed): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|callback| !unwanted.iter().any(|(other, _)| callback.is(other)));
        let count = before - kept.len();
        slf.get().state.with(py, |state| state.put_back(kept.into_iter()));
        drop(removed);
        Ok(count)
    }
}

impl Callback {
    /// Whether Python knows it as `callable`.
    fn is(&self, callable: &Bound<'_, PyAny>) -> bool {
        match self {
            Self::Waiter(task) => callable.cast::<TaskWakeup>().is_ok_and(|wakeup| wakeup.get().wakes(task)),
            Self::Function(function, _) => function.is(callable),
            Self::Watched(watcher, object) => {
                callable.cast::<DoneCallback>().is_ok_and(|callback| callback.get().is(*watcher, object))
            }
        }
    }
}

impl FutureState {
    /// Puts back what [`Self::take_callbacks`] has just taken.
    fn put_back(&mut self, mut callbacks: impl Iterator<Item = Callback>) {
        let (object, context, watcher) = match callbacks.next() {
            None => return,
            Some(Callback::Waiter(task)) => (task.into_any(), None, None),
            Some(Callback::Function(function, context)) => (function, Some(context), None),
            Some(Callback::Watched(watcher, object)) => (object, None, Some(watcher)),
        };
        self.first_watcher = watcher;
        // Both were empty.
        std::mem::forget((self.first.replace(Some(object)), self.first_context.replace(context)));
        let rest: Vec<_> = callbacks.collect();
        if !rest.is_empty() {
            self.rare().callbacks = rest;
        }
    }
}
