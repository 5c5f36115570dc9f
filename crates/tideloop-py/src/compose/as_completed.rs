//! `as_completed`: the results of several futures as they come.

use std::collections::VecDeque;

use pyo3::exceptions::{PyStopAsyncIteration, PyTimeoutError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PySet;
use pyo3::{PyTraverseError, PyVisit};

use super::ensure::ensure_future;
use super::members::Members;
use super::unique::Unique;
use super::wait::is_plain_collection;
use super::{Watcher, let_go};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine, waiter};
use crate::names;
use crate::slots;
use crate::slots::classes::exact_future;
use crate::slots::running::{running_loop, running_loop_or_none};
use crate::task::{self, Future, WaitReason};

struct State {
    /// The arguments, until they have been looked at.
    given: Slot,
    timeout: Slot,
    /// The futures that are not done.
    todo: Members,
    /// How many have not been asked for.
    left: usize,
    /// Those that are done and were not handed out; None: time was up.
    done: VecDeque<Option<Py<PyAny>>>,
    /// Who waits for the next one.
    waiters: VecDeque<Py<Future>>,
    timer: Slot,
    /// The task that has made it, where call graphs show it.
    parent: Slot,
}

/// What `as_completed` returns: an iterator of coroutines, and an asynchronous iterator of futures.
///
/// Corresponds to `asyncio.tasks._AsCompletedIterator` of 3.13 and later.
#[pyclass(frozen, weakref, name = "_AsCompletedIterator", module = "tideloop")]
pub struct AsCompleted {
    state: Cell<State>,
}

impl AsCompleted {
    /// Makes futures of the awaitables, unless that was done before.
    #[inline]
    fn begin(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.given.take().map(|given| (given, state.timeout.take()))) {
            Some((given, timeout)) => {
                Self::begin_with(slf, given.bind(py), timeout.as_ref().map(|timeout| timeout.bind(py)))
            }
            None => Ok(()),
        }
    }

    fn begin_with<'py>(
        slf: &Bound<'py, Self>,
        given: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        check_iterable(given)?;
        let event_loop = match running_loop_or_none(py)? {
            Some(event_loop) => event_loop,
            None => task::default_loop(py, None)?,
        };
        let awaitables = each_once(given)?;
        let parent = if cfg!(Py_3_14) { task::current::task_on(&event_loop)?.map(Bound::unbind) } else { None };
        let futures: PyResult<Vec<_>> =
            awaitables.iter().map(|awaitable| ensure_future(awaitable, Some(&event_loop))).collect();
        let futures = futures?;
        for future in &futures {
            let member = future.clone().unbind();
            drop(slf.get().state.with(py, |state| state.todo.insert(member)));
        }
        let none = slf.get().state.with(py, |state| {
            state.left = state.todo.len();
            state.parent.replace(parent)
        });
        drop(none);
        for future in &futures {
            Watcher::AsCompleted.watch(slf.as_any(), future)?;
        }
        if let Some(timeout) = timeout.filter(|_| !futures.is_empty()) {
            let callback = slf.getattr(intern!(py, "_handle_timeout"))?;
            let timer = event_loop.as_any().call_method1(intern!(py, "call_later"), (timeout, callback))?.unbind();
            drop(slf.get().state.with(py, |state| state.timer.replace(Some(timer))));
        }
        Ok(())
    }

    /// The task that has made it.
    pub(super) fn parent<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.state.with(py, |state| state.parent.cloned(py))?.into_bound(py))
    }

    /// One of the futures is done.
    #[inline]
    pub(super) fn future_done(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let finished = slf.get().state.with(py, |state| {
            let finished = state.todo.remove(future)?;
            state.done.push_back(Some(finished));
            Some(if state.todo.is_empty() { state.timer.cloned(py) } else { None })
        });
        // Otherwise time was up.
        let Some(timer) = finished else { return Ok(()) };
        Watcher::AsCompleted.settled(slf.as_any(), future)?;
        Self::wake_next(slf)?;
        match timer {
            Some(timer) => timer.into_bound(py).call_method0(intern!(py, "cancel")).map(drop),
            None => Ok(()),
        }
    }

    /// Wakes the first of those who wait.
    #[inline]
    fn wake_next(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        while let Some(waiter) = slf.get().state.with(py, |state| state.waiters.pop_front()) {
            let waiter = waiter.into_bound(py);
            if !waiter.get().is_done(py) {
                return Future::finish(&waiter, py.None().into_bound(py));
            }
        }
        Ok(())
    }

    fn next_call<'py>(slf: &Bound<'py, Self>, way: Way) -> PyResult<Bound<'py, NextCall>> {
        let iterator = Cell::new(Slot::holding(slf.clone().unbind()));
        slots::coroutine::create(slf.py(), NextCall { life: Life::fresh(), way, iterator })
    }

    fn contents(state: &mut State) -> impl Sized + use<> {
        let done = std::mem::take(&mut state.done);
        let waiters = std::mem::take(&mut state.waiters);
        let slots = [&mut state.given, &mut state.timeout, &mut state.timer, &mut state.parent].map(Slot::take);
        (std::mem::take(&mut state.todo), done, waiters, slots)
    }
}

