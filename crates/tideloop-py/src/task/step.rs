//! One step of a task: run its coroutine until it waits, and see to what it waits for.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::future::Status;
use super::wait_reason::WaitReason;
use super::wakeup::TaskWakeup;
use super::{Future, Task, current, errors, report, task};
use crate::error::leaves_the_loop;
use crate::event_loop::EventLoop;
use crate::names;
use crate::observe;
use crate::slots;
use crate::slots::calls::{self, Sent};
use crate::slots::classes::{Exact, exact_class, exact_future};
use crate::slots::loop_slot::LoopRef;

/// Makes a step of `task` as its native loop's own doing. What fails goes to the loop's exception handler;
/// `KeyboardInterrupt` and `SystemExit` come back.
#[inline]
pub fn run_step(py: Python<'_>, event_loop: &Bound<'_, EventLoop>, task: Py<Task>) -> PyResult<()> {
    let task = task.into_bound(py);
    let Some(context) = task.get().context(py) else { return Ok(()) };
    let outcome = slots::in_context(&context, || {
        current::during(event_loop, &task, || step(&task, None)).map_err(Box::new) // small: it is moved several times
    });
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => report::failed_step(event_loop, &task, *error),
        Err(error) => report::failed_step(event_loop, &task, error),
    }
}

/// The same for a task that waited for `future`, which is done.
#[inline]
pub fn run_wakeup(
    py: Python<'_>,
    event_loop: &Bound<'_, EventLoop>,
    task: Py<Task>,
    future: Py<PyAny>,
) -> PyResult<()> {
    let task = task.into_bound(py);
    let future = future.into_bound(py);
    let Some(context) = task.get().context(py) else { return Ok(()) };
    let outcome = slots::in_context(&context, || {
        current::during(event_loop, &task, || {
            let outcome = outcome_of(&future)?;
            step(&task, outcome)
        })
        .map_err(Box::new)
    });
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => report::failed_step(event_loop, &task, *error),
        Err(error) => report::failed_step(event_loop, &task, error),
    }
}

/// The exception that a future which is done has for those who wait; None where it has a result.
#[inline]
pub(super) fn outcome_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = future.py();
    let Some(native) = exact_future(future) else {
        return Ok(match future.call_method0(intern!(py, "result")) {
            Ok(_) => None,
            Err(error) => Some(error.into_value(py).into_bound(py).into_any()),
        });
    };
    let good = native.get().state.with(py, |state| state.status == Status::Finished && !state.failed);
    if good {
        return Ok(None);
    }
    match native.get().result_native(py) {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error.into_value(py).into_bound(py).into_any())),
    }
}

/// The first step of an eager task, made while another task may run.
pub(super) fn start_eagerly(task: &Bound<'_, Task>, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    let Some(context) = task.get().context(py) else { return Ok(()) };
    current::swapped(event_loop, task, || slots::in_context(&context, || step(task, None))?)?;
    if task.as_super().get().status(py) != Status::Pending {
        drop(task.get().state.with(py, |state| state.coro.take()));
    }
    Ok(())
}

/// One step, in the task's context and with the task as the current one.
#[inline]
pub(super) fn step(task: &Bound<'_, Task>, thrown: Option<Bound<'_, PyAny>>) -> PyResult<()> {
    let py = task.py();
    if task.as_super().get().status(py) != Status::Pending {
        return Err(errors::already_done(task, thrown.as_ref()));
    }
    let (coro, old_waiter, special) = task
        .get()
        .state
        .with(py, |state| (state.coro.cloned(py), state.waiter.take(), state.must_cancel || state.must_throw));
    if let Some(waiter) = old_waiter {
        waiter.drop_ref(py);
    }
    let Some(coro) = coro else { return Ok(()) };
    let coro = coro.into_bound(py);
    let sent = if thrown.is_none() && !special { calls::send_none(&coro) } else { throw(task, &coro, thrown)? };
    match sent {
        Sent::Yielded(object) => wait_for(task, object),
        Sent::Returned(result) => {
            let outcome = returned(task, result);
            observe::task_ended(task);
            outcome
        }
        Sent::Raised(error) => {
            let outcome = raised(task, error);
            observe::task_ended(task);
            outcome
        }
    }
}

