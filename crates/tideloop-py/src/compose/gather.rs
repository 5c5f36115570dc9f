//! `gather`: one future for the results of several, which counts its children natively as they are done.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::Watcher;
use super::ensure::{ensure_future, loop_of};
use super::outcome::{self, Outcome};
use super::unique::Unique;
use crate::cell::{Cell, Slot};
use crate::slots::loop_slot::LoopRef;
use crate::slots::{self, Slotted};
use crate::task::{self, Future, Task, WaitReason};

struct State {
    /// One for each argument: a future that was given twice is here twice.
    children: Vec<Py<PyAny>>,
    /// How many different children there are, and how many of them are done.
    count: usize,
    finished: usize,
    return_exceptions: bool,
    /// All arguments have been looked at.
    complete: bool,
    /// Somebody has cancelled the whole, and a child has heeded it.
    cancel_requested: bool,
    /// The task that has called `gather`.
    parent: Slot,
}

/// The future that `gather` returns: to cancel it is to cancel its children.
///
/// Corresponds to `asyncio.tasks._GatheringFuture`.
#[pyclass(frozen, extends = Future, name = "_GatheringFuture", module = "tideloop")]
pub struct Gathering {
    state: Cell<State>,
}

impl Slotted for Gathering {
    const OFFSET: usize = slots::offset_after::<Future>();
}

impl Gathering {
    /// One without anything, also without a loop.
    pub(super) fn blank() -> Self {
        Self {
            state: Cell::new(State {
                children: Vec::new(),
                count: 0,
                finished: 0,
                return_exceptions: false,
                complete: false,
                cancel_requested: false,
                parent: Slot::EMPTY,
            }),
        }
    }

    /// One without children, on `event_loop`.
    fn create<'py>(py: Python<'py>, event_loop: &LoopRef<'py>) -> PyResult<Bound<'py, Self>> {
        let future = Future::pending_for(event_loop, WaitReason::Several);
        let outer = slots::gathering::new_gathering(py, future, Self::blank())?;
        outer.as_super().get().remember_origin(py, event_loop)?;
        Ok(outer)
    }

    /// The task that waits for the children.
    pub(super) fn parent<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.as_super().get().is_done(py) {
            return None;
        }
        Some(slf.get().state.with(py, |state| state.parent.cloned(py))?.into_bound(py))
    }

    /// A child is done.
    #[inline]
    pub(super) fn child_done(slf: &Bound<'_, Self>, child: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (complete, return_exceptions, last) = slf.get().state.with(py, |state| {
            state.finished += 1;
            (state.complete, state.return_exceptions, state.finished == state.count)
        });
        Watcher::Gather.settled(slf.as_any(), child)?;
        let good = outcome::is_good(py, child);
        if !complete || slf.as_super().get().is_done(py) {
            if !good {
                // The exception counts as retrieved.
                outcome::of(child)?;
            }
            return Ok(());
        }
        if !return_exceptions && !good {
            let error = match outcome::of(child)? {
                Outcome::Result(_) => None,
                Outcome::Exception(exception) => Some(exception),
                Outcome::Cancelled => Some(outcome::cancelled_error(child)?),
            };
            if let Some(error) = error {
                return Self::fail(slf, &error);
            }
        }
        if last { Self::finish(slf) } else { Ok(()) }
    }

    fn children<'py>(slf: &Bound<'py, Self>) -> Vec<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.children.iter().map(|child| child.bind(py).clone()).collect())
    }

    #[cold]
    fn fail(slf: &Bound<'_, Self>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        if cfg!(Py_3_14) {
            for child in Self::children(slf) {
                Watcher::Gather.settled(slf.as_any(), &child)?;
            }
        }
        Future::fail(slf.as_super(), error)
    }

    /// All children are done, and as well as was asked for.
    fn finish(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let children = Self::children(slf);
        let mut results = Vec::with_capacity(children.len());
        for child in &children {
            results.push(match outcome::of(child)? {
                Outcome::Result(value) | Outcome::Exception(value) => value,
                Outcome::Cancelled => outcome::cancellation(child)?,
            });
        }
        if slf.get().state.with(py, |state| state.cancel_requested)
            && let Some(last) = children.last()
        {
            return Future::fail(slf.as_super(), &outcome::cancelled_error(last)?);
        }
        Future::finish(slf.as_super(), PyList::new(py, results)?.into_any())
    }

    /// `cancel`: cancels the children; whether there was one to cancel.
    pub(crate) fn cancel_children(slf: &Bound<'_, Self>, message: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        if slf.as_super().get().is_done(py) {
            return Ok(false);
        }
        let mut any = false;
        for child in Self::children(slf) {
            any |= task::cancel_any(&child, message)?;
        }
        if any {
            slf.get().state.with(py, |state| state.cancel_requested = true);
        }
        Ok(any)
    }

    /// Drops everything it holds beyond what it holds as a future: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        let state = self.state.get_mut();
        for child in std::mem::take(&mut state.children) {
            child.drop_ref(py);
        }
        drop(state.parent.take());
    }
}

