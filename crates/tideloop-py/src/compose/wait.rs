//! `wait`: until some of several futures are done.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyList, PySet, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::Watcher;
use super::outcome::{self, Outcome};
use super::unique::Unique;
use super::{let_all_go, let_go};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine, waiter};
use crate::names;
use crate::slots;
use crate::slots::classes::exact_future;
use crate::slots::running::running_loop;
use crate::task::{self, Future, WaitReason};

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    FirstCompleted,
    FirstException,
    AllCompleted,
}

impl Until {
    fn from_argument(given: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(given) = given else { return Ok(Self::AllCompleted) };
        let known = [
            ("ALL_COMPLETED", Self::AllCompleted),
            ("FIRST_COMPLETED", Self::FirstCompleted),
            ("FIRST_EXCEPTION", Self::FirstException),
        ];
        for (name, until) in known {
            if given.eq(name)? {
                return Ok(until);
            }
        }
        Err(PyValueError::new_err(format!("Invalid return_when value: {given}")))
    }
}

struct State {
    /// The arguments, until the first step looks at them; the futures stay, to say what is waited for.
    given: Slot,
    timeout: Slot,
    return_when: Slot,
    until: Until,
    /// Each once, in the order they were given in.
    futures: Vec<Py<PyAny>>,
    /// How many of them are not done.
    left: usize,
    waiter: Slot<Future>,
    timer: Slot,
    /// The task that waits, where call graphs show it.
    parent: Slot,
}

/// What a call holds, for dropping outside of its cell.
type Contents = ([Option<Py<PyAny>>; 5], Option<Py<Future>>, Vec<Py<PyAny>>);

impl State {
    const EMPTY: Self = Self {
        given: Slot::EMPTY,
        timeout: Slot::EMPTY,
        return_when: Slot::EMPTY,
        until: Until::AllCompleted,
        futures: Vec::new(),
        left: 0,
        waiter: Slot::EMPTY,
        timer: Slot::EMPTY,
        parent: Slot::EMPTY,
    };

    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> Contents {
        let slots = [&mut self.given, &mut self.timeout, &mut self.return_when, &mut self.timer, &mut self.parent];
        (slots.map(Slot::take), self.waiter.take(), std::mem::take(&mut self.futures))
    }
}

/// A call of `wait`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct WaitCall {
    life: Life,
    state: Cell<State>,
}

impl NativeCoroutine for WaitCall {
    fn blank() -> Self {
        Self { life: Life::ended(), state: Cell::new(State::EMPTY) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "wait"
    }

    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        match resumed {
            Resumed::Start => Self::start(slf).map(Stepped::Wait),
            Resumed::Woken(_) => {
                Self::leave(slf)?;
                Self::sorted(slf).map(|sets| Stepped::Return(sets.into_any()))
            }
            Resumed::Thrown(exception, _) => {
                Self::leave(slf)?;
                Err(PyErr::from_value(exception))
            }
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            for slot in [&state.given, &state.timeout, &state.return_when, &state.timer, &state.parent] {
                slot.visit(visit)?;
            }
            state.waiter.visit(visit)?;
            state.futures.iter().try_for_each(|future| visit.call(future))
        });
        visited.unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        let (objects, waiter, futures) = self.state.with(py, State::take_contents);
        let_all_go(py, objects.into_iter().flatten());
        let_go(py, waiter);
        let_all_go(py, futures);
    }
}

native_coroutine!(WaitCall);

impl WaitCall {
    /// Looks at the arguments and begins to wait.
    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Future>> {
        let py = slf.py();
        let (given, timeout, return_when) = slf.get().state.with(py, |state| {
            let own = |slot: &Slot| slot.cloned(py).map(|object| object.into_bound(py));
            (own(&state.given), own(&state.timeout), own(&state.return_when))
        });
        let given = given.unwrap_or_else(|| py.None().into_bound(py));
        check_collection(&given)?;
        let until = Until::from_argument(return_when.as_ref())?;
        let futures = each_once(&given)?;
        let event_loop = running_loop(py)?;
        let waiter = waiter(py, &event_loop, WaitReason::Several, &given)?;
        let timer = match timeout {
            Some(timeout) => {
                let release = names::release_waiter(py)?;
                let arguments = (timeout, release, &waiter);
                Some(event_loop.as_any().call_method1(intern!(py, "call_later"), arguments)?.unbind())
            }
            None => None,
        };
        let parent = if cfg!(Py_3_14) { task::current::task_on(&event_loop)?.map(Bound::unbind) } else { None };
        let (kept, kept_waiter) = (futures.iter().map(|f| f.clone().unbind()).collect(), waiter.clone().unbind());
        let old = slf.get().state.with(py, |state| {
            (state.until, state.left) = (until, futures.len());
            let old = (state.timer.replace(timer), state.parent.replace(parent));
            (old, state.waiter.replace(Some(kept_waiter)), std::mem::replace(&mut state.futures, kept))
        });
        drop(old);
        for future in &futures {
            Watcher::Wait.watch(slf.as_any(), future)?;
        }
        Ok(waiter)
    }

