//! `sleep`: a timer that finishes a future, without a handle; or one turn of the loop.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::inner::{Alarm, more_than_none};
use super::let_go;
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::names;
use crate::slots;
use crate::slots::running::running_loop;
use crate::task::{self, WaitReason};

/// The coroutine that `sleep` returns.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Sleep {
    life: Life,
    state: Cell<State>,
}

struct State {
    /// Seconds, before its first step.
    delay: Slot,
    result: Slot,
    /// What takes the timer back.
    alarm: Alarm,
}

/// Suspends the caller for `delay` seconds, or for a turn where that is not positive; the coroutine returns `result`.
/// Corresponds to `asyncio.sleep`.
#[inline]
pub fn sleep<'py>(delay: Bound<'py, PyAny>, result: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let py = delay.py();
    let state = State {
        delay: Slot::holding(delay.unbind()),
        result: Slot::maybe(result.map(Bound::unbind)),
        alarm: Alarm::None,
    };
    let sleep = Sleep { life: Life::fresh(), state: Cell::new(state) };
    slots::coroutine::create(py, sleep).map(Bound::into_any)
}

impl Sleep {
    #[inline]
    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let Some(delay) = slf.get().state.with(py, |state| state.delay.take()) else {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        };
        let delay = delay.into_bound(py);
        let Some(seconds) = more_than_none(&delay)? else { return Ok(Stepped::Yield(py.None().into_bound(py))) };
        if seconds.is_nan() {
            return Err(PyValueError::new_err("Invalid delay: NaN (not a number)"));
        }
        let event_loop = running_loop(py)?;
        let future = task::create_bare_waiter(py, &event_loop, WaitReason::Sleep)?;
        let alarm = Alarm::set(&event_loop, seconds, &future, |other| {
            let set_result = names::set_result_unless_cancelled(py)?;
            other.call_method1(intern!(py, "call_later"), (&delay, set_result, &future, py.None()))
        })?;
        // There was none.
        slf.get().state.with(py, |state| state.alarm = alarm);
        Ok(Stepped::Wait(future))
    }

    /// Takes out all that it holds.
    #[inline]
    fn take_all(&self, py: Python<'_>) -> (Option<Py<PyAny>>, Option<Py<PyAny>>, Alarm) {
        self.state.with(py, |state| {
            (state.delay.take(), state.result.take(), std::mem::replace(&mut state.alarm, Alarm::None))
        })
    }
}

impl NativeCoroutine for Sleep {
    fn blank() -> Self {
        let state = State { delay: Slot::EMPTY, result: Slot::EMPTY, alarm: Alarm::None };
        Self { life: Life::ended(), state: Cell::new(state) }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "sleep"
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        match resumed {
            Resumed::Start => Self::start(slf),
            Resumed::Woken(_) => {
                let (_, result, alarm) = slf.get().take_all(py);
                alarm.cancel(py)?;
                Ok(Stepped::Return(result.unwrap_or_else(|| py.None()).into_bound(py)))
            }
            // Its end takes the timer back.
            Resumed::Thrown(exception, _) => Err(PyErr::from_value(exception)),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.delay.visit(visit)?;
            state.result.visit(visit)?;
            state.alarm.visit(visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        let (delay, result, alarm) = self.take_all(py);
        let_go(py, delay);
        let_go(py, result);
        if let Err(error) = alarm.cancel(py) {
            crate::error::unraisable(py, error, None);
        }
    }
}

native_coroutine!(Sleep);
