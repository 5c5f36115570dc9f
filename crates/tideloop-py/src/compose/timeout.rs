//! `Timeout`: cancels the task that is inside of it when its deadline comes, and turns that into a `TimeoutError`.
//!
//! On a native loop its timer refers to the timeout itself, without a handle. A deadline that was taken back when its
//! entry waited in the ready queue already is told by its number: each arming has its own.

use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyType};
use tideloop_core::timers::TimerKey;

use super::chaining::insert_timeout_error;
use super::inner::{self, timed_out};
use super::let_go;
use crate::cell::{Cell, Slot};
use crate::event_loop::{Entry, EventLoop, Timer};
use crate::names;
use crate::slots::loop_slot::LoopRef;
use crate::slots::running::running_loop;
use crate::slots::{self, Slotted};
use crate::task::{Task, current};

/// How far a timeout is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl Phase {
    /// asyncio's word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Entered => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Exited => "finished",
        }
    }
}

/// A deadline, in seconds on the loop's clock.
pub(super) enum When {
    Never,
    At(f64),
    /// As it was given; whoever needs the number takes it from there.
    Given(Slot),
}

pub(super) struct State {
    pub phase: Phase,
    pub when: When,
    /// Counts how often a deadline was set or taken back.
    pub arming: u32,
    /// Its place in the timers of a native loop.
    pub key: Option<TimerKey>,
    /// The handle of a loop that is not native.
    pub handle: Slot,
    pub event_loop: Slot<EventLoop>,
    pub task: Slot,
    /// How often the task had been cancelled when it entered.
    pub cancelling: i64,
}

/// What `tideloop.Timeout` derives from; an `asyncio.Timeout`, then.
#[pyclass(frozen, subclass, dict, weakref, module = "tideloop._native")]
pub struct Timeout {
    pub(super) state: Cell<State>,
}

impl Slotted for Timeout {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

/// What was in a timeout, for dropping outside of its cell.
pub(super) type Contents = (When, Option<Py<PyAny>>, Option<Py<EventLoop>>, Option<Py<PyAny>>);

impl State {
    pub(super) const fn new(when: When) -> Self {
        Self {
            phase: Phase::Created,
            when,
            arming: 0,
            key: None,
            handle: Slot::EMPTY,
            event_loop: Slot::EMPTY,
            task: Slot::EMPTY,
            cancelling: 0,
        }
    }

    #[must_use = "drop it outside of the cell"]
    pub(super) fn take_contents(&mut self) -> Contents {
        let when = std::mem::replace(&mut self.when, When::Never);
        (when, self.handle.take(), self.event_loop.take(), self.task.take())
    }
}

impl When {
    pub(super) fn given(when: &Bound<'_, PyAny>) -> Self {
        if when.is_none() { Self::Never } else { Self::Given(Slot::holding(when.clone().unbind())) }
    }

    pub(super) fn release(self, py: Python<'_>) {
        if let Self::Given(mut when) = self
            && let Some(when) = when.take()
        {
            when.drop_ref(py);
        }
    }
}

/// A timeout of `delay` seconds from now, or none at all. Corresponds to `asyncio.timeout`.
#[inline]
pub fn timeout<'py>(delay: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = delay.py();
    let event_loop = running_loop(py)?;
    if delay.is_none() {
        return Timeout::create(py, When::Never);
    }
    let when = match (&event_loop, delay.extract::<f64>()) {
        (LoopRef::Native(native), Ok(delay)) if native.get().times_natively() => When::At(native.get().time() + delay),
        _ => When::given(&event_loop.as_any().call_method0(intern!(py, "time"))?.add(delay)?),
    };
    Timeout::create(py, when)
}

/// A timeout at a time on the loop's clock. Corresponds to `asyncio.timeout_at`.
pub fn timeout_at<'py>(when: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    Timeout::create(when.py(), When::given(when))
}

