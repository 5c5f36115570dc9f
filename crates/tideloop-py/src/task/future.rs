//! `Future`: a result that is not there yet. Its state and every change of it; `future_methods.rs` shows it to Python.
//!
//! The object is lean: what most futures never have (a second callback, a traceback, a cancel message) is in a box.
//! A native task that waits is kept as the task itself and becomes a callable only if somebody looks.

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::callbacks::{Callback, Callbacks};
use super::wait_reason::WaitReason;
use super::{Task, errors};
use crate::cell::{Cell, Slot};
use crate::compose::Watcher;
use crate::names;
use crate::slots::classes::{Exact, exact_class};
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::slots::{self, Slotted, calls};

/// How far a future is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Pending,
    Cancelled,
    Finished,
}

impl Status {
    /// asyncio's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Cancelled => "CANCELLED",
            Self::Finished => "FINISHED",
        }
    }
}

/// A future without its Python methods.
pub(super) struct FutureState {
    pub status: Status,
    /// The outcome is an exception to raise. (Of a cancelled future it is the error that cancelled a task.)
    pub failed: bool,
    /// The exception was never looked at.
    pub log_traceback: bool,
    /// An `await` has just yielded this future.
    pub blocking: bool,
    /// Why a task waits for it.
    pub reason: WaitReason,
    pub event_loop: LoopSlot,
    /// The first callback, or the native task that waits, which has no context.
    pub first: Slot,
    pub first_context: Slot,
    /// The first callback is one of our own objects, which does this.
    pub first_watcher: Option<Watcher>,
    /// The result or exception; while it is pending, the object that is waited for through it, if there is one.
    pub outcome: Slot,
    pub rare: Option<Box<Rare>>,
}

/// What most futures never have.
#[derive(Default)]
pub(super) struct Rare {
    /// Callbacks after the first.
    pub callbacks: Vec<Callback>,
    /// The exception's traceback at the time it was set.
    pub traceback: Option<Py<PyAny>>,
    pub cancel_message: Option<Py<PyAny>>,
    pub source_traceback: Option<Py<PyAny>>,
}

/// A Future that is native: `asyncio.Future` to isinstance, and on any event loop.
///
/// Corresponds to `asyncio.Future`.
#[pyclass(frozen, subclass, dict, weakref, module = "tideloop")]
pub struct Future {
    pub(super) state: Cell<FutureState>,
}

impl Slotted for Future {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

/// What was in a future, for dropping outside of its cell.
pub(super) type Contents = (Option<Py<PyAny>>, Callbacks, Option<Py<PyAny>>, Option<Box<Rare>>);

impl FutureState {
    pub const fn blank() -> Self {
        Self {
            status: Status::Pending,
            failed: false,
            log_traceback: false,
            blocking: false,
            reason: WaitReason::Future,
            event_loop: LoopSlot::EMPTY,
            first: Slot::EMPTY,
            first_context: Slot::EMPTY,
            first_watcher: None,
            outcome: Slot::EMPTY,
            rare: None,
        }
    }

    #[inline]
    pub fn pending_on(event_loop: &LoopRef<'_>) -> Self {
        Self { event_loop: LoopSlot::holding(event_loop), ..Self::blank() }
    }

    pub fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Empties the state; it is as if `__init__` had not run.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> Contents {
        let callbacks = self.take_callbacks();
        let contents = (self.event_loop.take(), callbacks, self.outcome.take(), self.rare.take());
        (self.status, self.failed, self.log_traceback, self.blocking) = (Status::Pending, false, false, false);
        contents
    }

    #[inline]
    #[must_use = "drop or run them outside of the cell"]
    pub fn take_callbacks(&mut self) -> Callbacks {
        let more = match &mut self.rare {
            Some(rare) if !rare.callbacks.is_empty() => std::mem::take(&mut rare.callbacks),
            _ => Vec::new(),
        };
        let first_watcher = self.first_watcher.take();
        Callbacks { first: self.first.take(), first_context: self.first_context.take(), first_watcher, more }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.visit(visit)?;
        self.first.visit(visit)?;
        self.first_context.visit(visit)?;
        self.outcome.visit(visit)?;
        let Some(rare) = &self.rare else { return Ok(()) };
        for callback in &rare.callbacks {
            callback.visit(visit)?;
        }
        visit.call(&rare.traceback)?;
        visit.call(&rare.cancel_message)?;
        visit.call(&rare.source_traceback)
    }
}

impl Future {
    /// A future whose `__init__` has not run.
    pub fn blank() -> Self {
        Self { state: Cell::new(FutureState::blank()) }
    }

    #[inline]
    pub(super) fn pending_on(event_loop: &LoopRef<'_>) -> Self {
        Self { state: Cell::new(FutureState::pending_on(event_loop)) }
    }

    /// One that tasks wait for with a reason of its own.
    #[inline]
    pub(crate) fn pending_for(event_loop: &LoopRef<'_>, reason: WaitReason) -> Self {
        Self { state: Cell::new(FutureState { reason, ..FutureState::pending_on(event_loop) }) }
    }