/// Throws what there is to throw: an exception, or a cancellation.
#[cold]
fn throw<'py>(
    task: &Bound<'py, Task>,
    coro: &Bound<'py, PyAny>,
    thrown: Option<Bound<'py, PyAny>>,
) -> PyResult<Sent<'py>> {
    let py = task.py();
    let (must_cancel, kept) = task.get().state.with(py, |state| {
        let kept = if state.must_throw { state.rare.as_mut().and_then(|rare| rare.thrown_next.take()) } else { None };
        state.must_throw = false;
        (std::mem::replace(&mut state.must_cancel, false), kept)
    });
    let mut exception = thrown.or_else(|| kept.map(|kept| kept.into_bound(py)));
    if must_cancel {
        let cancelled = match &exception {
            Some(exception) => exception.is_instance(names::cancelled_error(py)?)?,
            None => false,
        };
        if !cancelled {
            exception = Some(task.as_super().get().cancelled_error(py)?);
        }
    }
    Ok(match exception {
        Some(exception) => calls::throw(coro, &exception),
        None => calls::send_none(coro),
    })
}

/// The coroutine is done.
#[inline]
fn returned(task: &Bound<'_, Task>, result: Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    let must_cancel = task.get().state.with(py, |state| std::mem::replace(&mut state.must_cancel, false));
    if must_cancel {
        // Cancelled in its very last step.
        let message = task.as_super().get().cancel_message(py);
        Future::cancel_native(task.as_super(), message)?;
        return Ok(());
    }
    Future::finish(task.as_super(), result)
}

/// The coroutine failed.
#[cold]
fn raised(task: &Bound<'_, Task>, error: PyErr) -> PyResult<()> {
    let py = task.py();
    if error.is_instance(py, names::cancelled_error(py)?) {
        let error = error.into_value(py).into_any();
        Future::cancel_by(task.as_super(), None, Some(error))?;
        return Ok(());
    }
    let leaves = leaves_the_loop(py, &error);
    let exception = error.into_value(py).into_bound(py);
    Future::fail(task.as_super(), exception.as_any())?;
    if leaves { Err(PyErr::from_value(exception.into_any())) } else { Ok(()) }
}

/// The coroutine waits for `object`.
#[inline]
fn wait_for(task: &Bound<'_, Task>, object: Bound<'_, PyAny>) -> PyResult<()> {
    if object.is_none() {
        task.get().state.with(task.py(), |state| state.wait_reason = WaitReason::Turn);
        return Task::schedule_step(task);
    }
    let reason = match exact_class(&object) {
        Exact::Future | Exact::Gathering => WaitReason::Future,
        Exact::Task => WaitReason::Task,
        Exact::Other => return wait_for_other(task, object),
    };
    match exact_future(&object) {
        Some(future) => wait_for_native(task, future, reason),
        None => wait_for_other(task, object),
    }
}

/// What came of the attempt to wait for a native future.
enum Parked {
    /// The task waits.
    Waits,
    /// The future is done.
    Done(Py<Task>),
    OtherLoop,
    /// `yield` was used where `yield from` was meant.
    NotAwaited,
}

#[inline]
fn wait_for_native(task: &Bound<'_, Task>, future: &Bound<'_, Future>, reason: WaitReason) -> PyResult<()> {
    let py = task.py();
    if future.is(task) {
        return throw_soon(task, || Ok(format!("Task cannot await on itself: {}", task.repr()?)));
    }
    let own_loop = task.as_super().get().state.with(py, |state| state.event_loop.address());
    let waiting = task.clone().unbind();
    let mut reason = reason;
    let parked = future.get().state.with(py, |state| {
        if state.reason != WaitReason::Future {
            reason = state.reason;
        }
        if state.event_loop.address() != own_loop {
            return (Parked::OtherLoop, Some(waiting));
        }
        if !std::mem::replace(&mut state.blocking, false) {
            return (Parked::NotAwaited, Some(waiting));
        }
        match Future::park(state, waiting) {
            None => (Parked::Waits, None),
            Some(task) => (Parked::Done(task), None),
        }
    });
    let parked = match parked {
        (parked, None) => parked,
        (parked, Some(waiting)) => {
            waiting.drop_ref(py);
            parked
        }
    };
    match parked {
        Parked::Waits => {}
        Parked::Done(waiting) => Future::wake_at_once(future, waiting)?,
        Parked::OtherLoop => return other_loop(task, future.as_any()),
        Parked::NotAwaited => return not_awaited(task, future.as_any()),
    }
    now_waits(task, future.as_any(), reason)
}

