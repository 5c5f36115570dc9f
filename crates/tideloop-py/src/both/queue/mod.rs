//! `Queue`, `LifoQueue` and `PriorityQueue`: items between threads and tasks. Correspond to those of `queue` and of
//! `asyncio`.

mod iteration;
mod kind;
mod ranked;

use std::sync::atomic::{AtomicIsize, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::forest::Forest;
use tideloop_core::both::line::Line;
use tideloop_core::both::queue::{Buffer, Joiners, NoRoom, Purpose, Queue as Rules, Request};
use tideloop_sys::clock::now_ns;

use self::iteration::Iteration;
use self::kind::{Got, Kind, empty, full, shut_down};
use self::ranked::Item;
use super::call::{BothCall, wait};
use super::gates::{GateWait, Shared};
use super::here::{Here, here};
use super::pending::{Limit, block, limit};
use crate::names;
use crate::task::WaitReason;

/// A queue of items between threads and tasks: first in, first out.
///
/// `maxsize` is the number of items that it holds before `put` waits; 0 or less: any number. Corresponds to
/// `queue.Queue` and `asyncio.Queue`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Queue {
    items: Items,
    joiners: Shared<Joiners>,
    /// As it was given, also where that means any number.
    maxsize: AtomicIsize,
    ageing: Option<Ageing>,
}

enum Items {
    Line(Shared<Rules<Line<Py<PyAny>>>>),
    Ranked(Shared<Rules<Forest<Item>>>),
}

/// The same for each kind.
macro_rules! of_each {
    ($queue:expr, $gate:ident => $body:expr) => {
        match &$queue.items {
            Items::Line($gate) => $body,
            Items::Ranked($gate) => $body,
        }
    };
}

/// How items gain with time.
struct Ageing {
    seconds: f64,
    /// What tells the time, in seconds.
    clock: Option<Py<PyAny>>,
    began_ns: u64,
}

/// In which manner somebody gets or puts.
pub enum Manner {
    /// Without waiting.
    Not,
    /// As its kind does: a thread blocks, a task awaits.
    AsUsual(Limit),
    /// It blocks, whoever it is.
    Blocking(Limit),
}

impl Manner {
    /// What the arguments `block` and `timeout` mean.
    pub fn of(block: Option<&Bound<'_, PyAny>>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let block = match block {
            Some(block) if !block.is_none() => Some(block.is_truthy()?),
            _ => None,
        };
        if block == Some(false) {
            return Ok(Self::Not);
        }
        let seconds: Option<f64> = timeout.map_or(Ok(None), |timeout| timeout.extract())?;
        if seconds.is_some_and(|seconds| seconds < 0.0) {
            return Err(PyValueError::new_err("'timeout' must be a non-negative number"));
        }
        let limit = limit(seconds)?;
        Ok(if block.is_some() { Self::Blocking(limit) } else { Self::AsUsual(limit) })
    }
}

impl Queue {
    fn new(items: Items, maxsize: isize, ageing: Option<Ageing>) -> Self {
        let unfinished = match &items {
            Items::Line(gate) => gate.look(|rules, _| rules.unfinished().clone()),
            Items::Ranked(gate) => gate.look(|rules, _| rules.unfinished().clone()),
        };
        Self { items, joiners: Shared::new(Joiners(unfinished)), maxsize: AtomicIsize::new(maxsize), ageing }
    }

    /// One of `Line`, or of `LifoQueue`.
    fn of_line(maxsize: isize, last_first: bool) -> Self {
        let room = usize::try_from(maxsize).unwrap_or(0);
        Self::new(Items::Line(Shared::new(Rules::new(Line::new(last_first), room))), maxsize, None)
    }

    /// `put_nowait(item)`
    #[inline]
    pub fn put_now(slf: &Bound<'_, Self>, item: Bound<'_, PyAny>) -> PyResult<()> {
        let queue = slf.get();
        match &queue.items {
            Items::Line(gate) => put_now(slf.py(), gate, item.unbind()),
            Items::Ranked(gate) => put_now(slf.py(), gate, queue.ranked(item)?),
        }
    }

