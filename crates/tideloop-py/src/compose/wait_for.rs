//! `wait_for`: waits for one awaitable, for a limited time.
//!
//! On 3.11 what is waited for becomes a task of its own, and a future is waited for which that task and a timer finish.
//! From 3.12 on it is awaited in place, inside a timeout: no task, and the same context. Which of the two shows in the
//! order of events, in `current_task()` and in what a cancellation does, so it is the running version's.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::ensure::ensure_future;
use super::inner::{self, Alarm, more_than_none, result_of, timed_out};
use super::outcome::is_done;
use super::timeout::{Timeout, timeout};
use super::{DoneCallback, Watcher, let_all_go};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine, waiter};
use crate::names;
use crate::slots;
use crate::slots::calls::{Sent, awaitable_iterator};
use crate::slots::loop_slot::LoopRef;
use crate::slots::running::running_loop;
use crate::task::{Future, WaitReason};

/// The coroutine that `wait_for` returns.
#[pyclass(frozen, module = "tideloop._native")]
pub struct WaitFor {
    life: Life,
    state: Cell<State>,
}

/// Where it stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not started.
    Fresh,
    /// `subject` is the iterator of what is awaited in place, `other` the timeout around it.
    InPlace,
    /// 3.11: `subject` is the task, and the timer is set.
    Apart,
    /// `subject` was cancelled and is waited for: then it is a timeout.
    TimingOut,
    /// `subject` was cancelled and is waited for: then `other`, an exception, is raised.
    Cancelling,
}

struct State {
    stage: Stage,
    /// Before the first step what is to be awaited, and the time.
    subject: Slot,
    other: Slot,
    alarm: Alarm,
}

/// Waits for `awaitable`, for at most `timeout` seconds; the coroutine returns its result, or cancels it and raises
/// `TimeoutError`. Corresponds to `asyncio.wait_for`.
#[inline]
pub fn wait_for<'py>(awaitable: Bound<'py, PyAny>, timeout: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = awaitable.py();
    let (subject, other) = (Slot::holding(awaitable.unbind()), Slot::holding(timeout.unbind()));
    let state = State { stage: Stage::Fresh, subject, other, alarm: Alarm::None };
    slots::coroutine::create(py, WaitFor { life: Life::fresh(), state: Cell::new(state) }).map(Bound::into_any)
}

impl State {
    #[must_use = "drop it outside of the cell"]
    fn set(&mut self, stage: Stage, subject: Option<Py<PyAny>>, other: Option<Py<PyAny>>) -> [Option<Py<PyAny>>; 2] {
        self.stage = stage;
        [self.subject.replace(subject), self.other.replace(other)]
    }
}

