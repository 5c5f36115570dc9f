//! `Lock`: one holder at a time, in the order in which they came. Corresponds to `asyncio.Lock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use tideloop_core::wait_queue::Ticket;

use super::call::{Op, Place, SyncCall, is_cancellation};
use super::crowd::Crowd;
use super::primitive::{Primitive, is_plain, shown};
use crate::cell::Cell;
use crate::coroutine::{Resumed, Stepped};
use crate::task::{Future, WaitReason};

struct State {
    locked: bool,
    /// Its class has our `acquire` and `release`.
    plain: bool,
}

/// The native half of `tideloop.Lock`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Lock {
    state: Cell<State>,
}

/// How it went to take a lock.
pub enum Taken<'py> {
    /// It is ours.
    Now,
    /// One has to wait.
    Later(Ticket, Bound<'py, Future>),
}

impl Lock {
    /// One that is not locked; `plain` as [`is_plain`] says.
    pub const fn new(plain: bool) -> Self {
        Self { state: Cell::new(State { locked: false, plain }) }
    }

    /// Whether nobody has overridden what `async with` and conditions use.
    #[inline]
    pub fn is_plain(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.plain)
    }

    /// `locked()`.
    #[inline]
    pub fn is_locked(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.locked)
    }

    #[inline]
    fn set_locked(&self, py: Python<'_>, locked: bool) -> bool {
        self.state.with(py, |state| std::mem::replace(&mut state.locked, locked))
    }

    /// Takes the lock, or queues up for it. Whoever comes while others wait queues up behind them, also when the lock
    /// is free for a moment because the next one has been woken and did not run yet.
    #[inline]
    pub fn take<'py>(slf: &Bound<'py, Self>) -> PyResult<Taken<'py>> {
        let py = slf.py();
        let lock = slf.get();
        if !lock.is_locked(py) && crowd(slf).all_cancelled(py)? {
            lock.set_locked(py, true);
            return Ok(Taken::Now);
        }
        let (ticket, future) = crowd(slf).join(slf.as_any(), WaitReason::Lock)?;
        Ok(Taken::Later(ticket, future))
    }

    /// One who queued up has been woken: the lock is taken.
    #[inline]
    pub fn taken(slf: &Bound<'_, Self>, ticket: Ticket) {
        crowd(slf).leave(slf.py(), ticket);
        slf.get().set_locked(slf.py(), true);
    }

    /// One who queued up gives up. If it had been woken before it was cancelled, the next one is woken instead.
    pub fn give_up(slf: &Bound<'_, Self>, ticket: Ticket, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        crowd(slf).leave(slf.py(), ticket);
        if is_cancellation(exception)? && !slf.get().is_locked(slf.py()) {
            crowd(slf).wake_first(slf.py())?;
        }
        Ok(())
    }

    /// `release()`.
    #[inline]
    pub fn give_back(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().set_locked(slf.py(), false) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        crowd(slf).wake_first(slf.py())
    }
}

/// A step of `acquire()`, `__aenter__` and `__aexit__`.
#[inline]
pub fn run<'py>(
    call: &Bound<'py, SyncCall>,
    op: Op,
    lock: &Bound<'py, Lock>,
    resumed: Resumed<'py>,
) -> PyResult<Stepped<'py>> {
    let py = call.py();
    let none = || Ok(Stepped::Return(py.None().into_bound(py)));
    match (resumed, SyncCall::place(call)) {
        (Resumed::Start, _) if op == Op::LockExit => {
            Lock::give_back(lock)?;
            return none();
        }
        (Resumed::Start, _) => {
            if let Taken::Later(ticket, future) = Lock::take(lock)? {
                SyncCall::stand(call, Place::Crowd(ticket));
                return Ok(Stepped::Wait(future));
            }
        }
        (Resumed::Woken(_), Place::Crowd(ticket)) => Lock::taken(lock, ticket),
        (Resumed::Thrown(exception, _), Place::Crowd(ticket)) => {
            Lock::give_up(lock, ticket, &exception)?;
            return Err(PyErr::from_value(exception));
        }
        (Resumed::Thrown(exception, _), _) => return Err(PyErr::from_value(exception)),
        (Resumed::Woken(_), _) => {}
    }
    if op == Op::LockEnter { none() } else { Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any())) }
}

#[pymethods]
impl Lock {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let plain = is_plain::<Self>(class, &["acquire", "release"])?;
        Ok(PyClassInitializer::from(Primitive::new()).add_subclass(Self::new(plain)))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = if slf.get().is_locked(slf.py()) { "locked" } else { "unlocked" };
        shown(slf.as_any(), extra, crowd(slf).len(slf.py()))
    }

    #[getter(_locked)]
    fn get_locked(&self, py: Python<'_>) -> bool {
        self.is_locked(py)
    }

    #[setter(_locked)]
    fn assign_locked(&self, locked: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = locked.is_truthy()?;
        self.set_locked(locked.py(), value);
        Ok(())
    }
}

#[inline]
fn crowd<'a>(lock: &'a Bound<'_, Lock>) -> &'a Crowd {
    lock.as_super().get().crowd()
}
