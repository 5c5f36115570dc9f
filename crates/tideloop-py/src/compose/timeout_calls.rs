//! The coroutines behind `async with timeout(...)`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::timeout::Timeout;
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::slots;

/// The coroutine that `Timeout.__aenter__` returns.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Entering {
    life: Life,
    timeout: Cell<Slot<Timeout>>,
}

/// The coroutine that `Timeout.__aexit__` returns.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Leaving {
    life: Life,
    timeout: Cell<Slot<Timeout>>,
    raised: Cell<(Slot, Slot)>,
}

impl Entering {
    /// `timeout.__aenter__()`.
    #[inline]
    pub fn create<'py>(timeout: &Bound<'py, Timeout>) -> PyResult<Bound<'py, PyAny>> {
        let timeout_slot = Cell::new(Slot::holding(timeout.clone().unbind()));
        slots::coroutine::create(timeout.py(), Self { life: Life::fresh(), timeout: timeout_slot }).map(Bound::into_any)
    }
}

impl Leaving {
    /// `timeout.__aexit__(class, value, traceback)`.
    #[inline]
    pub fn create<'py>(
        timeout: &Bound<'py, Timeout>,
        class: Option<Bound<'py, PyAny>>,
        value: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = |object: Option<Bound<'py, PyAny>>| {
            Slot::maybe(object.filter(|object| !object.is_none()).map(Bound::unbind))
        };
        let leaving = Self {
            life: Life::fresh(),
            timeout: Cell::new(Slot::holding(timeout.clone().unbind())),
            raised: Cell::new((given(class), given(value))),
        };
        slots::coroutine::create(timeout.py(), leaving).map(Bound::into_any)
    }
}

/// What a coroutine without a wait does when it is resumed nevertheless.
#[cold]
fn not_waiting<T>(resumed: Resumed<'_>) -> PyResult<T> {
    match resumed {
        Resumed::Thrown(exception, _) => Err(PyErr::from_value(exception)),
        _ => Err(PyRuntimeError::new_err("it does not wait")),
    }
}

impl NativeCoroutine for Entering {
    fn blank() -> Self {
        Self { life: Life::ended(), timeout: Cell::new(Slot::EMPTY) }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "Timeout.__aenter__"
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let timeout = slf.get().timeout.with(py, Slot::take);
        match (resumed, timeout) {
            (Resumed::Start, Some(timeout)) => {
                let timeout = timeout.into_bound(py);
                Timeout::enter(&timeout)?;
                Ok(Stepped::Return(timeout.into_any()))
            }
            (resumed, _) => not_waiting(resumed),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.timeout.during_gc(|timeout| timeout.visit(visit)).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        if let Some(timeout) = self.timeout.with(py, Slot::take) {
            timeout.drop_ref(py);
        }
    }
}

impl NativeCoroutine for Leaving {
    fn blank() -> Self {
        let raised = Cell::new((Slot::EMPTY, Slot::EMPTY));
        Self { life: Life::ended(), timeout: Cell::new(Slot::EMPTY), raised }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "Timeout.__aexit__"
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let timeout = slf.get().timeout.with(py, Slot::take);
        match (resumed, timeout) {
            (Resumed::Start, Some(timeout)) => {
                let timeout = timeout.into_bound(py);
                let (class, value) = slf.get().raised.with(py, |(class, value)| (class.take(), value.take()));
                let raised =
                    class.map(|class| (class.into_bound(py), value.unwrap_or_else(|| py.None()).into_bound(py)));
                Timeout::exit(&timeout, raised)?;
                Ok(Stepped::Return(py.None().into_bound(py)))
            }
            (resumed, _) => not_waiting(resumed),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.timeout.during_gc(|timeout| timeout.visit(visit)).unwrap_or(Ok(()))?;
        let visit_both = |(class, value): &(Slot, Slot)| {
            class.visit(visit)?;
            value.visit(visit)
        };
        self.raised.during_gc(visit_both).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        if let Some(timeout) = self.timeout.with(py, Slot::take) {
            timeout.drop_ref(py);
        }
        let (class, value) = self.raised.with(py, |(class, value)| (class.take(), value.take()));
        for object in [class, value].into_iter().flatten() {
            object.drop_ref(py);
        }
    }
}

native_coroutine!(Entering);
native_coroutine!(Leaving);