#[pymethods]
impl AsCompleted {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, NextCall>>> {
        Self::begin(slf)?;
        let left = slf.get().state.with(slf.py(), |state| {
            let left = state.left;
            state.left = left.saturating_sub(1);
            left
        });
        if left == 0 { Ok(None) } else { Self::next_call(slf, Way::Plain).map(Some) }
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, NextCall>>> {
        Self::begin(slf)?;
        Self::next_call(slf, Way::Asynchronous).map(Some)
    }

    /// Time is up: whoever waits for one that is not done is told.
    fn _handle_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let todo = slf.get().state.with(py, |state| std::mem::take(&mut state.todo));
        for future in todo.in_order(py) {
            Watcher::AsCompleted.unwatch(slf.as_any(), &future)?;
            slf.get().state.with(py, |state| state.done.push_back(None));
            Self::wake_next(slf)?;
        }
        Ok(())
    }

    #[getter]
    fn _todo<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PySet>> {
        let py = slf.py();
        PySet::new(py, slf.get().state.with(py, |state| state.todo.in_order(py)))
    }

    #[getter]
    fn _todo_left(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.left)
    }

    #[getter]
    fn _timeout_handle(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.timer.cloned(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.todo.visit(&visit)?;
            state.done.iter().try_for_each(|future| visit.call(future))?;
            state.waiters.iter().try_for_each(|future| visit.call(future))?;
            [&state.given, &state.timeout, &state.timer, &state.parent].iter().try_for_each(|slot| slot.visit(&visit))
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), Self::contents));
    }
}

impl Drop for AsCompleted {
    fn drop(&mut self) {
        drop(Self::contents(self.state.get_mut()));
    }
}

/// How the next one was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By `next()`: for its result.
    Plain,
    /// By `anext()`: for the future itself.
    Asynchronous,
}

/// Waits for the next future to be done.
#[pyclass(frozen, module = "tideloop._native")]
pub struct NextCall {
    life: Life,
    way: Way,
    iterator: Cell<Slot<AsCompleted>>,
}

impl NativeCoroutine for NextCall {
    fn blank() -> Self {
        Self { life: Life::ended(), way: Way::Plain, iterator: Cell::new(Slot::EMPTY) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        match self.way {
            Way::Plain => "_AsCompletedIterator._wait_for_one",
            Way::Asynchronous => "_AsCompletedIterator.__anext__",
        }
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let Some(iterator) = slf.get().iterator.with(py, |iterator| iterator.cloned(py)) else {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        };
        let iterator = iterator.into_bound(py);
        let state = &iterator.get().state;
        match resumed {
            Resumed::Start if slf.get().way == Way::Asynchronous => {
                let any = state.with(py, |state| match state.left.checked_sub(1) {
                    Some(left) => {
                        state.left = left;
                        true
                    }
                    None => false,
                });
                if !any {
                    return Err(PyStopAsyncIteration::new_err(()));
                }
            }
            Resumed::Start | Resumed::Woken(_) => {}
            Resumed::Thrown(exception, waited) => {
                Self::give_up(&iterator, waited.as_ref())?;
                return Err(PyErr::from_value(exception));
            }
        }
        match state.with(py, |state| state.done.pop_front()) {
            None => Self::wait(&iterator).map(Stepped::Wait),
            Some(None) => Err(PyTimeoutError::new_err(())),
            Some(Some(future)) => slf.get().way.answer(future.into_bound(py)).map(Stepped::Return),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.iterator.during_gc(|iterator| iterator.visit(visit)).unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        let_go(py, self.iterator.with(py, Slot::take));
    }
}

native_coroutine!(NextCall);

impl NextCall {
    fn wait<'py>(iterator: &Bound<'py, AsCompleted>) -> PyResult<Bound<'py, Future>> {
        let py = iterator.py();
        let waiter = waiter(py, &running_loop(py)?, WaitReason::Several, iterator.as_any())?;
        let kept = waiter.clone().unbind();
        iterator.get().state.with(py, |state| state.waiters.push_back(kept));
        Ok(waiter)
    }

