//! What a worker's thread does all day: take a job, do it, and sleep where there is none.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tideloop_sys::parker::Slept;

use super::core::Next;
use super::wake::Wake;
use super::{Core, Job};
use crate::event_loop::fork_generation;
use crate::names;

/// Works until there is nothing left to do.
pub(super) fn work(core: &Bound<'_, Core>, number: usize) -> PyResult<()> {
    let py = core.py();
    let mut wake = Wake::Nobody;
    let mut timed_out = false;
    let generation = fork_generation();
    loop {
        match core.get().next(py, number, timed_out) {
            Next::Do(job) => {
                // The next job may take for ever.
                std::mem::take(&mut wake).keep();
                let outcome = Job::run(job.bind(py));
                drop(job);
                if fork_generation() != generation {
                    // The job has forked, and this is the child: the pool has begun anew without this thread.
                    return Ok(());
                }
                core.get().job_done(py, number);
                match outcome {
                    Ok(promise) => wake = promise,
                    Err(error) => report(py, &error)?,
                }
                timed_out = false;
            }
            Next::Sleep(flag, idle_max) => {
                let promise = std::mem::take(&mut wake);
                let waited = py.detach(|| {
                    promise.keep();
                    let waited = flag.wait(idle_max);
                    flag.clear();
                    waited
                });
                timed_out = waited == Slept::TimedOut;
            }
            Next::End => break,
        }
    }
    core.get().gone(py, number);
    py.detach(|| wake.keep());
    Ok(())
}

/// A callback raised what is no `Exception`. The stdlib's worker would end here.
#[cold]
fn report(py: Python<'_>, error: &PyErr) -> PyResult<()> {
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "exc_info"), error.value(py))?;
    names::futures_logger(py)?
        .call_method(intern!(py, "critical"), (intern!(py, "Exception in worker"),), Some(&keywords))
        .map(drop)
}
