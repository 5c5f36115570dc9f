//! `Event`: a flag that can be waited for. Corresponds to `asyncio.Event`.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::call::{Place, SyncCall};
use super::crowd::Crowd;
use super::primitive::{Primitive, shown};
use crate::cell::Cell;
use crate::coroutine::{Resumed, Stepped};
use crate::task::WaitReason;

/// The native half of `tideloop.Event`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Event {
    is_set: Cell<bool>,
}

impl Event {
    /// `is_set()`.
    #[inline]
    pub fn is_set(&self, py: Python<'_>) -> bool {
        self.is_set.with(py, |is_set| *is_set)
    }

    /// `clear()`, and the first half of `set()`: what it was before.
    #[inline]
    pub fn assign(&self, py: Python<'_>, value: bool) -> bool {
        self.is_set.with(py, |is_set| std::mem::replace(is_set, value))
    }

    /// `set()`: wakes everyone, in order.
    #[inline]
    pub fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().assign(slf.py(), true) {
            return Ok(());
        }
        crowd(slf).wake(slf.py(), usize::MAX, true)
    }
}

/// A step of `wait()`.
#[inline]
pub fn run<'py>(
    call: &Bound<'py, SyncCall>,
    event: &Bound<'py, Event>,
    resumed: Resumed<'py>,
) -> PyResult<Stepped<'py>> {
    let py = call.py();
    match (resumed, SyncCall::place(call)) {
        (Resumed::Start, _) => {
            if !event.get().is_set(py) {
                let (ticket, future) = crowd(event).join(event.as_any(), WaitReason::Event)?;
                SyncCall::stand(call, Place::Crowd(ticket));
                return Ok(Stepped::Wait(future));
            }
        }
        (Resumed::Woken(_), Place::Crowd(ticket)) => crowd(event).leave(py, ticket),
        (Resumed::Woken(_), _) => {}
        (Resumed::Thrown(exception, _), place) => {
            if let Place::Crowd(ticket) = place {
                crowd(event).leave(py, ticket);
            }
            return Err(PyErr::from_value(exception));
        }
    }
    Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any()))
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Primitive::new()).add_subclass(Self { is_set: Cell::new(false) })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = if slf.get().is_set(slf.py()) { "set" } else { "unset" };
        shown(slf.as_any(), extra, crowd(slf).len(slf.py()))
    }

    #[getter(_value)]
    fn get_value(&self, py: Python<'_>) -> bool {
        self.is_set(py)
    }

    #[setter(_value)]
    fn assign_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_set = value.is_truthy()?;
        self.assign(value.py(), is_set);
        Ok(())
    }
}

#[inline]
fn crowd<'a>(event: &'a Bound<'_, Event>) -> &'a Crowd {
    event.as_super().get().crowd()
}
