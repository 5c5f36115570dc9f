//! What happens when a future is done: native tasks wake up, callables are called soon.

use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::{PyTraverseError, PyVisit};

use super::future::{FutureState, Status};
use super::wakeup::TaskWakeup;
use super::{Future, Task};
use crate::event_loop::Entry;
use crate::slots::calls;
use crate::slots::loop_slot::LoopRef;

/// One thing that waits for a future.
pub(super) enum Callback {
    /// A native task.
    Waiter(Py<Task>),
    /// A callable and its context.
    Function(Py<PyAny>, Py<PyAny>),
}

impl Callback {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Waiter(task) => Self::Waiter(task.clone_ref(py)),
            Self::Function(function, context) => Self::Function(function.clone_ref(py), context.clone_ref(py)),
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Waiter(task) => visit.call(task),
            Self::Function(function, context) => {
                visit.call(function)?;
                visit.call(context)
            }
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
        }
    }
}

/// All that waited for a future, taken out of it.
pub(super) struct Callbacks {
    pub first: Option<Py<PyAny>>,
    pub first_context: Option<Py<PyAny>>,
    pub more: Vec<Callback>,
}

impl Callbacks {
    /// Schedules them all on `event_loop`, in their order.
    #[inline]
    pub fn schedule(self, future: &Bound<'_, Future>, event_loop: Option<LoopRef<'_>>) -> PyResult<()> {
        let py = future.py();
        let (Some(first), Some(event_loop)) = (self.first, event_loop) else { return Ok(()) };
        schedule(future, &event_loop, callback(py, first, self.first_context))?;
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

/// The first callback, from the two fields that hold it.
#[inline]
fn callback(py: Python<'_>, first: Py<PyAny>, context: Option<Py<PyAny>>) -> Callback {
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
        Callback::Waiter(task) => Entry::Wake(task, argument.clone().unbind()),
        Callback::Function(callback, context) => Entry::Call { callback, argument: argument.clone().unbind(), context },
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
        Some(Entry::Wake(task, _)) => schedule_by_call_soon(event_loop, argument, Callback::Waiter(task)),
        Some(Entry::Call { callback, context, .. }) => {
            schedule_by_call_soon(event_loop, argument, Callback::Function(callback, context))
        }
        Some(_) => Ok(()),
    }
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
        let Callbacks { first, first_context, more } = slf.get().state.with(py, |state| state.callbacks(py));
        let first = first.map(|first| callback(py, first, first_context));
        first.into_iter().chain(more).map(|callback| callback.into_pair(py)).collect()
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
            all.push(callback(py, first, taken.first_context));
        }
        all.extend(taken.more);
        let before = all.len();
        let (kept, removed): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|callback| !unwanted.iter().any(|(other, _)| callback.is(other)));
        let count = before - kept.len();
        slf.get().state.with(py, |state| state.put_back(kept));
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
        }
    }
}

impl FutureState {
    /// Puts back what [`Self::take_callbacks`] has just taken.
    fn put_back(&mut self, callbacks: Vec<Callback>) {
        let mut callbacks = callbacks.into_iter();
        let (object, context) = match callbacks.next() {
            None => return,
            Some(Callback::Waiter(task)) => (task.into_any(), None),
            Some(Callback::Function(function, context)) => (function, Some(context)),
        };
        // Both were empty.
        std::mem::forget((self.first.replace(Some(object)), self.first_context.replace(context)));
        let rest: Vec<_> = callbacks.collect();
        if !rest.is_empty() {
            self.rare().callbacks = rest;
        }
    }
}
