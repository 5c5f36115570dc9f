//! `Semaphore` and `BoundedSemaphore`: so many permits, in the order in which they were asked for. Corresponds to
//! `asyncio.Semaphore`, as the running version has it.

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};

use super::count::Count;
use super::crowd::{Crowd, wake};
use super::primitive::{Primitive, is_plain, shown};
use super::steps::{Op, Place, Steps, is_cancellation};
use crate::cell::Cell;
use crate::coroutine::{Resumed, Stepped};
use crate::task::{Future, WaitReason};

struct State {
    value: Count,
    /// Of a bounded one: what the value never exceeds.
    bound: Option<Count>,
}

/// The native half of `tideloop.Semaphore` and `tideloop.BoundedSemaphore`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Semaphore {
    state: Cell<State>,
}

impl Semaphore {
    /// Whether nobody has overridden what `async with` uses.
    #[inline]
    pub fn is_plain(slf: &Bound<'_, Self>) -> bool {
        crowd(slf).is_plain()
    }

    #[inline]
    fn value(&self, py: Python<'_>) -> Count {
        self.state.with(py, |state| state.value)
    }

    #[inline]
    fn add(&self, py: Python<'_>, difference: i64) {
        self.state.with(py, |state| state.value = state.value.plus(difference));
    }

    /// `locked()`: whether there is no permit, or whoever comes has to queue up.
    #[inline]
    pub fn is_locked(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        Ok(slf.get().value(py).is_zero() || !crowd(slf).all_cancelled(py)?)
    }

    /// `release()`.
    #[inline]
    pub fn give_back(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let too_often = slf.get().state.with(py, |state| state.bound.is_some_and(|bound| state.value.reaches(bound)));
        if too_often {
            return Err(PyValueError::new_err("BoundedSemaphore released too many times"));
        }
        slf.get().add(py, 1);
        Self::wake_next(slf).map(drop)
    }

    /// Gives a permit to the first one who has none yet; whether there was one.
    #[inline]
    fn wake_next(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let Some((_, waiter)) = crowd(slf).pending(slf.py(), None)? else { return Ok(false) };
        slf.get().add(slf.py(), -1);
        wake(&waiter, true)?;
        Ok(true)
    }

    /// Gives away the permits that are left, to those who had to queue up behind others.
    #[inline]
    fn pass_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        while slf.get().value(slf.py()).is_positive() {
            // One at most below 3.13, where the next one does the same when it runs.
            if !Self::wake_next(slf)? || cfg!(not(Py_3_13)) {
                break;
            }
        }
        Ok(())
    }

    /// One who queued up gives up. A permit that it had been given goes to the next one.
    fn give_up(
        slf: &Bound<'_, Self>,
        future: Option<&Bound<'_, Future>>,
        exception: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let had_permit = future.is_some_and(|future| future.get().is_done(py) && !future.get().is_cancelled(py));
        let cancelled = is_cancellation(exception)?;
        if cancelled && had_permit {
            slf.get().add(py, 1);
            if cfg!(not(Py_3_13)) {
                Self::wake_next(slf)?;
            }
        }
        if cfg!(Py_3_13) { Self::pass_on(slf) } else { Ok(()) }
    }
}

/// A step of `acquire()`, `__aenter__` and `__aexit__`.
#[inline]
pub fn run<'py>(
    steps: &Steps,
    op: Op,
    semaphore: &Bound<'py, Semaphore>,
    resumed: Resumed<'py>,
) -> PyResult<Stepped<'py>> {
    let py = semaphore.py();
    let none = || Ok(Stepped::Return(py.None().into_bound(py)));
    match resumed {
        Resumed::Start if op == Op::Exit => {
            Semaphore::give_back(semaphore)?;
            return none();
        }
        Resumed::Start => {
            if Semaphore::is_locked(semaphore)? {
                let (ticket, future) = crowd(semaphore).join(semaphore.as_any(), WaitReason::Semaphore)?;
                steps.stand(py, Place::Crowd(ticket));
                return Ok(Stepped::Wait(future));
            }
            semaphore.get().add(py, -1);
        }
        Resumed::Woken(_) => {
            if let Some(ticket) = steps.ticket(py) {
                crowd(semaphore).leave(py, ticket);
                Semaphore::pass_on(semaphore)?;
            }
        }
        Resumed::Thrown(exception, future) => {
            if let Some(ticket) = steps.ticket(py) {
                crowd(semaphore).leave(py, ticket);
                Semaphore::give_up(semaphore, future.as_ref(), &exception)?;
            }
            return Err(PyErr::from_value(exception));
        }
    }
    if op == Op::Enter { none() } else { Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any())) }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let plain = is_plain(class, &["acquire", "release", "locked"])?;
        let state = State { value: Count::ONE, bound: None };
        Ok(PyClassInitializer::from(Primitive::new(plain)).add_subclass(Self { state: Cell::new(state) }))
    }

    /// What `__init__` does.
    #[pyo3(signature = (value, /, *, bounded))]
    fn _start(&self, value: &Bound<'_, PyAny>, bounded: bool) -> PyResult<()> {
        if value.lt(0)? {
            return Err(PyValueError::new_err("Semaphore initial value must be >= 0"));
        }
        let value_ = Count::of(value)?;
        self.state.with(value.py(), |state| (state.value, state.bound) = (value_, bounded.then_some(value_)));
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = match Self::is_locked(slf)? {
            true => "locked".to_owned(),
            false => format!("unlocked, value:{}", slf.get().value(slf.py()).to_object(slf.py())?),
        };
        shown(slf.as_any(), &extra, crowd(slf).len(slf.py()))
    }

    #[getter(_value)]
    fn get_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.value(py).to_object(py)
    }

    #[setter(_value)]
    fn assign_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let count = Count::of(value)?;
        self.state.with(value.py(), |state| state.value = count);
        Ok(())
    }

    #[getter(_bound_value)]
    fn get_bound_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.state.with(py, |state| state.bound) {
            Some(bound) => bound.to_object(py),
            None => Err(PyAttributeError::new_err("'Semaphore' object has no attribute '_bound_value'")),
        }
    }

    #[setter(_bound_value)]
    fn assign_bound_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let count = Count::of(value)?;
        self.state.with(value.py(), |state| state.bound = Some(count));
        Ok(())
    }
}

#[inline]
fn crowd<'a>(semaphore: &'a Bound<'_, Semaphore>) -> &'a Crowd {
    semaphore.as_super().get().crowd()
}
