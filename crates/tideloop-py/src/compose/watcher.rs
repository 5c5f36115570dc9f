//! Objects of ours that are told when a future is done, as a done callback is, without being a callable: the future
//! holds the object and one byte that says what to do.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::as_completed::AsCompleted;
use super::gather::Gathering;
use super::shield;
use super::task_group::TaskGroup;
use super::wait::WaitCall;
use crate::cell::{Cell, Slot};
use crate::slots::classes::exact_future;
use crate::task::Future;

/// What an object does when a future that it watches is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Watcher {
    /// A `gather` counts one of its children.
    Gather,
    /// A `wait` counts one of its futures.
    Wait,
    /// An `as_completed` has its next result.
    AsCompleted,
    /// A task group has one task less.
    TaskGroup,
    /// A future is finished with None, unless it is done: `wait_for` waits for it.
    Release,
    /// `shield`: what is shielded is done, and the object is the outer future.
    ShieldInner,
    /// `shield`: the outer future is done, and the object is what is shielded.
    ShieldOuter,
}

impl Watcher {
    /// Does it.
    #[inline]
    pub fn tell(self, object: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        match self {
            Self::Gather => Gathering::child_done(object.cast()?, future),
            Self::Wait => WaitCall::future_done(object.cast()?, future),
            Self::AsCompleted => AsCompleted::future_done(object.cast()?, future),
            Self::TaskGroup => TaskGroup::task_done(object.cast()?, future),
            Self::Release => match exact_future(object) {
                Some(waiter) => release(waiter),
                None => Ok(()),
            },
            Self::ShieldInner => shield::inner_done(object, future),
            Self::ShieldOuter => shield::outer_done(object, future),
        }
    }

    /// The task that waits through the object.
    pub fn waiting_task<'py>(self, object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::Gather => Gathering::parent(object.cast().ok()?),
            Self::Wait => object.cast::<WaitCall>().ok()?.get().parent(object.py()),
            Self::AsCompleted => object.cast::<AsCompleted>().ok()?.get().parent(object.py()),
            Self::TaskGroup => object.cast::<TaskGroup>().ok()?.get().parent(object.py()),
            Self::Release | Self::ShieldInner => {
                exact_future(object)?.get().waiting_task(object.py()).map(Bound::into_any)
            }
            Self::ShieldOuter => None,
        }
    }

    /// asyncio's name for its callback.
    fn qualname(self) -> &'static str {
        match self {
            Self::Gather => "gather.<locals>._done_callback",
            Self::Wait => "_wait.<locals>._on_completion",
            Self::AsCompleted => "_AsCompletedIterator._handle_completion",
            Self::TaskGroup => "TaskGroup._on_task_done",
            Self::Release => "_release_waiter",
            Self::ShieldInner => "shield.<locals>._inner_done_callback",
            Self::ShieldOuter => "shield.<locals>._outer_done_callback",
        }
    }

    /// Has the object told when any future is done.
    pub fn watch(self, object: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(native) = exact_future(future) {
            return Future::watch(native, self, object);
        }
        let callback = DoneCallback::of(self, object)?;
        future.call_method1(intern!(future.py(), "add_done_callback"), (callback,))?;
        awaited::add(future, self.waiting_task(object))
    }

    /// Takes [`Self::watch`] back.
    pub fn unwatch(self, object: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(native) = exact_future(future) {
            Future::unwatch(native, self, object);
            return Ok(());
        }
        let callback = DoneCallback::of(self, object)?;
        future.call_method1(intern!(future.py(), "remove_done_callback"), (callback,))?;
        self.settled(object, future)
    }

    /// The object has no business with the future any more. (A native future forgets its callbacks by itself.)
    #[inline]
    pub fn settled(self, object: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if cfg!(not(Py_3_14)) || exact_future(future).is_some() {
            return Ok(());
        }
        awaited::discard(future, self.waiting_task(object))
    }
}

/// Finishes a future, unless it is done.
#[inline]
pub fn release(future: &Bound<'_, Future>) -> PyResult<()> {
    let py = future.py();
    if future.get().is_done(py) { Ok(()) } else { Future::finish(future, py.None().into_bound(py)) }
}

/// Who awaits whom, in the futures of asyncio's C half: call graphs show it from 3.14 on.
mod awaited {
    use pyo3::prelude::*;

    #[cfg(Py_3_14)]
    pub fn add(future: &Bound<'_, PyAny>, task: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(task) = task else { return Ok(()) };
        crate::names::future_add_to_awaited_by(task.py())?.call1((future, task)).map(drop)
    }

    #[cfg(Py_3_14)]
    pub fn discard(future: &Bound<'_, PyAny>, task: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(task) = task else { return Ok(()) };
        crate::names::future_discard_from_awaited_by(task.py())?.call1((future, task)).map(drop)
    }

    #[cfg(not(Py_3_14))]
    #[expect(clippy::unnecessary_wraps, reason = "the other version may fail")]
    pub fn add(_future: &Bound<'_, PyAny>, _task: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        Ok(())
    }

    #[cfg(not(Py_3_14))]
    #[expect(clippy::unnecessary_wraps, reason = "the other version may fail")]
    pub fn discard(_future: &Bound<'_, PyAny>, _task: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        Ok(())
    }
}

/// A watching object as a callable: for futures that are not native, for debug mode, and for whoever looks.
#[pyclass(frozen, module = "tideloop._native")]
pub struct DoneCallback {
    watcher: Watcher,
    object: Cell<Slot>,
}

impl DoneCallback {
    /// The callable.
    pub fn of<'py>(watcher: Watcher, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        Bound::new(object.py(), Self { watcher, object: Cell::new(Slot::holding(object.clone().unbind())) })
    }

    /// Whether it is this object's.
    pub fn is(&self, watcher: Watcher, object: &Py<PyAny>) -> bool {
        self.watcher == watcher && self.address() == object.as_ptr() as usize
    }

    fn address(&self) -> usize {
        self.object.during_gc(|object| object.as_ref().map_or(0, |object| object.as_ptr() as usize)).unwrap_or(0)
    }
}

#[pymethods]
impl DoneCallback {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        match self.object.with(py, |object| object.cloned(py)) {
            Some(object) => self.watcher.tell(object.bind(py), future),
            None => Ok(()),
        }
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        let name = self.watcher.qualname();
        name.rsplit('.').next().unwrap_or(name)
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.watcher.qualname()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().watcher == self.watcher && other.get().address() == self.address())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.watcher, self.address()).hash(&mut hasher);
        hasher.finish()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.object.during_gc(|object| object.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().object.with(slf.py(), Slot::take));
    }
}

impl Drop for DoneCallback {
    fn drop(&mut self) {
        drop(self.object.get_mut().take());
    }
}