    /// `get_nowait()`
    #[inline]
    pub fn get_now<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match of_each!(slf.get(), gate => Kind::try_get(gate, py))? {
            Got::Item(item) => Ok(item.into_bound(py)),
            Got::Empty => Err(empty(py)),
            Got::Ended => Err(shut_down(py)),
        }
    }

    /// `put(item, block, timeout)`
    #[inline]
    pub fn put<'py>(slf: &Bound<'py, Self>, item: Bound<'py, PyAny>, manner: Manner) -> PyResult<Bound<'py, PyAny>> {
        let queue = slf.get();
        match &queue.items {
            Items::Line(gate) => put(slf, gate, item.unbind(), manner),
            Items::Ranked(gate) => put(slf, gate, queue.ranked(item)?, manner),
        }
    }

    /// `get(block, timeout)`
    #[inline]
    pub fn get<'py>(slf: &Bound<'py, Self>, manner: Manner) -> PyResult<Bound<'py, PyAny>> {
        of_each!(slf.get(), gate => get(slf, gate, manner, Purpose::Get))
    }

    /// The next item of an iteration in a thread; None: there are no more.
    fn next_blocking<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let got = of_each!(slf.get(), gate => get(slf, gate, Manner::Blocking(None), Purpose::Iterate));
        match got {
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyStopAsyncIteration>(slf.py()) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// The next item of an iteration in a task: something to await.
    fn next_soon<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let is_trio = matches!(here(py)?, Here::Trio(_));
        of_each!(slf.get(), gate => {
            let pending = pending_get(slf, gate, Purpose::Iterate);
            if is_trio { wait(py, pending, None) } else { BothCall::create(py, pending, None) }
        })
    }

    /// `task_done()`
    pub fn finish_one(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, queue) = (slf.py(), slf.get());
        let was_last = of_each!(queue, gate => gate.change(py, |rules, _| rules.finish_one()));
        match was_last {
            Ok(true) => queue.let_joiners_go(py),
            Ok(false) => {}
            Err(_) => return Err(PyValueError::new_err("task_done() called too many times")),
        }
        Ok(())
    }

    fn let_joiners_go(&self, py: Python<'_>) {
        self.joiners.change(py, |_, _| ());
    }

    /// An item with its rank.
    #[inline]
    fn ranked(&self, object: Bound<'_, PyAny>) -> PyResult<Item> {
        let Some(ageing) = &self.ageing else { return Ok(Item::new(object)) };
        let seconds = match &ageing.clock {
            Some(clock) => clock.call0(object.py())?.extract(object.py())?,
            None => now_ns().saturating_sub(ageing.began_ns) as f64 / 1e9,
        };
        Item::ageing(object, seconds / ageing.seconds)
    }
}

#[inline]
fn put_now<K: Kind>(py: Python<'_>, gate: &Shared<Rules<K>>, item: K::Item) -> PyResult<()> {
    match K::try_put(gate, py, item, false)? {
        Ok(()) => Ok(()),
        Err((NoRoom::Full, _)) => Err(full(py)),
        Err((NoRoom::ShutDown, _)) => Err(shut_down(py)),
    }
}

fn put<'py, K: Kind>(
    slf: &Bound<'py, Queue>,
    gate: &Shared<Rules<K>>,
    item: K::Item,
    manner: Manner,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let pending = |item| gate.wait(slf.as_any(), "Queue.put", WaitReason::Queue, Request::Put(item));
    let (limit, place) = match manner {
        Manner::Not => return put_now(py, gate, item).map(|()| py.None().into_bound(py)),
        Manner::AsUsual(limit) => (limit, here(py)?),
        Manner::Blocking(limit) => (limit, Here::Thread),
    };
    match place {
        Here::Thread => match K::try_put(gate, py, item, false)? {
            Ok(()) => Ok(py.None().into_bound(py)),
            Err((NoRoom::ShutDown, _)) => Err(shut_down(py)),
            Err((NoRoom::Full, item)) => block(py, &pending(item), limit).map(|done| done.into_bound(py)),
        },
        Here::Task(_) => BothCall::create(py, pending(item), limit),
        Here::Trio(_) => wait(py, pending(item), limit),
    }
}

