//! The thread pool's native half: jobs, the workers that do them, and the futures that come of it.
//!
//! The life of a job: `Core::submit` puts it into the pool's queue and wakes the worker that fell asleep last, or has a
//! thread started where none is idle; a worker takes it, calls its function and delivers what comes of it: to a
//! [`ThreadFuture`], which is a `concurrent.futures.Future`, or straight into the inbox of the event loop whose future
//! waits. Everything here but a sleeping worker and a waiting caller is attached to the interpreter, so queue and
//! futures are ordinary cells; the two that sleep do so on a [`tideloop_sys::flag::Flag`], detached.
//!
//! **Whoever is to be woken is woken late**: a thread that wakes up while its waker holds the interpreter lock only goes
//! to sleep again, at the price of two changes of threads. So what a job's end wakes is carried along as a [`Wake`], and
//! the worker acts on it when it has let go of the interpreter, or before it begins another job.
//!
//! The Python half (`python/tideloop/_thread_pool.py`) starts the threads, joins them and knows about exit and fork.

mod core;
mod future;
mod future_methods;
mod job;
mod token;
mod wake;
mod worker;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use self::core::Core;
pub use future::ThreadFuture;
pub use job::{Job, settle};
pub use token::CancelToken;

use crate::slots;

/// Adds the classes and what is not a class.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::finalizer::install::<ThreadFuture>(py);
    if !slots::verify(&slots::create(py, ThreadFuture::blank())?) || !slots::verify(&slots::create(py, Job::blank())?) {
        return Err(PyImportError::new_err("the layout of tideloop's jobs is not what was assumed"));
    }
    // Private: not in `__all__`, where `add_class` puts a name.
    module.setattr("ThreadFuture", py.get_type::<ThreadFuture>())?;
    module.setattr("ThreadPoolCore", py.get_type::<Core>())?;
    module.setattr("CancelToken", py.get_type::<CancelToken>())?;
    module.setattr("current_token", wrap_pyfunction!(token::current_token, module)?)
}
