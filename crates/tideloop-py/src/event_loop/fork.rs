//! What becomes of a loop in the child of a fork (DESIGN §10.15).
//!
//! The child shares the parent's epoll set, wake-up and timer descriptors; a change made there would act on the
//! parent's. So a loop that was running is dead in the child, with a clear error, and one that was not gets
//! descriptors of its own at first use. Closing the inherited ones closes only the child's copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{EventLoop, Kernel};
use crate::error::os_error;
use crate::slots;

/// Counts the forks that this process descends from: a loop of an older generation comes from a parent.
static FORK_GENERATION: AtomicU64 = AtomicU64::new(0);

/// How many forks this process descends from, as far as this module was there.
pub fn generation() -> u64 {
    FORK_GENERATION.load(Ordering::Relaxed)
}

impl EventLoop {
    #[inline]
    pub(super) fn check_not_inherited(&self, py: Python<'_>) -> PyResult<()> {
        if self.fork_generation.load(Ordering::Relaxed) == generation() {
            return Ok(());
        }
        self.inherit(py)
    }

    /// The first use in a child.
    #[cold]
    fn inherit(&self, py: Python<'_>) -> PyResult<()> {
        let was_running = self.with_state(py, |state| {
            state.inherited_running |= state.thread.is_some();
            state.inherited_running
        });
        if was_running {
            return Err(PyRuntimeError::new_err(
                "this event loop was running in the parent process when it forked; make a new one in the child, as \
                 tideloop.run() and asyncio.run() do",
            ));
        }
        let kernel = Kernel::open().map_err(|error| os_error(py, &error))?;
        let old = self.kernel.with(py, |place| place.replace(Arc::new(kernel)));
        drop(old);
        self.fork_generation.store(generation(), Ordering::Relaxed);
        self.io_register_again(py).map_err(|error| os_error(py, &error))
    }
}

/// Called in the child after a fork: loops of the parent must not be used as they are.
#[pyfunction]
#[pyo3(name = "_after_fork_in_child")]
fn after_fork_in_child() {
    FORK_GENERATION.fetch_add(1, Ordering::Relaxed);
    slots::running::leave();
    crate::shared::after_fork_in_child();
}

pub(super) fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hook = wrap_pyfunction!(after_fork_in_child, module)?;
    let hooks = PyDict::new(py);
    hooks.set_item(intern!(py, "after_in_child"), hook)?;
    py.import(intern!(py, "os"))?.call_method(intern!(py, "register_at_fork"), (), Some(&hooks))?;
    Ok(())
}