fn pending_get<K: Kind>(slf: &Bound<'_, Queue>, gate: &Shared<Rules<K>>, purpose: Purpose) -> GateWait<Rules<K>> {
    gate.wait(slf.as_any(), "Queue.get", WaitReason::Queue, Request::Get(purpose))
}

fn get<'py, K: Kind>(
    slf: &Bound<'py, Queue>,
    gate: &Shared<Rules<K>>,
    manner: Manner,
    purpose: Purpose,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let (limit, place) = match manner {
        Manner::Not => return Queue::get_now(slf),
        Manner::AsUsual(limit) => (limit, here(py)?),
        Manner::Blocking(limit) => (limit, Here::Thread),
    };
    match place {
        Here::Thread => match K::try_get(gate, py)? {
            Got::Item(item) => Ok(item.into_bound(py)),
            Got::Empty | Got::Ended => {
                block(py, &pending_get(slf, gate, purpose), limit).map(|item| item.into_bound(py))
            }
        },
        Here::Task(_) => BothCall::create(py, pending_get(slf, gate, purpose), limit),
        Here::Trio(_) => wait(py, pending_get(slf, gate, purpose), limit),
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (maxsize=0))]
    fn __new__(maxsize: isize) -> Self {
        Self::of_line(maxsize, false)
    }

    /// For classes that derive from it, and call it as they would that of `queue.Queue`.
    #[pyo3(signature = (maxsize=0, **_kwargs))]
    fn __init__(&self, py: Python<'_>, maxsize: isize, _kwargs: Option<&Bound<'_, PyDict>>) {
        if maxsize != self.maxsize() {
            self.set_maxsize(py, maxsize);
        }
    }

    /// Wait until `task_done` has been called for each item that was put, at most *timeout* seconds: then TimeoutError.
    /// In a task: await it. Corresponds to `queue.Queue.join` and `asyncio.Queue.join`.
    #[pyo3(signature = (timeout=None))]
    fn join<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let pending = slf.get().joiners.wait(slf.as_any(), "Queue.join", WaitReason::Join, ());
        wait(slf.py(), pending, limit(timeout)?)
    }

    /// The number of items in it. Corresponds to `queue.Queue.qsize`.
    fn qsize(&self) -> usize {
        of_each!(self, gate => gate.look(|rules, _| rules.buffer.len()))
    }

    /// Whether there is no item in it. Corresponds to `queue.Queue.empty`.
    fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether there is no room in it. Corresponds to `queue.Queue.full`.
    fn full(&self) -> bool {
        of_each!(self, gate => gate.look(|rules, _| rules.maxsize() > 0 && rules.buffer.len() >= rules.maxsize()))
    }

    /// Take no more items: `put` raises ShutDown, and so does `get` when there are none left; *immediate*: all are
    /// dropped now. Corresponds to `queue.Queue.shutdown` of Python 3.13.
    #[pyo3(signature = (immediate=false))]
    fn shutdown(&self, py: Python<'_>, immediate: bool) {
        let is_all_done = of_each!(self, gate => {
            let (dropped, is_all_done) = gate.change(py, |rules, _| {
                rules.shut_down();
                let dropped = if immediate { rules.buffer.drain_items() } else { Vec::new() };
                let is_all_done = rules.forget(dropped.len());
                (dropped, is_all_done)
            });
            drop(dropped);
            is_all_done
        });
        if is_all_done {
            self.let_joiners_go(py);
        }
    }

    /// How many items it may hold; 0 or less: any number.
    #[getter]
    fn maxsize(&self) -> isize {
        self.maxsize.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_maxsize(&self, py: Python<'_>, maxsize: isize) {
        self.maxsize.store(maxsize, Ordering::Relaxed);
        let room = usize::try_from(maxsize).unwrap_or(0);
        of_each!(self, gate => gate.change(py, |rules, _| rules.set_maxsize(room)));
    }

    /// For how many items `task_done` has not been called.
    #[getter]
    fn unfinished_tasks(&self) -> u64 {
        self.joiners.look(|joiners, _| joiners.0.count())
    }

    /// Whether it is shut down.
    #[getter]
    fn is_shutdown(&self) -> bool {
        of_each!(self, gate => gate.look(|rules, _| rules.is_shut_down()))
    }

    /// The items as they come, until it is shut down and empty. The thread waits for each.
    fn __iter__(slf: &Bound<'_, Self>) -> Iteration {
        Iteration::over(slf)
    }

    /// The same for a task.
    fn __aiter__(slf: &Bound<'_, Self>) -> Iteration {
        Iteration::over(slf)
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (size, waiting) = of_each!(slf.get(), gate => gate.look(|rules, waiting| (rules.buffer.len(), waiting)));
        let [getting, putting] = waiting;
        let (class, maxsize) = (slf.get_type().name()?, slf.get().maxsize());
        let state = if slf.get().is_shutdown() { ", shut down" } else { "" };
        Ok(format!(
            "<tideloop.sync.{class} maxsize={maxsize}, {size} items, {getting} getting, {putting} putting{state}>"
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(clock) = self.ageing.as_ref().and_then(|ageing| ageing.clock.as_ref()) {
            visit.call(clock)?;
        }
        of_each!(self, gate => gate.visit(&visit))
    }

    fn __clear__(&self, py: Python<'_>) {
        of_each!(self, gate => drop(gate.change(py, |rules, _| rules.buffer.drain_items())));
    }
}

/// A queue that hands out first what was put last. Corresponds to `queue.LifoQueue` and `asyncio.LifoQueue`.
#[pyclass(frozen, subclass, extends = Queue, module = "tideloop.sync")]
pub struct LifoQueue;

#[pymethods]
impl LifoQueue {
    #[new]
    #[pyo3(signature = (maxsize=0))]
    fn __new__(maxsize: isize) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Queue::of_line(maxsize, true)).add_subclass(Self)
    }
}

