//! What is inside of a wait: a future of any make that may be asked and cancelled, or an awaitable that is awaited in
//! place; and the timer that ends the wait.

use pyo3::exceptions::{PyGeneratorExit, PyTimeoutError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::timers::TimerKey;

use crate::cell::Slot;
use crate::event_loop::{EventLoop, Timer};
use crate::slots::calls::{self, Sent};
use crate::slots::classes::exact_future;
use crate::slots::loop_slot::LoopRef;
use crate::task::{self, Future};

/// A timer that is set.
pub enum Alarm {
    None,
    Native(Slot<EventLoop>, TimerKey),
    /// The handle of a loop that is not native.
    Handle(Slot),
}

impl Alarm {
    /// One that finishes `future` after so many seconds. `call_later` does it on a loop that is not native.
    #[inline]
    pub fn set<'py>(
        event_loop: &LoopRef<'py>,
        seconds: f64,
        future: &Bound<'py, Future>,
        call_later: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        match event_loop {
            LoopRef::Native(native) if native.get().times_natively() => {
                let timer = Timer::Release(future.clone().unbind());
                let key = native.get().set_timer_in(future.py(), seconds, timer)?;
                Ok(Self::Native(Slot::holding(native.clone().unbind()), key))
            }
            other => Ok(Self::Handle(Slot::holding(call_later(other.as_any())?.unbind()))),
        }
    }

    /// Takes the timer back, if it is not due yet.
    #[inline]
    pub fn cancel(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::None => Ok(()),
            Self::Native(mut event_loop, key) => {
                if let Some(event_loop) = event_loop.take() {
                    event_loop.get().forget_timer(py, key);
                    event_loop.drop_ref(py);
                }
                Ok(())
            }
            Self::Handle(mut handle) => match handle.take() {
                Some(handle) => handle.into_bound(py).call_method0(intern!(py, "cancel")).map(drop),
                None => Ok(()),
            },
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::None => Ok(()),
            Self::Native(event_loop, _) => event_loop.visit(visit),
            Self::Handle(handle) => handle.visit(visit),
        }
    }
}

/// The number of seconds if it is more than none; NaN is.
#[inline]
pub fn more_than_none(delay: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let seconds: f64 = if let Ok(seconds) = delay.cast_exact::<PyFloat>() {
        seconds.value()
    } else if let Ok(seconds) = delay.cast_exact::<PyInt>() {
        seconds.extract()?
    } else {
        if delay.le(0)? {
            return Ok(None);
        }
        delay.extract()?
    };
    Ok((seconds > 0.0 || seconds.is_nan()).then_some(seconds))
}

/// `future.result()`.
#[inline]
pub fn result_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match exact_future(future) {
        Some(native) => native.get().result_native(future.py()),
        None => future.call_method0(intern!(future.py(), "result")),
    }
}

/// `future.cancel()`.
pub fn cancel(future: &Bound<'_, PyAny>) -> PyResult<()> {
    match exact_future(future) {
        Some(_) => task::cancel_any(future, None).map(drop),
        None => future.call_method0(intern!(future.py(), "cancel")).map(drop),
    }
}

/// A step of an awaitable that is awaited in place.
#[inline]
pub fn step<'py>(iterator: &Bound<'py, PyAny>, thrown: Option<&Bound<'py, PyAny>>) -> Sent<'py> {
    match thrown {
        None => calls::send_none(iterator),
        Some(exception) => throw(iterator, exception),
    }
}

/// Raises an exception where it waits; `GeneratorExit` closes it, as in a Python coroutine.
#[cold]
fn throw<'py>(iterator: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = iterator.py();
    let exits = exception.is_instance_of::<PyGeneratorExit>();
    let name = if exits { intern!(py, "close") } else { intern!(py, "throw") };
    match iterator.getattr_opt(name) {
        Err(error) => Sent::Raised(error),
        Ok(None) => Sent::Raised(PyErr::from_value(exception.clone())),
        Ok(Some(close)) if exits => match close.call0() {
            Ok(_) => Sent::Raised(PyErr::from_value(exception.clone())),
            Err(error) => Sent::Raised(error),
        },
        Ok(Some(_)) => calls::throw(iterator, exception),
    }
}

/// `raise TimeoutError from cause`, while `cause` is handled.
#[cold]
pub fn timed_out(cause: &Bound<'_, PyAny>) -> PyErr {
    let py = cause.py();
    let error = PyTimeoutError::new_err(());
    let value = error.value(py);
    let set =
        value.setattr(intern!(py, "__cause__"), cause).and_then(|()| value.setattr(intern!(py, "__context__"), cause));
    match set {
        Ok(()) => error,
        Err(failed) => failed,
    }
}