    /// One that is waited for through an object of ours.
    #[inline]
    pub(super) fn waiting(event_loop: &LoopRef<'_>, reason: WaitReason, object: Py<PyAny>) -> Self {
        let outcome = Slot::holding(object);
        Self { state: Cell::new(FutureState { reason, outcome, ..FutureState::pending_on(event_loop) }) }
    }

    /// Starts (anew) as a pending future of `event_loop`, remembering in debug mode where it was made.
    pub(super) fn initialize(&self, py: Python<'_>, event_loop: &LoopRef<'_>) -> PyResult<()> {
        let fresh = FutureState::pending_on(event_loop);
        let mut old = self.state.with(py, |state| std::mem::replace(state, fresh));
        drop(old.take_contents());
        self.remember_origin(py, event_loop)
    }

    /// In debug mode, keeps the stack of the code that made it.
    #[inline(always)]
    pub(crate) fn remember_origin(&self, py: Python<'_>, event_loop: &LoopRef<'_>) -> PyResult<()> {
        if errors::is_debug(event_loop)? { self.keep_stack(py) } else { Ok(()) }
    }

    #[cold]
    fn keep_stack(&self, py: Python<'_>) -> PyResult<()> {
        let stack = names::extract_stack(py)?.call0()?.unbind();
        self.state.with(py, |state| state.rare().source_traceback = Some(stack));
        Ok(())
    }

    /// Whether `__init__` has run and the collector has not taken it apart.
    #[inline]
    pub(super) fn is_alive(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.event_loop.is_some())
    }

    #[inline]
    pub(super) fn status(&self, py: Python<'_>) -> Status {
        self.state.with(py, |state| state.status)
    }

    /// `RuntimeError` where `__init__` has not run.
    #[inline]
    pub(super) fn check_alive(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_alive(py) {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("Future object is not initialized."))
    }