/// Notes what the task waits for; a cancellation that came meanwhile is passed on.
#[inline]
fn now_waits(task: &Bound<'_, Task>, future: &Bound<'_, PyAny>, reason: WaitReason) -> PyResult<()> {
    let py = task.py();
    let waiter = Some(future.clone().unbind());
    let (old, must_cancel) = task.get().state.with(py, |state| {
        state.wait_reason = reason;
        (state.waiter.replace(waiter), state.must_cancel)
    });
    if let Some(old) = old {
        old.drop_ref(py);
    }
    if must_cancel {
        let message = task.as_super().get().cancel_message(py).map(|message| message.into_bound(py));
        if task::cancel_any(future, message.as_ref())? {
            task.get().state.with(py, |state| state.must_cancel = false);
        }
    }
    Ok(())
}

/// Waits for anything that is not exactly one of ours: a future of a derived class or of another's making, or
/// something that cannot be waited for.
fn wait_for_other(task: &Bound<'_, Task>, object: Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    if object.is(task) {
        return throw_soon(task, || Ok(format!("Task cannot await on itself: {}", task.repr()?)));
    }
    let blocking = object.getattr_opt(intern!(py, "_asyncio_future_blocking"))?.filter(|blocking| !blocking.is_none());
    let Some(blocking) = blocking else {
        if calls::is_exact_generator(&object) {
            return throw_soon(task, || {
                let shown = (task.repr()?, object.repr()?);
                Ok(format!("yield was used instead of yield from for generator in task {} with {}", shown.0, shown.1))
            });
        }
        return throw_soon(task, || Ok(format!("Task got bad yield: {}", object.repr()?)));
    };
    let blocking = blocking.is_truthy()?;
    let own_loop = task.as_super().get().event_loop(py)?;
    if !loop_of(&object)?.is(own_loop.as_any()) {
        return other_loop(task, &object);
    }
    if !blocking {
        return not_awaited(task, &object);
    }
    object.setattr(intern!(py, "_asyncio_future_blocking"), false)?;
    let context = task.get().context(py).unwrap_or_else(|| py.None().into_bound(py));
    calls::add_done_callback(&object, TaskWakeup::of(task)?.as_any(), &context)?;
    now_waits(task, &object, WaitReason::Other)
}

/// `future.get_loop()`, or `future._loop` of those that have no such method.
fn loop_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    match future.getattr_opt(intern!(py, "get_loop"))? {
        Some(get_loop) => get_loop.call0(),
        None => future.getattr(intern!(py, "_loop")),
    }
}

#[cold]
fn other_loop(task: &Bound<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    throw_soon(task, || Ok(format!("Task {} got Future {} attached to a different loop", task.repr()?, future.repr()?)))
}

#[cold]
fn not_awaited(task: &Bound<'_, Task>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    throw_soon(task, || {
        Ok(format!("yield was used instead of yield from in task {} with {}", task.repr()?, future.repr()?))
    })
}

#[cold]
fn throw_soon(task: &Bound<'_, Task>, text: impl FnOnce() -> PyResult<String>) -> PyResult<()> {
    Task::throw_soon(task, PyRuntimeError::new_err(text()?))
}

impl Future {
    /// A task waits for a future that is done already.
    #[cold]
    fn wake_at_once(slf: &Bound<'_, Self>, task: Py<Task>) -> PyResult<()> {
        let event_loop: LoopRef<'_> = slf.get().event_loop(slf.py())?;
        super::callbacks::schedule(slf, &event_loop, super::callbacks::Callback::Waiter(task))
    }
}