impl WaitFor {
    /// Takes out what it holds, and sets where it is.
    #[inline]
    fn take<'py>(&self, py: Python<'py>) -> (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>) {
        let [subject, other] = self.state.with(py, |state| [state.subject.take(), state.other.take()]);
        (subject.map(|subject| subject.into_bound(py)), other.map(|other| other.into_bound(py)))
    }

    #[inline]
    fn keep(&self, stage: Stage, subject: &Bound<'_, PyAny>, other: Option<&Bound<'_, PyAny>>) {
        let py = subject.py();
        let (subject, other) = (Some(subject.clone().unbind()), other.map(|other| other.clone().unbind()));
        let before = self.state.with(py, |state| state.set(stage, subject, other));
        let_all_go(py, before.into_iter().flatten());
    }

    #[inline]
    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (Some(awaitable), Some(limit)) = slf.get().take(py) else {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        };
        if cfg!(Py_3_12) {
            if !limit.is_none() && more_than_none(&limit)?.is_none() {
                return Self::at_once(slf, &awaitable, &running_loop(py)?);
            }
            return Self::in_place(slf, &awaitable, Some(&limit));
        }
        let event_loop = running_loop(py)?;
        if limit.is_none() {
            return Self::in_place(slf, &awaitable, None);
        }
        match more_than_none(&limit)? {
            Some(seconds) => Self::apart(slf, &awaitable, &limit, seconds, &event_loop),
            None => Self::at_once(slf, &awaitable, &event_loop),
        }
    }

    /// No time is left: only what is done already counts.
    #[cold]
    fn at_once<'py>(
        slf: &Bound<'py, Self>,
        awaitable: &Bound<'py, PyAny>,
        event_loop: &LoopRef<'py>,
    ) -> PyResult<Stepped<'py>> {
        let future = ensure_future(awaitable, if cfg!(Py_3_12) { None } else { Some(event_loop) })?;
        if is_done(&future)? {
            return result_of(&future).map(Stepped::Return);
        }
        Self::cancel_and_wait(slf, &future, None, event_loop)
    }

    /// Cancels `future` and waits until it is done; then raises `error`, or it is a timeout.
    #[cold]
    fn cancel_and_wait<'py>(
        slf: &Bound<'py, Self>,
        future: &Bound<'py, PyAny>,
        error: Option<&Bound<'py, PyAny>>,
        event_loop: &LoopRef<'py>,
    ) -> PyResult<Stepped<'py>> {
        let waiter = waiter(slf.py(), event_loop, WaitReason::Inner, future)?;
        Watcher::Release.watch(waiter.as_any(), future)?;
        if let Err(error) = inner::cancel(future) {
            Watcher::Release.unwatch(waiter.as_any(), future)?;
            return Err(error);
        }
        slf.get().keep(if error.is_some() { Stage::Cancelling } else { Stage::TimingOut }, future, error);
        Ok(Stepped::Wait(waiter))
    }

    /// What was cancelled is done, or the wait for that was cancelled in its turn.
    #[cold]
    fn cancelled<'py>(
        slf: &Bound<'py, Self>,
        stage: Stage,
        thrown: Option<Bound<'py, PyAny>>,
        waiter: Option<&Bound<'py, Future>>,
    ) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        slf.get().take_alarm(py).cancel(py)?;
        let (future, error) = slf.get().take(py);
        if let (Some(future), Some(waiter)) = (&future, waiter) {
            Watcher::Release.unwatch(waiter.as_any(), future)?;
        }
        if let Some(thrown) = thrown {
            return Err(PyErr::from_value(thrown));
        }
        match (stage, future, error) {
            (Stage::TimingOut, Some(future), _) => match result_of(&future) {
                Ok(result) => Ok(Stepped::Return(result)),
                Err(error) if error.is_instance(py, names::cancelled_error(py)?) => Err(timed_out(error.value(py))),
                Err(error) => Err(error),
            },
            (_, _, Some(error)) => Err(PyErr::from_value(error)),
            _ => Ok(Stepped::Return(py.None().into_bound(py))),
        }
    }
}

/// 3.12 and later; and 3.11 where there is no limit.
impl WaitFor {
    #[inline]
    fn in_place<'py>(
        slf: &Bound<'py, Self>,
        awaitable: &Bound<'py, PyAny>,
        limit: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Stepped<'py>> {
        let limit = match limit {
            Some(limit) => Some(timeout(limit)?.cast_into::<Timeout>()?),
            None => None,
        };
        if let Some(limit) = &limit {
            Timeout::enter(limit)?;
        }
        match awaitable_iterator(awaitable) {
            Ok(iterator) => Self::step(slf, iterator, limit, None),
            Err(error) => Self::leave(slf.py(), limit.as_ref(), error),
        }
    }

    /// A step of what is awaited in place.
    #[inline]
    fn step<'py>(
        slf: &Bound<'py, Self>,
        iterator: Bound<'py, PyAny>,
        limit: Option<Bound<'py, Timeout>>,
        thrown: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        match inner::step(&iterator, thrown) {
            Sent::Yielded(object) => {
                let limit = limit.map(|limit| limit.into_any().unbind());
                let subject = Some(iterator.unbind());
                let before = slf.get().state.with(py, |state| state.set(Stage::InPlace, subject, limit));
                let_all_go(py, before.into_iter().flatten());
                Ok(Stepped::Yield(object))
            }
            Sent::Returned(value) => {
                if let Some(limit) = limit {
                    Timeout::exit(&limit, None)?;
                }
                Ok(Stepped::Return(value))
            }
            Sent::Raised(error) => Self::leave(py, limit.as_ref(), error),
        }
    }

    /// An exception leaves the timeout.
    #[cold]
    fn leave<'py>(py: Python<'py>, limit: Option<&Bound<'py, Timeout>>, error: PyErr) -> PyResult<Stepped<'py>> {
        if let Some(limit) = limit {
            Timeout::exit(limit, Some((error.get_type(py).into_any(), error.value(py).clone().into_any())))?;
        }
        Err(error)
    }

    #[inline]
    fn go_on<'py>(slf: &Bound<'py, Self>, thrown: Option<&Bound<'py, PyAny>>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (iterator, limit) = slf.get().take(py);
        let limit = match limit {
            Some(limit) => Some(limit.cast_into::<Timeout>()?),
            None => None,
        };
        match iterator {
            Some(iterator) => Self::step(slf, iterator, limit, thrown),
            None => Ok(Stepped::Return(py.None().into_bound(py))),
        }
    }
}

