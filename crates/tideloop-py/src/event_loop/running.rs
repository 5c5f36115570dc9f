//! Handles of `call_soon_threadsafe` on 3.14: `cancel` and `cancelled` wait while the callback runs in another thread,
//! so that who has cancelled knows that it does not run any more. Corresponds to `asyncio.events._ThreadSafeHandle`.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::slots;

/// Where a callback runs, and who waits for its end.
#[derive(Default)]
pub(super) struct Running {
    thread: Option<u64>,
    gate: Option<Arc<Gate>>,
}

/// Opens when the callback has ended.
#[derive(Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Running {
    /// The callback begins to run in this thread.
    pub fn begin(&mut self, thread: u64) {
        self.thread = Some(thread);
    }

    /// It has ended: the gate to open, if somebody waits.
    #[must_use = "somebody may wait"]
    pub fn end(&mut self) -> Option<Arc<Gate>> {
        self.thread = None;
        self.gate.take()
    }

    /// The gate to wait at: the callback runs in a thread that is not `thread`.
    pub fn gate_for(&mut self, thread: u64) -> Option<Arc<Gate>> {
        if self.thread.is_none_or(|running| running == thread) {
            return None;
        }
        Some(Arc::clone(self.gate.get_or_insert_default()))
    }
}

impl Gate {
    pub fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Waits without the interpreter lock.
    pub fn wait(&self, py: Python<'_>) {
        py.detach(|| {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            while !*open {
                open = self.opened.wait(open).unwrap_or_else(PoisonError::into_inner);
            }
        });
    }
}

/// Whether the running version's `call_soon_threadsafe` makes such handles.
pub(super) const EXISTS: bool = cfg!(Py_3_14);

/// This thread, as [`Running`] knows it.
pub(super) fn this_thread(py: Python<'_>) -> u64 {
    slots::thread_ident(py)
}
