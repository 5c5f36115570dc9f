//! What waits in the ready queue: not Python handles but what they would do, so that a task switch allocates nothing.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;

use super::{EventLoop, Handle};
use crate::both::Knock;
use crate::compose::{DoneCallback, Timeout, Watcher};
use crate::task::{Future, Task};

/// One thing to do in a turn.
///
/// A tag of eight bytes keeps what follows aligned: entries are moved in pieces that processors can forward from one
/// move to the next.
#[repr(u64)]
pub enum Entry {
    /// Run a handle, unless it was cancelled.
    Handle(Py<Handle>),
    /// Make a step of a task.
    Step(Py<Task>),
    /// Make a step of a task that waited for the future, which is done.
    Wake(Py<Task>, Py<PyAny>),
    /// Call `callback(argument)` in `context`: a future's done callback.
    Call {
        callback: Py<PyAny>,
        argument: Py<PyAny>,
        context: Py<PyAny>,
    },
    /// Tell one of our own objects that a future is done.
    Watched(Watcher, Py<PyAny>, Py<PyAny>),
    /// Finish a future, unless it is done.
    Release(Py<Future>),
    /// Wake a task that waits for a shared primitive.
    Knock(Knock),
    /// Give a future what a thread has returned, or what it has raised.
    Returned(Py<Future>, Py<PyAny>),
    Raised(Py<Future>, Py<PyAny>),
    /// A timeout's deadline has come, the one with this number.
    Expire(Py<Timeout>, u32),
    /// A registered descriptor is ready.
    Io(Token, Readiness),
    /// Signals have arrived for the Python half.
    Signals,
}

/// What a descriptor is ready for. An error or a hang-up counts as both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
}

impl Entry {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(handle) => visit.call(handle),
            Self::Step(task) => visit.call(task),
            Self::Wake(task, future) => {
                visit.call(task)?;
                visit.call(future)
            }
            Self::Call { callback, argument, context } => {
                visit.call(callback)?;
                visit.call(argument)?;
                visit.call(context)
            }
            Self::Watched(_, object, future) => {
                visit.call(object)?;
                visit.call(future)
            }
            Self::Release(future) => visit.call(future),
            Self::Knock(knock) => knock.visit(visit),
            Self::Returned(future, outcome) | Self::Raised(future, outcome) => {
                visit.call(future)?;
                visit.call(outcome)
            }
            Self::Expire(timeout, _) => visit.call(timeout),
            Self::Io(..) | Self::Signals => Ok(()),
        }
    }

    /// What the report of a slow entry is about.
    #[cold]
    pub(super) fn subject(&self, event_loop: &Bound<'_, EventLoop>) -> Option<Py<PyAny>> {
        let py = event_loop.py();
        match self {
            Self::Handle(handle) => Some(handle.clone_ref(py).into_any()),
            Self::Step(task) | Self::Wake(task, _) => Some(task.clone_ref(py).into_any()),
            Self::Call { callback, .. } => Some(callback.clone_ref(py)),
            Self::Watched(watcher, object, _) => {
                Some(DoneCallback::of(*watcher, object.bind(py)).ok()?.into_any().unbind())
            }
            Self::Release(future) | Self::Returned(future, _) | Self::Raised(future, _) => {
                Some(future.clone_ref(py).into_any())
            }
            Self::Knock(knock) => knock.future(py).map(Py::into_any),
            Self::Expire(timeout, _) => Some(timeout.clone_ref(py).into_any()),
            Self::Io(token, _) => event_loop.get().io_owner(py, *token),
            Self::Signals => None,
        }
    }
}
