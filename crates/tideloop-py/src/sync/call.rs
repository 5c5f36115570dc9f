//! `SyncCall`: the coroutine that `lock.acquire()`, `event.wait()` and their like return. What it does is written beside
//! the primitive.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::owner::{Owner, Subject};
use super::steps::{Op, Steps};
use crate::cell::Slot;
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::slots::coroutine::create;

/// A wait for a primitive: a coroutine in all but its exact class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct SyncCall {
    life: Life,
    steps: Steps,
}

impl SyncCall {
    /// A coroutine that does `op` to `subject`.
    #[inline]
    pub fn create<'py>(py: Python<'py>, op: Op, subject: Subject<'py>) -> PyResult<Bound<'py, PyAny>> {
        Self::create_with(py, op, subject, Slot::EMPTY)
    }

    /// `wait_for(predicate)`.
    #[inline]
    pub fn create_with<'py>(
        py: Python<'py>,
        op: Op,
        subject: Subject<'py>,
        predicate: Slot,
    ) -> PyResult<Bound<'py, PyAny>> {
        let steps = Steps::new(op, Owner::holding(subject), predicate);
        create(py, Self { life: Life::fresh(), steps }).map(Bound::into_any)
    }
}

impl NativeCoroutine for SyncCall {
    fn blank() -> Self {
        Self { life: Life::ended(), steps: Steps::new(Op::Exit, Owner::Nobody, Slot::EMPTY) }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        self.steps.qualname(py)
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        slf.get().steps.run(slf.py(), resumed)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.steps.visit(visit)
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        self.steps.clear(py);
    }
}

native_coroutine!(SyncCall);
