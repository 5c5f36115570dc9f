//! `Event`: a flag that can be waited for. Corresponds to `asyncio.Event`.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::crowd::Crowd;
use super::primitive::{Primitive, shown};
use super::steps::{Place, Steps};
use crate::coroutine::{Resumed, Stepped};
use crate::task::WaitReason;

/// The native half of `tideloop.Event`.
#[pyclass(frozen, subclass, extends = Primitive, module = "tideloop._native")]
pub struct Event;

impl Event {
    /// `is_set()`.
    #[inline]
    pub fn is_set(slf: &Bound<'_, Self>) -> bool {
        crowd(slf).is_on()
    }

    /// `clear()`.
    #[inline]
    pub fn unset(slf: &Bound<'_, Self>) {
        crowd(slf).switch(slf.py(), false);
    }

    /// `set()`: wakes everyone, in order.
    #[inline]
    pub fn set(slf: &Bound<'_, Self>) -> PyResult<()> {
        if crowd(slf).switch(slf.py(), true) {
            return Ok(());
        }
        crowd(slf).wake(slf.py(), usize::MAX, true)
    }
}

/// A step of `wait()`.
#[inline]
pub fn run<'py>(steps: &Steps, event: &Bound<'py, Event>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
    let py = event.py();
    match resumed {
        Resumed::Start => {
            if !Event::is_set(event) {
                let (ticket, future) = crowd(event).join(event.as_any(), WaitReason::Event)?;
                steps.stand(py, Place::Crowd(ticket));
                return Ok(Stepped::Wait(future));
            }
        }
        Resumed::Woken(_) => leave(steps, event),
        Resumed::Thrown(exception, _) => {
            leave(steps, event);
            return Err(PyErr::from_value(exception));
        }
    }
    Ok(Stepped::Return(PyBool::new(py, true).to_owned().into_any()))
}

#[inline]
fn leave(steps: &Steps, event: &Bound<'_, Event>) {
    if let Some(ticket) = steps.ticket(event.py()) {
        crowd(event).leave(event.py(), ticket);
    }
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn __new__(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Primitive::new(true)).add_subclass(Self)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let extra = if Self::is_set(slf) { "set" } else { "unset" };
        shown(slf.as_any(), extra, crowd(slf).len(slf.py()))
    }

    #[getter(_value)]
    fn get_value(slf: &Bound<'_, Self>) -> bool {
        Self::is_set(slf)
    }

    #[setter(_value)]
    fn assign_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_set = value.is_truthy()?;
        crowd(slf).switch(slf.py(), is_set);
        Ok(())
    }
}

#[inline]
fn crowd<'a>(event: &'a Bound<'_, Event>) -> &'a Crowd {
    event.as_super().get().crowd()
}