impl Timeout {
    #[inline]
    fn create(py: Python<'_>, when: When) -> PyResult<Bound<'_, PyAny>> {
        let timeout = Self { state: Cell::new(State::new(when)) };
        slots::timeouts::new_timeout(py, timeout).map(Bound::into_any)
    }

    /// One without a deadline.
    pub fn blank() -> Self {
        Self { state: Cell::new(State::new(When::Never)) }
    }

    /// The number of the deadline that is set.
    pub fn arming(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.arming)
    }

    /// The body of `__aenter__`.
    #[inline]
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if slf.get().state.with(py, |state| state.phase) != Phase::Created {
            return Err(PyRuntimeError::new_err("Timeout has already been entered"));
        }
        let event_loop = running_loop(py)?;
        let Some(task) = current::task_on(&event_loop)? else {
            return Err(PyRuntimeError::new_err("Timeout should be used inside a task"));
        };
        let cancelling = match task.cast_exact::<Task>() {
            Ok(task) => i64::from(task.get().cancels_requested(py)),
            Err(_) => task.call_method0(intern!(py, "cancelling"))?.extract()?,
        };
        let task = task.unbind();
        let none = slf.get().state.with(py, |state| {
            (state.phase, state.cancelling) = (Phase::Entered, cancelling);
            state.task.replace(Some(task))
        });
        let_go(py, none);
        Self::arm(slf, &event_loop)
    }

    /// Sets the timer for its deadline.
    #[inline]
    pub(super) fn arm(slf: &Bound<'_, Self>, event_loop: &LoopRef<'_>) -> PyResult<()> {
        let py = slf.py();
        let (number, object) = slf.get().state.with(py, |state| match &state.when {
            When::Never => (None, None),
            When::At(when) => (Some(*when), None),
            When::Given(when) => (None, when.cloned(py)),
        });
        let when = match (number, object) {
            (Some(when), _) => when,
            (None, None) => return Ok(()),
            (None, Some(when)) => {
                let when = when.into_bound(py);
                match event_loop {
                    LoopRef::Native(_) if when.is_instance_of::<PyFloat>() => when.extract()?,
                    // What cannot be compared with a time raises here, as it should.
                    _ if when.le(event_loop.as_any().call_method0(intern!(py, "time"))?)? => f64::NEG_INFINITY,
                    _ => when.extract()?,
                }
            }
        };
        if when.is_nan() {
            return Err(PyValueError::new_err("when must not be NaN"));
        }
        match event_loop {
            LoopRef::Native(native) if native.get().times_natively() => Self::arm_natively(slf, native, when),
            other => Self::arm_elsewhere(slf, other.as_any(), when),
        }
    }

    #[inline]
    fn arm_natively(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, when: f64) -> PyResult<()> {
        let py = slf.py();
        if when <= event_loop.get().time() {
            event_loop.get().check_usable(py)?;
            let arming = slf.get().arming(py);
            event_loop.get().push(py, Entry::Expire(slf.clone().unbind(), arming));
            return Ok(());
        }
        let key = event_loop.get().set_timer_at(py, when, Timer::Expire(slf.clone().unbind()))?;
        let home = event_loop.clone().unbind();
        let old = slf.get().state.with(py, |state| {
            state.key = Some(key);
            state.event_loop.replace(Some(home))
        });
        let_go(py, old);
        Ok(())
    }

    #[cold]
    fn arm_elsewhere(slf: &Bound<'_, Self>, event_loop: &Bound<'_, PyAny>, when: f64) -> PyResult<()> {
        let py = slf.py();
        let callback = slf.getattr(intern!(py, "_on_timeout"))?;
        let now: f64 = event_loop.call_method0(intern!(py, "time"))?.extract()?;
        let handle = if when <= now {
            event_loop.call_method1(intern!(py, "call_soon"), (callback,))?
        } else {
            event_loop.call_method1(intern!(py, "call_at"), (when, callback))?
        };
        let handle = Some(handle.unbind());
        let_go(py, slf.get().state.with(py, |state| state.handle.replace(handle)));
        Ok(())
    }

    /// Takes the timer back.
    #[inline]
    pub(super) fn disarm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (key, event_loop, handle) = slf.get().state.with(py, |state| {
            state.arming = state.arming.wrapping_add(1);
            (state.key.take(), state.event_loop.take(), state.handle.take())
        });
        if let Some(event_loop) = event_loop {
            if let Some(key) = key {
                event_loop.get().forget_timer(py, key);
            }
            event_loop.drop_ref(py);
        }
        match handle {
            Some(handle) => handle.into_bound(py).call_method0(intern!(py, "cancel")).map(drop),
            None => Ok(()),
        }
    }

    /// The deadline has come: cancels the task, unless another deadline was set meanwhile.
    pub fn expire(slf: &Bound<'_, Self>, arming: u32) -> PyResult<()> {
        let py = slf.py();
        let task = slf.get().state.with(py, |state| {
            let is_meant = state.arming == arming && state.phase == Phase::Entered;
            if is_meant { state.task.cloned(py) } else { None }
        });
        let Some(task) = task else { return Ok(()) };
        inner::cancel(task.bind(py))?;
        let old = slf.get().state.with(py, |state| {
            (state.phase, state.key) = (Phase::Expiring, None);
            (state.event_loop.take(), state.handle.take())
        });
        let_go(py, old.0);
        let_go(py, old.1);
        Ok(())
    }

    /// The body of `__aexit__`: with the class and the value of the exception that leaves.
    #[inline]
    pub fn exit<'py>(slf: &Bound<'py, Self>, raised: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>) -> PyResult<()> {
        let py = slf.py();
        let phase = slf.get().state.with(py, |state| state.phase);
        if !matches!(phase, Phase::Entered | Phase::Expiring) {
            return Err(PyAssertionError::new_err(()));
        }
        Self::disarm(slf)?;
        let expiring = phase == Phase::Expiring;
        let (task, cancelling) = slf.get().state.with(py, |state| {
            state.phase = if expiring { Phase::Expired } else { Phase::Exited };
            (state.task.take(), state.cancelling)
        });
        let Some(task) = task else { return Ok(()) };
        if expiring {
            return expired(&task.into_bound(py), cancelling, raised);
        }
        task.drop_ref(py);
        Ok(())
    }

    pub(super) fn when_object<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let (number, object) = self.state.with(py, |state| match &state.when {
            When::Never => (None, None),
            When::At(when) => (Some(*when), None),
            When::Given(when) => (None, when.cloned(py)),
        });
        match number {
            Some(number) => Some(PyFloat::new(py, number).into_any()),
            None => Some(object?.into_bound(py)),
        }
    }

    /// Drops everything it holds: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        let (when, handle, event_loop, task) = self.state.get_mut().take_contents();
        when.release(py);
        for object in [handle, task].into_iter().flatten() {
            object.drop_ref(py);
        }
        if let Some(event_loop) = event_loop {
            event_loop.drop_ref(py);
        }
    }
}

/// The task that was cancelled leaves: what it raises becomes a `TimeoutError`, unless somebody else cancelled it, too.
#[cold]
fn expired<'py>(
    task: &Bound<'py, PyAny>,
    cancelling: i64,
    raised: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
) -> PyResult<()> {
    let py = task.py();
    let left = match task.cast_exact::<Task>() {
        Ok(task) => i64::from(task.get().withdraw_cancel(py)),
        Err(_) => task.call_method0(intern!(py, "uncancel"))?.extract()?,
    };
    let Some((class, value)) = raised.filter(|_| left <= cancelling) else { return Ok(()) };
    let cancelled = names::cancelled_error(py)?;
    let is_cancelled = if cfg!(Py_3_13) {
        class.cast::<PyType>().is_ok_and(|class| class.is_subclass(cancelled).unwrap_or(false))
    } else {
        class.is(cancelled)
    };
    if is_cancelled {
        return Err(timed_out(&value));
    }
    if cfg!(Py_3_13) && !value.is_none() { insert_timeout_error(&value) } else { Ok(()) }
}
