//! `Queue`: items that wait for tasks, and tasks that wait for items or for room. Its state and the quick ways.
//!
//! Programs derive from asyncio's queues and override `_put`, `full` and the like, and libraries look at `_queue` and
//! `_getters`, and change them. So there are two ways through every operation:
//!
//! - the quick way, here: the class leaves our methods alone ([`Hooks::are_ours`]) and nobody has looked inside;
//! - the general way, in `queue_general.rs`: step by step as asyncio's, calling whatever the class overrides. What
//!   somebody has looked at has become asyncio's own kind of object by then (a deque, a list, an `Event`) and is used
//!   in its stead from there on, so that changes made to it count.
//!
//! `quick` is the version of the class for which the quick way is right: one comparison decides.

use std::collections::VecDeque;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::wait_queue::WaitQueue;

use super::queue_hooks::{Hooks, InitHook};
use crate::cell::Cell;
use crate::coroutine::LoopBound;
use crate::names;
use crate::slots::queues::class_version;
use crate::task::Future;

/// `quick` where the quick way is never right; no class has this version.
const NEVER: u64 = u64::MAX;
/// Memory for so many items stays when a queue becomes empty.
const ITEMS_KEPT_MAX: usize = 1024;

/// Who waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// For an item.
    Getters,
    /// For room.
    Putters,
}

/// What an operation of the quick way came to.
pub(super) enum Quick<T> {
    Done(T),
    /// Nothing to get, or no room.
    WouldBlock,
    ShutDown,
    /// It has to go the general way.
    General,
}

/// What most queues never have.
#[derive(Default)]
pub(super) struct Rare {
    /// A `maxsize` that is no small int.
    pub maxsize: Option<Py<PyAny>>,
    /// `_queue`, since somebody looked at it.
    pub items: Option<Py<PyAny>>,
    /// `_getters`, likewise.
    pub getters: Option<Py<PyAny>>,
    /// `_putters`, likewise.
    pub putters: Option<Py<PyAny>>,
    /// `_finished`, likewise.
    pub finished: Option<Py<PyAny>>,
}

pub(super) struct State {
    /// The version of the class for which the quick way is right.
    quick: u64,
    /// The version of the class that `hooks` are known for.
    version: u64,
    pub hooks: Hooks,
    pub shut_down: bool,
    /// `_finished.is_set()`
    pub finished: bool,
    /// 0 or less: no limit. Not looked at where `rare` has another.
    pub maxsize: isize,
    pub unfinished: i64,
    pub items: VecDeque<Py<PyAny>>,
    getters: WaitQueue<Py<Future>>,
    putters: WaitQueue<Py<Future>>,
    /// Who waits in `join`.
    pub joiners: WaitQueue<Py<Future>>,
    pub rare: Option<Box<Rare>>,
}

/// A queue of tasks and items.
///
/// Corresponds to `asyncio.Queue`, and to the queues that derive from it.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct Queue {
    pub(super) state: Cell<State>,
    pub(super) bound: LoopBound,
    /// The loop of those who wait in `join`: asyncio's have an `Event` for that, with a loop of its own.
    pub(super) join_bound: LoopBound,
}

impl State {
    const fn new() -> Self {
        Self {
            quick: NEVER,
            version: 0,
            hooks: Hooks::OURS,
            shut_down: false,
            finished: true,
            maxsize: 0,
            unfinished: 0,
            items: VecDeque::new(),
            getters: WaitQueue::new(),
            putters: WaitQueue::new(),
            joiners: WaitQueue::new(),
            rare: None,
        }
    }

    pub fn side(&mut self, side: Side) -> &mut WaitQueue<Py<Future>> {
        match side {
            Side::Getters => &mut self.getters,
            Side::Putters => &mut self.putters,
        }
    }