    /// The loop, or `RuntimeError` where `__init__` has not run.
    #[inline]
    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<LoopRef<'py>> {
        self.state
            .with(py, |state| state.event_loop.get(py))
            .ok_or_else(|| PyRuntimeError::new_err("Future object is not initialized."))
    }

    /// Sets the result and schedules the callbacks.
    #[inline]
    pub(crate) fn finish(slf: &Bound<'_, Self>, result: Bound<'_, PyAny>) -> PyResult<()> {
        if Self::finish_if_pending(slf, result)? { Ok(()) } else { Err(errors::not_pending(slf)) }
    }

    /// The same; False where it was done already.
    #[inline]
    pub(crate) fn finish_if_pending(slf: &Bound<'_, Self>, result: Bound<'_, PyAny>) -> PyResult<bool> {
        let py = slf.py();
        let result = result.unbind();
        let set = slf.get().state.with(py, |state| {
            if state.status != Status::Pending || !state.event_loop.is_some() {
                return Err(result);
            }
            state.status = Status::Finished;
            let none = state.outcome.replace(Some(result));
            Ok((none, state.event_loop.get(py), state.take_callbacks()))
        });
        match set {
            Ok((none, event_loop, callbacks)) => {
                drop(none);
                callbacks.schedule(slf, event_loop).map(|()| true)
            }
            Err(unused) => {
                unused.drop_ref(py);
                Ok(false)
            }
        }
    }

    /// Sets an exception, given as an instance or a class, and schedules the callbacks.
    pub(crate) fn fail(slf: &Bound<'_, Self>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        slf.get().check_alive(py)?;
        if slf.get().status(py) != Status::Pending {
            return Err(errors::not_pending(slf));
        }
        let exception = if errors::is_exception_class(exception) { &exception.call0()? } else { exception };
        let Ok(exception) = exception.cast::<PyBaseException>() else {
            return Err(PyTypeError::new_err("invalid exception object"));
        };
        let exception = if exception.is_instance_of::<PyStopIteration>() {
            errors::stop_iteration(exception)?
        } else {
            exception.clone()
        };
        let traceback = exception.getattr(pyo3::intern!(py, "__traceback__"))?;
        let traceback = (!traceback.is_none()).then(|| traceback.unbind());
        let outcome = Some(exception.into_any().unbind());
        // Making an instance may have run Python, and it may have finished this very future.
        let set = slf.get().state.with(py, |state| {
            if state.status != Status::Pending || !state.event_loop.is_some() {
                return None;
            }
            (state.status, state.failed, state.log_traceback) = (Status::Finished, true, true);
            let old =
                if traceback.is_some() { std::mem::replace(&mut state.rare().traceback, traceback) } else { None };
            Some((old, state.outcome.replace(outcome), state.event_loop.get(py), state.take_callbacks()))
        });
        match set {
            Some((old, none, event_loop, callbacks)) => {
                drop((old, none));
                callbacks.schedule(slf, event_loop)
            }
            None => Err(errors::not_pending(slf)),
        }
    }

    /// The result; or what `Future.result` raises.
    #[inline]
    pub(crate) fn result_native<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let result = self.state.with(py, |state| {
            if state.status == Status::Finished && !state.failed { state.outcome.cloned(py) } else { None }
        });
        match result {
            Some(result) => Ok(result.into_bound(py)),
            None => Err(self.no_result(py)),
        }
    }

    #[cold]
    fn no_result(&self, py: Python<'_>) -> PyErr {
        if !self.is_alive(py) {
            return errors::invalid_state(py, "Future object is not initialized.");
        }
        match self.status(py) {
            Status::Pending => errors::invalid_state(py, "Result is not set."),
            Status::Cancelled => match self.cancelled_error(py) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            },
            Status::Finished => match self.retrieve_exception(py) {
                Some(exception) => PyErr::from_value(exception.into_any()),
                None => errors::invalid_state(py, "Result is not set."),
            },
        }
    }

    /// The exception that was set, with the traceback it had then; it counts as retrieved.
    pub(super) fn retrieve_exception<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBaseException>> {
        let (exception, traceback) = self.state.with(py, |state| {
            state.log_traceback = false;
            let exception = if state.failed { state.outcome.cloned(py) } else { None };
            let traceback = state.rare.as_ref().and_then(|rare| rare.traceback.as_ref().map(|tb| tb.clone_ref(py)));
            (exception, traceback)
        });
        let exception = exception?.into_bound(py).cast_into::<PyBaseException>().ok()?;
        calls::set_traceback(&exception, traceback.as_ref().map(|traceback| traceback.bind(py)));
        Some(exception)
    }

    pub(super) fn source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.rare.as_ref()?.source_traceback.as_ref().map(|stack| stack.clone_ref(py)))
    }

    /// `__class__`: asyncio's class, so that `isinstance(future, asyncio.Future)` holds; for an instance of a derived
    /// class a stand-in that asyncio's class is a base of, and that is that derived class in all other respects.
    #[inline]
    pub(crate) fn shown_class<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (class, wanted) = match exact_class(slf.as_any()) {
            Exact::Future => return Ok(names::future_class(py)?.clone().into_any()),
            Exact::Task => return Ok(names::task_class(py)?.clone().into_any()),
            Exact::Gathering => return Ok(names::gathering_class(py)?.clone().into_any()),
            Exact::Other if slf.cast::<Task>().is_ok() => (slf.get_type(), names::task_class(py)?),
            Exact::Other => (slf.get_type(), names::future_class(py)?),
        };
        names::stand_in(py)?.call1((class, wanted))
    }

    /// `_asyncio_future_blocking`.
    #[inline]
    pub(crate) fn blocking(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.blocking)
    }

    /// Assigns `_asyncio_future_blocking`.
    pub(crate) fn set_blocking(&self, py: Python<'_>, blocking: bool) -> PyResult<()> {
        self.check_alive(py)?;
        self.state.with(py, |state| state.blocking = blocking);
        Ok(())
    }

    /// `Future.done`.
    #[inline]
    pub(crate) fn is_done(&self, py: Python<'_>) -> bool {
        self.status(py) != Status::Pending
    }

    /// `Future.cancelled`.
    #[inline]
    pub(crate) fn is_cancelled(&self, py: Python<'_>) -> bool {
        self.status(py) == Status::Cancelled
    }

    /// `Future.get_loop`.
    #[inline]
    pub(crate) fn loop_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.event_loop(py)?.into_any())
    }

    /// `Future.exception`.
    pub(crate) fn exception_native<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (status, exception) = self.state.with(py, |state| {
            state.log_traceback = false;
            (state.status, if state.failed { state.outcome.cloned(py) } else { None })
        });
        match status {
            Status::Finished => Ok(exception.unwrap_or_else(|| py.None()).into_bound(py)),
            Status::Cancelled => Err(PyErr::from_value(self.cancelled_error(py)?)),
            Status::Pending if self.is_alive(py) => Err(errors::invalid_state(py, "Exception is not set.")),
            Status::Pending => Err(errors::invalid_state(py, "Future object is not initialized.")),
        }
    }

    /// Whether there is nothing to report when it dies.
    #[inline]
    pub(crate) fn dies_silently(&self) -> bool {
        self.state.during_gc(|state| !state.log_traceback).unwrap_or(true)
    }

    /// Whether it is pending, asked while it dies.
    #[inline]
    pub(super) fn dies_pending(&self) -> bool {
        self.state.during_gc(|state| state.status == Status::Pending).unwrap_or(false)
    }

    /// Drops everything it holds: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        let state = self.state.get_mut();
        if state.first.is_some() || state.rare.is_some() {
            state.take_callbacks().release(py);
        }
        if let Some(event_loop) = state.event_loop.take() {
            event_loop.drop_ref(py);
        }
        if let Some(outcome) = state.outcome.take() {
            outcome.drop_ref(py);
        }
        if let Some(rare) = state.rare.take() {
            drop(rare);
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(visit)).unwrap_or(Ok(()))
    }
}