/// A queue that hands out the lowest item first, and equal ones in the order in which they were put; items are often
/// tuples `(priority, data)`.
///
/// With *ageing*, items are numbers or tuples that begin with one, and for each *ageing* seconds that an item has
/// waited its number counts as one less, so that none waits for ever; *clock* tells the time in seconds (None:
/// monotonic). Corresponds to `queue.PriorityQueue` and `asyncio.PriorityQueue`.
#[pyclass(frozen, subclass, extends = Queue, module = "tideloop.sync")]
pub struct PriorityQueue;

#[pymethods]
impl PriorityQueue {
    #[new]
    #[pyo3(signature = (maxsize=0, *, ageing=None, clock=None))]
    fn __new__(maxsize: isize, ageing: Option<f64>, clock: Option<Py<PyAny>>) -> PyResult<PyClassInitializer<Self>> {
        if ageing.is_some_and(|seconds| seconds.is_nan() || seconds <= 0.0) {
            return Err(PyValueError::new_err("ageing must be a positive number of seconds"));
        }
        if ageing.is_none() && clock.is_some() {
            return Err(PyValueError::new_err("only ageing needs a clock"));
        }
        let room = usize::try_from(maxsize).unwrap_or(0);
        let items = Items::Ranked(Shared::new(Rules::new(Forest::new(), room)));
        let ageing = ageing.map(|seconds| Ageing { seconds, clock, began_ns: now_ns() });
        Ok(PyClassInitializer::from(Queue::new(items, maxsize, ageing)).add_subclass(Self))
    }
}