    /// The task that waits.
    pub(super) fn parent<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        Some(self.state.with(py, |state| state.parent.cloned(py))?.into_bound(py))
    }

    /// One of the futures is done.
    #[inline]
    pub(super) fn future_done(slf: &Bound<'_, Self>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let (until, last) = slf.get().state.with(py, |state| {
            state.left = state.left.saturating_sub(1);
            (state.until, state.left == 0)
        });
        let enough = match until {
            _ if last => true,
            Until::FirstCompleted => true,
            Until::FirstException if outcome::is_good(py, future) => false,
            Until::FirstException => matches!(outcome::of(future)?, Outcome::Exception(_)),
            Until::AllCompleted => false,
        };
        if enough {
            Self::release(slf)?;
        }
        Watcher::Wait.settled(slf.as_any(), future)
    }

    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (timer, waiter) = slf.get().state.with(py, |state| (state.timer.cloned(py), state.waiter.cloned(py)));
        cancel_timer(py, timer)?;
        let Some(waiter) = waiter else { return Ok(()) };
        let waiter = waiter.into_bound(py);
        if waiter.get().is_done(py) { Ok(()) } else { Future::finish(&waiter, py.None().into_bound(py)) }
    }

    fn futures<'py>(slf: &Bound<'py, Self>) -> Vec<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.futures.iter().map(|future| future.bind(py).clone()).collect())
    }

    /// Waits for nothing any more.
    fn leave(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (timer, waiter) = slf.get().state.with(py, |state| (state.timer.take(), state.waiter.take()));
        let_go(py, waiter);
        cancel_timer(py, timer)?;
        for future in Self::futures(slf) {
            Watcher::Wait.unwatch(slf.as_any(), &future)?;
        }
        Ok(())
    }

    /// The two sets: those that are done, and those that are not.
    fn sorted<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let (done, pending) = (PySet::empty(py)?, PySet::empty(py)?);
        for future in Self::futures(slf) {
            if outcome::is_done(&future)? {
                done.add(future)?;
            } else {
                pending.add(future)?;
            }
        }
        (done, pending).into_pyobject(py)
    }
}

fn cancel_timer(py: Python<'_>, timer: Option<Py<PyAny>>) -> PyResult<()> {
    match timer {
        Some(timer) => timer.into_bound(py).call_method0(intern!(py, "cancel")).map(drop),
        None => Ok(()),
    }
}

/// Whether it is certainly a collection, and nothing that could be awaited.
pub(super) fn is_plain_collection(given: &Bound<'_, PyAny>) -> bool {
    given.is_exact_instance_of::<PyList>()
        || given.is_exact_instance_of::<PySet>()
        || given.is_exact_instance_of::<PyTuple>()
        || given.is_exact_instance_of::<PyFrozenSet>()
}

fn check_collection(given: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = given.py();
    if !is_plain_collection(given)
        && (names::isfuture(py)?.call1((given,))?.is_truthy()?
            || names::iscoroutine(py)?.call1((given,))?.is_truthy()?)
    {
        return Err(PyTypeError::new_err(format!("expect a list of futures, not {}", given.get_type().name()?)));
    }
    if !given.is_truthy()? {
        return Err(PyValueError::new_err("Set of Tasks/Futures is empty."));
    }
    Ok(())
}

/// The futures, each once; `TypeError` where there is a coroutine among them.
fn each_once<'py>(given: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = given.py();
    let mut seen = Unique::with_capacity(given.len().unwrap_or(0));
    let mut futures = Vec::with_capacity(given.len().unwrap_or(0));
    for future in given.try_iter()? {
        let future = future?;
        if seen.number(&future, futures.len())?.is_none() {
            futures.push(future);
        }
    }
    for future in &futures {
        if exact_future(future).is_none() && names::iscoroutine(py)?.call1((future,))?.is_truthy()? {
            return Err(PyTypeError::new_err("Passing coroutines is forbidden, use tasks explicitly."));
        }
    }
    Ok(futures)
}

/// Wait for futures and tasks: two sets, those that are done and those that are not. `timeout` in seconds raises
/// nothing; `return_when` is ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION. Raises TypeError for coroutines and
/// ValueError for an empty collection. Corresponds to `asyncio.wait`.
#[pyfunction]
#[pyo3(signature = (fs, *, timeout=None, return_when=None), text_signature = "(fs, *, timeout=None, return_when='ALL_COMPLETED')")]
pub fn wait<'py>(
    fs: &Bound<'py, PyAny>,
    timeout: Option<&Bound<'py, PyAny>>,
    return_when: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, WaitCall>> {
    let state = State {
        given: Slot::holding(fs.clone().unbind()),
        timeout: Slot::maybe(timeout.map(|timeout| timeout.clone().unbind())),
        return_when: Slot::maybe(return_when.map(Bound::unbind)),
        ..State::EMPTY
    };
    slots::coroutine::create(fs.py(), WaitCall { life: Life::fresh(), state: Cell::new(state) })
}
