//! What comes from other threads through the inbox, and the promise to wake the loop for it.

use std::sync::Arc;

use pyo3::prelude::*;

use super::{Entry, EventLoop, Handle, Kernel};
use crate::both::Knock;
use crate::slots::loop_slot::LoopRef;
use crate::task::Future;

/// One thing in the inbox.
pub enum Arrival {
    /// A callback of `call_soon_threadsafe`.
    Handle(Py<Handle>),
    /// What a thread has returned, or raised, for a future of the loop.
    Outcome { future: Py<Future>, outcome: Py<PyAny>, failed: bool },
    /// News for a task of the loop that waits for a shared primitive.
    Knock(Knock),
}

impl Arrival {
    #[inline]
    pub(super) fn into_entry(self) -> Entry {
        match self {
            Self::Handle(handle) => Entry::Handle(handle),
            Self::Knock(knock) => Entry::Knock(knock),
            Self::Outcome { future, outcome, failed: false } => Entry::Returned(future, outcome),
            Self::Outcome { future, outcome, failed: true } => Entry::Raised(future, outcome),
        }
    }
}

/// A promise to wake a loop that sleeps, which can be kept without the interpreter.
#[must_use = "the loop sleeps until it is kept"]
pub struct Waker(Arc<Kernel>);

impl Waker {
    /// Wake it.
    pub fn wake(&self) {
        self.0.wake.wake();
    }
}

impl EventLoop {
    /// From another thread: has the loop complete `future`. If there is a waker the loop sleeps, and nobody else will
    /// wake it. A loop that is closed, or is the parent process's, loses its answer and nobody is the worse for it.
    pub fn settle_from_thread(
        py: Python<'_>,
        future: &Bound<'_, Future>,
        outcome: Py<PyAny>,
        failed: bool,
    ) -> PyResult<Option<Waker>> {
        let event_loop = future.get().event_loop(py)?;
        let event_loop = match &event_loop {
            LoopRef::Native(event_loop) => event_loop,
            LoopRef::Foreign(event_loop) => match Self::of(event_loop) {
                Some(event_loop) => event_loop,
                None => return Ok(None),
            },
        };
        let this = event_loop.get();
        let Ok(kernel) = this.kernel(py) else { return Ok(None) };
        let arrival = Arrival::Outcome { future: future.clone().unbind(), outcome, failed };
        Ok(this.inbox.push(arrival).then_some(Waker(kernel)))
    }

    /// From another thread: has the loop wake a task of its own.
    ///
    /// # Errors
    /// `RuntimeError` where the loop is closed.
    pub fn knock_from_thread(slf: &Bound<'_, Self>, knock: Knock) -> PyResult<()> {
        let this = slf.get();
        let kernel = this.kernel(slf.py())?;
        if this.inbox.push(Arrival::Knock(knock)) {
            kernel.wake.wake();
        }
        Ok(())
    }
}