    /// Where what is rare is kept; from now on every operation goes the general way.
    pub fn rare(&mut self) -> &mut Rare {
        self.quick = NEVER;
        self.rare.get_or_insert_default()
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.maxsize).is_ok_and(|maxsize| maxsize > 0 && self.items.len() >= maxsize)
    }

    /// The item that comes next.
    #[inline]
    pub fn pop(&mut self) -> Option<Py<PyAny>> {
        let item = if self.hooks.takes_last() { self.items.pop_back() } else { self.items.pop_front() };
        if self.items.is_empty() && self.items.capacity() > ITEMS_KEPT_MAX {
            self.items = VecDeque::new();
        }
        item
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for item in &self.items {
            visit.call(item)?;
        }
        for future in self.getters.iter().chain(self.putters.iter()).chain(self.joiners.iter()) {
            visit.call(future)?;
        }
        let Some(rare) = &self.rare else { return Ok(()) };
        for object in [&rare.maxsize, &rare.items, &rare.getters, &rare.putters, &rare.finished] {
            visit.call(object)?;
        }
        Ok(())
    }
}

impl Queue {
    /// One whose `__init__` has not run.
    pub(super) fn blank() -> Self {
        Self { state: Cell::new(State::new()), bound: LoopBound::new(), join_bound: LoopBound::new() }
    }

    /// `__init__`: starts anew, empty.
    pub(super) fn initialize(slf: &Bound<'_, Self>, maxsize: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let old = slf.get().state.with(py, |state| std::mem::replace(state, State::new()));
        drop(old);
        if let Some(maxsize) = maxsize {
            Self::set_maxsize(slf, maxsize);
        }
        let hooks = Self::hooks(slf)?;
        if hooks.init == InitHook::Python {
            let maxsize = maxsize.map_or_else(|| Self::maxsize_object(slf), |maxsize| Ok(maxsize.clone()))?;
            slf.call_method1(pyo3::intern!(py, "_init"), (maxsize,))?;
        }
        Ok(())
    }

    /// Assigns `_maxsize`, which may be anything; what is no small int is compared by Python.
    pub(super) fn set_maxsize(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) {
        let py = slf.py();
        let small =
            if maxsize.is_exact_instance_of::<pyo3::types::PyInt>() { maxsize.extract::<isize>().ok() } else { None };
        let other = if small.is_some() { None } else { Some(maxsize.clone().unbind()) };
        let old = slf.get().state.with(py, |state| {
            state.maxsize = small.unwrap_or(0);
            match &mut state.rare {
                None if other.is_none() => None,
                _ => std::mem::replace(&mut state.rare().maxsize, other),
            }
        });
        drop(old);
    }

    /// What the class overrides, as it is now.
    #[inline]
    pub(super) fn hooks(slf: &Bound<'_, Self>) -> PyResult<Hooks> {
        let py = slf.py();
        let version = class_version(slf);
        let known = slf.get().state.with(py, |state| (version != 0 && state.version == version).then_some(state.hooks));
        match known {
            Some(hooks) => Ok(hooks),
            None => Self::find_hooks(slf),
        }
    }

    fn find_hooks(slf: &Bound<'_, Self>) -> PyResult<Hooks> {
        let py = slf.py();
        let known = Hooks::known(py, class_version(slf));
        let hooks = known.map_or_else(|| Hooks::of(&slf.get_type()), Ok)?;
        let version = class_version(slf);
        if known.is_none() {
            hooks.remember(py, version);
        }
        slf.get().state.with(py, |state| {
            (state.hooks, state.version) = (hooks, version);
            let quick = version != 0 && hooks.are_ours() && state.rare.is_none();
            state.quick = if quick { version } else { NEVER };
        });
        Ok(hooks)
    }

