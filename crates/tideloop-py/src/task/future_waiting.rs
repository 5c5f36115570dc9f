//! Waiting for a future: who waits, why, and for what.

use pyo3::prelude::*;

use super::callbacks::Callback;
use super::future::{FutureState, Status};
use super::wait_reason::WaitReason;
use super::{Future, Task};

impl Future {
    /// A native coroutine has it awaited at once.
    #[inline]
    pub(crate) fn await_at_once(&self, py: Python<'_>) {
        self.state.with(py, |state| state.blocking = true);
    }

    /// Why a task waits for it.
    pub(crate) fn set_reason(&self, py: Python<'_>, reason: WaitReason) {
        self.state.with(py, |state| state.reason = reason);
    }

    /// It is waited for through `object`, while it is pending. If that is a pool's job, cancelling abandons it.
    pub(crate) fn wait_for_object(&self, py: Python<'_>, reason: WaitReason, object: Py<PyAny>) {
        let old = self.state.with(py, |state| {
            state.reason = reason;
            state.outcome.replace(Some(object))
        });
        drop(old);
    }

    /// The object that is waited for through it: the primitive, while it is pending.
    pub(crate) fn waited_for<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let pending = |state: &mut FutureState| state.status == Status::Pending && !state.failed;
        let object = self.state.with(py, |state| if pending(state) { state.outcome.cloned(py) } else { None });
        object.map(|object| object.into_bound(py))
    }

    /// The native task that waits for it, if that is the first to wait.
    pub(crate) fn waiting_task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Task>> {
        let first =
            self.state.with(py, |state| if state.first_context.is_some() { None } else { state.first.cloned(py) });
        first?.into_bound(py).cast_into::<Task>().ok()
    }

    /// Whether it is done, with a result.
    #[inline]
    pub(crate) fn has_result(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.status == Status::Finished && !state.failed)
    }

    /// A native task waits for this future: wakes it when that is done. `None`: it is done already.
    #[inline]
    pub(super) fn park(state: &mut FutureState, task: Py<Task>) -> Option<Py<Task>> {
        if state.status != Status::Pending {
            return Some(task);
        }
        if state.first.is_none() {
            let none = state.first.replace(Some(task.into_any()));
            debug_assert!(none.is_none());
            std::mem::forget(none);
        } else {
            state.rare().callbacks.push(Callback::Waiter(task));
        }
        None
    }
}
