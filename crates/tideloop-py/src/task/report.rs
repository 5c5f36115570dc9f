//! What is reported when nobody is left to tell: an exception that was never retrieved, a task that was destroyed
//! while it was pending, a step that could not be made.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::future::Status;
use super::wakeup::TaskStep;
use super::{Future, Task};
use crate::error::unraisable;
use crate::event_loop::{EventLoop, Handle};

/// `Future.__del__`.
pub fn finalize_future(future: &Bound<'_, Future>) {
    let py = future.py();
    let untold = future.get().state.with(py, |state| {
        let exception = if state.log_traceback { state.outcome.cloned(py) } else { None };
        state.log_traceback = false;
        exception
    });
    let Some(exception) = untold else { return };
    keeping_the_exception(future, || {
        let context = PyDict::new(py);
        let class = future.get_type();
        context.set_item(intern!(py, "message"), format!("{} exception was never retrieved", class.name()?))?;
        context.set_item(intern!(py, "exception"), exception)?;
        context.set_item(intern!(py, "future"), future)?;
        tell_the_loop(future, &context)
    });
}

/// `Task.__del__`. What is finalized is not among all tasks any more, even if the report brings it back to life: so it
/// is with asyncio's weak references.
pub fn finalize_task(task: &Bound<'_, Task>) {
    let py = task.py();
    task.get().leave_registry(py);
    let future = task.as_super();
    let wanted = task.get().state.with(py, |state| state.log_destroy_pending);
    if wanted && future.get().status(py) == Status::Pending && future.get().is_alive(py) {
        keeping_the_exception(future, || {
            let context = PyDict::new(py);
            context.set_item(intern!(py, "task"), task)?;
            context.set_item(intern!(py, "message"), "Task was destroyed but it is pending!")?;
            tell_the_loop(future, &context)
        });
    }
    finalize_future(future);
}

fn tell_the_loop(future: &Bound<'_, Future>, context: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = future.py();
    if let Some(stack) = future.get().source_traceback(py) {
        context.set_item(intern!(py, "source_traceback"), stack)?;
    }
    let event_loop = future.get().event_loop(py)?;
    event_loop.as_any().call_method1(intern!(py, "call_exception_handler"), (context,))?;
    Ok(())
}

/// A destructor may run while an exception is on its way; that must arrive.
fn keeping_the_exception(future: &Bound<'_, Future>, f: impl FnOnce() -> PyResult<()>) {
    let py = future.py();
    let under_way = PyErr::take(py);
    if let Err(error) = f() {
        let told =
            future.get().loop_object(py).and_then(|object| object.getattr(intern!(py, "call_exception_handler")));
        unraisable(py, error, told.ok().as_ref());
    }
    if let Some(error) = under_way {
        error.restore(py);
    }
}

/// A step failed on its way to or from the coroutine: the loop's exception handler is told, as of any callback.
#[cold]
pub(super) fn failed_step(event_loop: &Bound<'_, EventLoop>, task: &Bound<'_, Task>, error: PyErr) -> PyResult<()> {
    let py = task.py();
    let (step, context) = (TaskStep::of(task)?, task.get().context(py));
    let handle = Handle::create(event_loop, step.as_any(), &PyTuple::empty(py), context.as_ref(), false)?;
    Handle::report(handle.bind(py), error)
}