    /// `put_nowait`, the quick way.
    #[inline]
    pub(super) fn try_put(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<Quick<()>> {
        let version = class_version(slf);
        let (outcome, somebody_waits) = slf.get().state.with(slf.py(), |state| {
            if state.quick != version {
                return (Quick::General, false);
            }
            if state.shut_down {
                return (Quick::ShutDown, false);
            }
            if state.is_full() {
                return (Quick::WouldBlock, false);
            }
            state.items.push_back(item.clone().unbind());
            state.unfinished += 1;
            state.finished = false;
            (Quick::Done(()), !state.getters.is_empty())
        });
        if somebody_waits {
            Self::wake_next(slf, Side::Getters)?;
        }
        Ok(outcome)
    }

    /// `get_nowait`, the quick way.
    #[inline]
    pub(super) fn try_get<'py>(slf: &Bound<'py, Self>) -> PyResult<Quick<Bound<'py, PyAny>>> {
        let py = slf.py();
        let version = class_version(slf);
        let (outcome, somebody_waits) = slf.get().state.with(py, |state| {
            if state.quick != version {
                return (Quick::General, false);
            }
            match state.pop() {
                Some(item) => (Quick::Done(item.into_bound(py)), !state.putters.is_empty()),
                None if state.shut_down => (Quick::ShutDown, false),
                None => (Quick::WouldBlock, false),
            }
        });
        if somebody_waits {
            Self::wake_next(slf, Side::Putters)?;
        }
        Ok(outcome)
    }

    /// `put_nowait`.
    #[inline]
    pub fn put_nowait(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        match Self::try_put(slf, item)? {
            Quick::Done(()) => Ok(()),
            Quick::WouldBlock => Err(full(slf.py())),
            Quick::ShutDown => Err(shut_down(slf.py())),
            Quick::General => Self::put_now(slf, item),
        }
    }

    /// `get_nowait`.
    #[inline]
    pub fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match Self::try_get(slf)? {
            Quick::Done(item) => Ok(item),
            Quick::WouldBlock => Err(empty(slf.py())),
            Quick::ShutDown => Err(shut_down(slf.py())),
            Quick::General => Self::get_now(slf),
        }
    }

    /// Wakes the first who waits and has not been cancelled: asyncio's `_wakeup_next`.
    #[inline]
    pub(super) fn wake_next(slf: &Bound<'_, Self>, side: Side) -> PyResult<()> {
        let py = slf.py();
        while let Some(waiter) = slf.get().state.with(py, |state| state.side(side).pop_first()) {
            let waiter = waiter.into_bound(py);
            if !waiter.get().is_done(py) {
                return Future::finish(&waiter, py.None().into_bound(py));
            }
        }
        Ok(())
    }

    /// `task_done`.
    #[inline]
    pub fn task_done(slf: &Bound<'_, Self>) -> PyResult<()> {
        let left = slf.get().state.with(slf.py(), |state| {
            if state.unfinished <= 0 {
                return None;
            }
            state.unfinished -= 1;
            Some(state.unfinished)
        });
        match left {
            Some(0) => Self::set_finished(slf),
            Some(_) => Ok(()),
            None => Err(PyValueError::new_err("task_done() called too many times")),
        }
    }

    /// `_finished.set()`: everything is done, and so are those who wait in `join`.
    pub(super) fn set_finished(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (shown, joiners) = slf.get().state.with(py, |state| {
            let shown = state.rare.as_ref().and_then(|rare| rare.finished.as_ref().map(|event| event.clone_ref(py)));
            let joiners = if shown.is_none() && !state.joiners.is_empty() { state.joiners.drain() } else { Vec::new() };
            state.finished = true;
            (shown, joiners)
        });
        for joiner in joiners {
            let joiner = joiner.into_bound(py);
            if !joiner.get().is_done(py) {
                Future::finish(&joiner, py.None().into_bound(py))?;
            }
        }
        match shown {
            Some(event) => event.into_bound(py).call_method0(pyo3::intern!(py, "set")).map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn is_shut_down(slf: &Bound<'_, Self>) -> bool {
        slf.get().state.with(slf.py(), |state| state.shut_down)
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.bound.visit(visit)?;
        self.join_bound.visit(visit)?;
        self.state.during_gc(|state| state.visit(visit)).unwrap_or(Ok(()))
    }

    /// The collector takes it apart.
    pub(super) fn clear(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let old = slf.get().state.with(py, |state| std::mem::replace(state, State::new()));
        drop(old);
        slf.get().bound.clear(py);
        slf.get().join_bound.clear(py);
    }
}

/// `QueueShutDown`, to be raised.
#[cold]
pub(super) fn shut_down(py: Python<'_>) -> PyErr {
    raised(names::queue_shut_down(py))
}

/// `QueueFull`, to be raised.
#[cold]
pub(super) fn full(py: Python<'_>) -> PyErr {
    raised(names::queue_full(py))
}

/// `QueueEmpty`, to be raised.
#[cold]
pub(super) fn empty(py: Python<'_>) -> PyErr {
    raised(names::queue_empty(py))
}

fn raised(class: PyResult<&Bound<'_, pyo3::types::PyType>>) -> PyErr {
    match class {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}