/// 3.11, with a limit.
impl WaitFor {
    #[inline]
    fn apart<'py>(
        slf: &Bound<'py, Self>,
        awaitable: &Bound<'py, PyAny>,
        limit: &Bound<'py, PyAny>,
        seconds: f64,
        event_loop: &LoopRef<'py>,
    ) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let waiter = waiter(py, event_loop, WaitReason::Inner, awaitable)?;
        let alarm = Alarm::set(event_loop, seconds, &waiter, |other| {
            let release = DoneCallback::of(Watcher::Release, waiter.as_any())?;
            other.call_method1(intern!(py, "call_later"), (limit, release, &waiter))
        })?;
        // There was none. From here on the end of this coroutine takes the timer back.
        slf.get().state.with(py, |state| state.alarm = alarm);
        let future = ensure_future(awaitable, Some(event_loop))?;
        Watcher::Release.watch(waiter.as_any(), &future)?;
        slf.get().keep(Stage::Apart, &future, None);
        Ok(Stepped::Wait(waiter))
    }

    /// The task is done, or it is time, or somebody has cancelled this.
    #[inline]
    fn released<'py>(
        slf: &Bound<'py, Self>,
        thrown: Option<Bound<'py, PyAny>>,
        waiter: Option<&Bound<'py, Future>>,
    ) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        if let Some(exception) = &thrown
            && !exception.is_instance(names::cancelled_error(py)?)?
        {
            return Err(PyErr::from_value(exception.clone()));
        }
        let (Some(future), _) = slf.get().take(py) else { return Ok(Stepped::Return(py.None().into_bound(py))) };
        if is_done(&future)? {
            slf.get().take_alarm(py).cancel(py)?;
            return result_of(&future).map(Stepped::Return);
        }
        if let Some(waiter) = waiter {
            Watcher::Release.unwatch(waiter.as_any(), &future)?;
        }
        Self::cancel_and_wait(slf, &future, thrown.as_ref(), &running_loop(py)?)
    }

    fn take_alarm(&self, py: Python<'_>) -> Alarm {
        self.state.with(py, |state| std::mem::replace(&mut state.alarm, Alarm::None))
    }
}

impl NativeCoroutine for WaitFor {
    fn blank() -> Self {
        let state = State { stage: Stage::Fresh, subject: Slot::EMPTY, other: Slot::EMPTY, alarm: Alarm::None };
        Self { life: Life::ended(), state: Cell::new(state) }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "wait_for"
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let stage = slf.get().state.with(slf.py(), |state| state.stage);
        let (thrown, waiter) = match resumed {
            Resumed::Start => return Self::start(slf),
            Resumed::Woken(waiter) => (None, waiter),
            Resumed::Thrown(exception, waiter) => (Some(exception), waiter),
        };
        match stage {
            Stage::Fresh | Stage::InPlace => Self::go_on(slf, thrown.as_ref()),
            Stage::Apart => Self::released(slf, thrown, waiter.as_ref()),
            Stage::TimingOut | Stage::Cancelling => Self::cancelled(slf, stage, thrown, waiter.as_ref()),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.subject.visit(visit)?;
            state.other.visit(visit)?;
            state.alarm.visit(visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        let (subject, other) = self.take(py);
        drop((subject, other));
        if let Err(error) = self.take_alarm(py).cancel(py) {
            crate::error::unraisable(py, error, None);
        }
    }
}

native_coroutine!(WaitFor);
