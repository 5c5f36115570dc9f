//! The laboratory's native half for Python: a load on a server, and the floor. It shares nothing with the loop.
//!
//! Both work without the interpreter's lock; Ctrl+C reaches them where they ask whether to go on.

mod floor;
mod generator;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

/// Adds the classes.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<generator::LoadGenerator>()?;
    module.add_class::<floor::EchoFloor>()
}

/// What is left after a panic is a load that is of no more use, which its own errors say.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something without the interpreter's lock, which now and then asks whether to go on: not after a signal whose
/// handler has raised, such as Ctrl+C. That exception is what the caller gets.
fn interruptible<T: Send>(py: Python<'_>, run: impl FnOnce(&mut dyn FnMut() -> bool) -> T + Send) -> PyResult<T> {
    let mut raised = None;
    let result = py.detach(|| {
        run(&mut || {
            raised = Python::attach(|py| py.check_signals()).err();
            raised.is_none()
        })
    });
    match raised {
        Some(error) => Err(error),
        None => Ok(result),
    }
}