    /// It waits no longer: it can be asked for again, and a wake-up that came meanwhile is passed on.
    fn give_up(iterator: &Bound<'_, AsCompleted>, waited: Option<&Bound<'_, Future>>) -> PyResult<()> {
        let py = iterator.py();
        let Some(waited) = waited else { return Ok(()) };
        task::cancel_any(waited.as_any(), None)?;
        let (removed, any) = iterator.get().state.with(py, |state| {
            state.left += 1;
            let place = state.waiters.iter().position(|waiter| waiter.is(waited));
            (place.and_then(|place| state.waiters.remove(place)), !state.done.is_empty())
        });
        let_go(py, removed);
        if any && !waited.get().is_cancelled(py) { AsCompleted::wake_next(iterator) } else { Ok(()) }
    }
}

impl Way {
    #[inline]
    fn answer<'py>(self, future: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = future.py();
        match (self, exact_future(&future)) {
            (Self::Asynchronous, _) => Ok(future),
            (Self::Plain, Some(native)) => native.get().result_native(py),
            (Self::Plain, None) => future.call_method0(intern!(py, "result")),
        }
    }
}

/// Run awaitables concurrently, and iterate over them as they are done: `for` gives coroutines of their results,
/// `async for` the futures themselves. Raises TimeoutError when `timeout` seconds have passed before all are done.
/// Corresponds to `asyncio.as_completed`, as it is from 3.13 on.
#[pyfunction]
#[pyo3(signature = (fs, *, timeout=None))]
pub fn as_completed<'py>(
    fs: &Bound<'py, PyAny>,
    timeout: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, AsCompleted>> {
    let state = State {
        given: Slot::holding(fs.clone().unbind()),
        timeout: Slot::maybe(timeout.map(|timeout| timeout.clone().unbind())),
        todo: Members::default(),
        left: 0,
        done: VecDeque::new(),
        waiters: VecDeque::new(),
        timer: Slot::EMPTY,
        parent: Slot::EMPTY,
    };
    let iterator = Bound::new(fs.py(), AsCompleted { state: Cell::new(state) })?;
    // Before 3.13 asyncio's is a generator, which does nothing until somebody asks for the first one.
    if cfg!(Py_3_13) {
        AsCompleted::begin(&iterator)?;
    }
    Ok(iterator)
}

/// The awaitables, each once.
fn each_once<'py>(given: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut seen = Unique::with_capacity(given.len().unwrap_or(0));
    let mut awaitables = Vec::with_capacity(given.len().unwrap_or(0));
    for awaitable in given.try_iter()? {
        let awaitable = awaitable?;
        if seen.number(&awaitable, awaitables.len())?.is_none() {
            awaitables.push(awaitable);
        }
    }
    Ok(awaitables)
}

fn check_iterable(fs: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = fs.py();
    if is_plain_collection(fs) || !names::isawaitable(py)?.call1((fs,))?.is_truthy()? {
        return Ok(());
    }
    let class = fs.get_type();
    let wanted = if cfg!(Py_3_13) { "expects an iterable of awaitables" } else { "expect an iterable of futures" };
    Err(PyTypeError::new_err(format!("{wanted}, not {}", class.name()?)))
}
