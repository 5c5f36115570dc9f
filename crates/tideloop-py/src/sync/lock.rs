//! `Lock`: one holder at a time, in the order in which they came. Corresponds to `asyncio.Lock`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use tideloop_core::wait_queue::Ticket;

use super::crowd::Crowd;
use super::primitive::{Primitive, is_plain, shown};
use super::steps::{Op, Place, Steps, is_cancellation};
use crate::coroutine::{Resumed, Stepped};
use crate::task::{Future, WaitReason};

/// The native half of `tideloop.Lock`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Lock;

/// How it went to take a lock.
pub enum Taken<'py> {
    /// It is ours.
    Now,
    /// One has to wait.
    Later(Ticket, Bound<'py, Future>),
}

impl Lock {
    /// Whether nobody has overridden what `async with` and conditions use.
    #[inline]
    pub fn is_plain(slf: &Bound<'_, Self>) -> bool {
        crowd(slf).is_plain()
    }

    /// `locked()`.
    #[inline]
    pub fn is_locked(slf: &Bound<'_, Self>) -> bool {
        crowd(slf).is_on()
    }

    /// Takes the lock, or queues up for it. Whoever comes while others wait queues up behind them, also when the lock
    /// is free for a moment because the next one has been woken and did not run yet.
    #[inline]
    pub fn take<'py>(slf: &Bound<'py, Self>) -> PyResult<Taken<'py>> {
        let py = slf.py();
        if !Self::is_locked(slf) && crowd(slf).all_cancelled(py)? {
            crowd(slf).switch(py, true);
            return Ok(Taken::Now);
        }
        let (ticket, future) = crowd(slf).join(slf.as_any(), WaitReason::Lock)?;
        Ok(Taken::Later(ticket, future))
    }

    /// One who queued up has been woken: the lock is taken.
    #[inline]
    pub fn taken(slf: &Bound<'_, Self>, ticket: Ticket) {
        crowd(slf).leave(slf.py(), ticket);
        crowd(slf).switch(slf.py(), true);
    }

    /// One who queued up gives up. If it had been woken before it was cancelled, the next one is woken instead.
    pub fn give_up(slf: &Bound<'_, Self>, ticket: Ticket, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        crowd(slf).leave(slf.py(), ticket);
        if is_cancellation(exception)? && !Self::is_locked(slf) {
            crowd(slf).wake_first(slf.py())?;
        }
        Ok(())
    }

    /// `release()`.
    #[inline]
    pub fn give_back(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !crowd(slf).switch(slf.py(), false) {
            return Err(PyRuntimeError::new_err("Lock is not acquired."));
        }
        crowd(slf).wake_first(slf.py())
    }
}

/// A step of `acquire()`, `__aenter__` and `__aexit__`.
#[inline]
pub fn run<'py>(steps: &Steps, op: Op, lock: &Bound<'py, Lock>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
    let py = lock.py();
    let none = || Ok(Stepped::Return(py.None().into_bound(py)));
    match resumed {
        Resumed::Start if op == Op::Exit => {
            Lock::give_back(lock)?;
            return none();
        }
        Resumed::Start => {
            if let Taken::Later(ticket, future) = Lock::take(lock)? {
                steps.stand(py, Place::Crowd(ticket));
                return Ok(Stepped::Wait(future));
            }
        }
        Resumed::Woken(_) => {
            if let Some(ticket) = steps.ticket(py) {
                Lock::taken(lock, ticket);
            }
        }
        Resumed::Thrown(exception, _) => {
            if let Some(ticket) = steps.ticket(py) {
                Lock::give_up(lock, ticket, &exception)?;
            }
            return Err(PyErr::from_value(exception));
        }
    }
    if op == Op::Enter { none() } else { Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any())) }
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
        let plain = is_plain(class, &["acquire", "release"])?;
        Ok(PyClassInitializer::from(Primitive::new(plain)).add_subclass(Self))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = if Self::is_locked(slf) { "locked" } else { "unlocked" };
        shown(slf.as_any(), extra, crowd(slf).len(slf.py()))
    }

    #[getter(_locked)]
    fn get_locked(slf: &Bound<'_, Self>) -> bool {
        Self::is_locked(slf)
    }

    #[setter(_locked)]
    fn assign_locked(slf: &Bound<'_, Self>, locked: &Bound<'_, PyAny>) -> PyResult<()> {
        let locked = locked.is_truthy()?;
        crowd(slf).switch(slf.py(), locked);
        Ok(())
    }
}

#[inline]
fn crowd<'a>(lock: &'a Bound<'_, Lock>) -> &'a Crowd {
    lock.as_super().get().crowd()
}