/// What a call of `gather` has come to so far.
struct Gatherer<'py> {
    event_loop: Option<LoopRef<'py>>,
    parent: Option<Bound<'py, PyAny>>,
    outer: Option<Bound<'py, Gathering>>,
    seen: Unique<'py>,
    children: Vec<Bound<'py, PyAny>>,
    /// Those that were done from the start.
    done: Vec<Bound<'py, PyAny>>,
}

impl<'py> Gatherer<'py> {
    #[inline]
    fn add(&mut self, argument: &Bound<'py, PyAny>, return_exceptions: bool) -> PyResult<()> {
        let py = argument.py();
        if let Some(seen) = self.seen.number(argument, self.children.len())? {
            let child = self.children[seen].clone();
            self.children.push(child);
            return Ok(());
        }
        let child = self.future_of(argument)?;
        if !child.is(argument) {
            // Nobody else knows this task: nobody is told if it is destroyed while it is pending.
            match child.cast_exact::<Task>() {
                Ok(task) => task.get().log_destroy_pending(py, false),
                Err(_) => child.setattr(intern!(py, "_log_destroy_pending"), false)?,
            }
        }
        let outer = match &self.outer {
            Some(outer) => outer,
            None => {
                let event_loop = match self.event_loop.take() {
                    Some(event_loop) => event_loop,
                    None => loop_of(&child)?,
                };
                let outer = Gathering::create(py, self.event_loop.insert(event_loop))?;
                let parent = self.parent.take().map(Bound::unbind);
                let none = outer.get().state.with(py, |state| {
                    state.return_exceptions = return_exceptions;
                    state.parent.replace(parent)
                });
                drop(none);
                self.outer.insert(outer)
            }
        };
        outer.get().state.with(py, |state| state.count += 1);
        if cfg!(Py_3_12) && outcome::is_done(&child)? {
            self.done.push(child.clone());
        } else {
            Watcher::Gather.watch(outer.as_any(), &child)?;
        }
        self.children.push(child);
        Ok(())
    }

    #[inline]
    fn future_of(&self, argument: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if self.event_loop.is_none() && slots::coroutine::is_plain_coroutine(argument) {
            return ensure_future(argument, Some(&task::default_loop(argument.py(), None)?));
        }
        ensure_future(argument, self.event_loop.as_ref())
    }
}

/// Run awaitables concurrently: a future of the list of their results, in the order of the arguments. Coroutines
/// become tasks. The first exception is raised, and the others go on; with `return_exceptions` exceptions are results.
/// To cancel the future cancels all that it waits for. Corresponds to `asyncio.gather`.
#[pyfunction]
#[pyo3(signature = (*coros_or_futures, return_exceptions=None), text_signature = "(*coros_or_futures, return_exceptions=False)")]
pub fn gather<'py>(
    coros_or_futures: &Bound<'py, PyTuple>,
    return_exceptions: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = coros_or_futures.py();
    let return_exceptions = match return_exceptions {
        Some(given) => given.is_truthy()?,
        None => false,
    };
    let mut gatherer = Gatherer {
        event_loop: None,
        parent: None,
        outer: None,
        seen: Unique::with_capacity(coros_or_futures.len()),
        children: Vec::with_capacity(coros_or_futures.len()),
        done: Vec::new(),
    };
    if cfg!(Py_3_14) {
        gatherer.event_loop = slots::running::running_loop_or_none(py)?;
        if let Some(event_loop) = &gatherer.event_loop {
            gatherer.parent = task::current::task_on(event_loop)?;
        }
    }
    for argument in coros_or_futures {
        gatherer.add(&argument, return_exceptions)?;
    }
    let Some(outer) = gatherer.outer else {
        let future = task::default_loop(py, None)?.into_any().call_method0(intern!(py, "create_future"))?;
        future.call_method1(intern!(py, "set_result"), (PyList::empty(py),))?;
        return Ok(future);
    };
    let children = gatherer.children.into_iter().map(Bound::unbind).collect();
    outer.get().state.with(py, |state| (state.children, state.complete) = (children, true));
    for child in &gatherer.done {
        Gathering::child_done(&outer, child)?;
    }
    Ok(outer.into_any())
}

#[pymethods]
impl Gathering {
    /// Cancel the children; False where all are done. Corresponds to `asyncio.Future.cancel` of what `gather` returns.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Self::cancel_children(slf, msg)
    }

    #[getter]
    fn _children<'py>(slf: &Bound<'py, Self>) -> Vec<Bound<'py, PyAny>> {
        Self::children(slf)
    }

    #[getter]
    fn _cancel_requested(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.cancel_requested)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            for child in &state.children {
                visit.call(child)?;
            }
            state.parent.visit(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents =
            slf.get().state.with(slf.py(), |state| (std::mem::take(&mut state.children), state.parent.take()));
        drop(contents);
    }
}
