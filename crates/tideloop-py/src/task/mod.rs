//! Native futures and tasks (DESIGN §5, §10): what the event loop and the transports use of them.
//!
//! The life of a task: `Task::create` schedules its first step; `step` runs its coroutine until that yields; what it
//! yielded keeps the task among its callbacks; when that is done, the loop gets a wake-up entry and makes the next
//! step. Between the two the task's one strong reference is what it waits for, and nothing is allocated.

mod callbacks;
pub mod current;
mod errors;
mod future;
mod future_cancel;
mod future_iter;
mod future_methods;
mod future_waiting;
mod registry;
mod report;
mod step;
#[expect(clippy::module_inception, reason = "the file is named after the class, as the others are")]
mod task;
mod task_methods;
mod wait_reason;
mod wakeup;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

use crate::event_loop::EventLoop;
use crate::slots;
use crate::slots::loop_slot::LoopRef;

pub(crate) use errors::is_debug;
pub use future::Future;
pub(crate) use future_iter::thrown;
pub use future_iter::{Advance, FutureIter};
pub use report::{finalize_future, finalize_task};
pub use step::{run_step, run_wakeup};
pub use task::Task;
pub(crate) use task::{cancel_any, default_loop};
pub use wait_reason::WaitReason;

/// A new future of a native loop.
#[inline]
pub fn create_future<'py>(py: Python<'py>, event_loop: &Bound<'py, EventLoop>) -> PyResult<Bound<'py, Future>> {
    let event_loop = LoopRef::to_native(event_loop);
    let future = slots::classes::new_future(py, Future::pending_on(&event_loop))?;
    future.get().remember_origin(py, &event_loop)?;
    Ok(future)
}

/// A new future of any loop for a native coroutine to wait on: why it waits, and for what.
#[inline]
pub fn create_waiter<'py>(
    py: Python<'py>,
    event_loop: &LoopRef<'py>,
    reason: WaitReason,
    object: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, Future>> {
    let future = slots::classes::new_future(py, Future::waiting(event_loop, reason, object.unbind()))?;
    future.get().remember_origin(py, event_loop)?;
    Ok(future)
}

/// The same for one that waits for nothing but the future itself.
#[inline]
pub fn create_bare_waiter<'py>(
    py: Python<'py>,
    event_loop: &LoopRef<'py>,
    reason: WaitReason,
) -> PyResult<Bound<'py, Future>> {
    let future = slots::classes::new_future(py, Future::pending_for(event_loop, reason))?;
    future.get().remember_origin(py, event_loop)?;
    Ok(future)
}

/// A new task of any loop, scheduled, or started at once if it is `eager` and the loop runs.
#[inline]
pub fn create_task<'py>(
    _py: Python<'py>,
    event_loop: &Bound<'py, PyAny>,
    coro: &Bound<'py, PyAny>,
    name: Option<&Bound<'py, PyAny>>,
    context: Option<&Bound<'py, PyAny>>,
    eager: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let event_loop = &LoopRef::to(event_loop);
    Ok(Task::create(&task::Wanted { event_loop, coro, name, context, eager })?.into_any())
}

/// Makes the classes ready for use, and adds what is not a class.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::classes::install(py);
    slots::methods::install(py)?;
    slots::attributes::install(py)?;
    let future = slots::classes::new_future(py, Future::blank())?;
    let task = slots::classes::new_task(py, Future::blank(), Task::blank())?;
    let known = slots::verify(&future) && slots::verify(&task) && slots::verify(task.as_super());
    if !known || !slots::classes::layout_is_known(py) {
        return Err(PyImportError::new_err("the layout of tideloop's futures is not what was assumed"));
    }
    module.add_class::<Future>()?;
    module.add_class::<Task>()?;
    // Private: not in `__all__`, where `add_function` puts a name.
    module.setattr("_current_task", wrap_pyfunction!(current::current_task, module)?)?;
    module.setattr("_set_current_task", wrap_pyfunction!(current::set_current_task, module)?)?;
    module.add_function(wrap_pyfunction!(registry::all_tasks, module)?)?;
    module.add_function(wrap_pyfunction!(registry::task_count, module)?)
}
