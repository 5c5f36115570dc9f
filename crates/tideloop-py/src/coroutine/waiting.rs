//! What a native coroutine waits on.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::slots::loop_slot::LoopRef;
use crate::task::{self, Future, WaitReason};

/// A new future of any loop for a coroutine to wait on, which knows why it is waited for: the kind, and the object.
#[inline]
pub fn waiter<'py>(
    py: Python<'py>,
    event_loop: &LoopRef<'py>,
    reason: WaitReason,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Future>> {
    task::create_waiter(py, event_loop, reason, object.clone())
}

/// Whether the future that was awaited says to go on.
#[inline]
pub(super) fn outcome(future: Option<&Bound<'_, Future>>) -> PyResult<()> {
    let Some(future) = future else { return Ok(()) };
    let py = future.py();
    if future.get().has_result(py) {
        return Ok(());
    }
    if !future.get().is_done(py) {
        return Err(PyRuntimeError::new_err("await wasn't used with future"));
    }
    future.get().result_native(py).map(drop)
}
