//! What composes tasks and futures: sleeping, timeouts, shielding; waiting for several at once.

mod as_completed;
mod chaining;
mod ensure;
mod gather;
mod group_call;
mod inner;
mod members;
mod outcome;
mod shield;
mod sleep;
mod task_group;
mod timeout;
mod timeout_calls;
mod timeout_methods;
mod unique;
mod wait;
mod wait_for;
mod watcher;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use ensure::{create_task, ensure_future};
pub use gather::Gathering;
pub use shield::shield;
pub use sleep::sleep;
pub use task_group::TaskGroup;
pub use timeout::{Timeout, timeout, timeout_at};
pub use timeout_calls::{Entering, Leaving};
pub use wait_for::wait_for;
pub use watcher::{DoneCallback, Watcher, release};

use crate::slots;
use crate::task::Future;

/// Drops an object now. From a raw slot, without PyO3 between it and the interpreter, a plain drop would wait for the
/// next call that goes through PyO3.
#[inline]
fn let_go<T>(py: Python<'_>, object: Option<Py<T>>) {
    if let Some(object) = object {
        object.drop_ref(py);
    }
}

/// The same for several.
fn let_all_go<T>(py: Python<'_>, objects: impl IntoIterator<Item = Py<T>>) {
    for object in objects {
        object.drop_ref(py);
    }
}

/// Adds the functions and classes to the module. They are private there: `python/tideloop/` gives them their names.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::gathering::install(py);
    if !slots::verify(&slots::gathering::new_gathering(py, Future::blank(), Gathering::blank())?) {
        return Err(PyImportError::new_err("the layout of tideloop's futures is not what was assumed"));
    }
    slots::coroutine::register::<sleep::Sleep>(module)?;
    slots::coroutine::register::<wait_for::WaitFor>(module)?;
    slots::coroutine::register::<Entering>(module)?;
    slots::coroutine::register::<Leaving>(module)?;
    slots::timeouts::install(module)?;
    slots::functions::install(module)?;
    slots::coroutine::register::<wait::WaitCall>(module)?;
    slots::coroutine::register::<as_completed::NextCall>(module)?;
    slots::coroutine::register::<group_call::GroupCall>(module)?;
    slots::task_groups::install(&py.get_type::<TaskGroup>())?;
    module.add_class::<TaskGroup>()?;
    module.setattr("_register_task_group", wrap_pyfunction!(task_group::register_task_group, module)?)?;
    module.setattr("_as_completed", wrap_pyfunction!(as_completed::as_completed, module)?)?;
    module.setattr("_gather", wrap_pyfunction!(gather::gather, module)?)?;
    module.setattr("_wait", wrap_pyfunction!(wait::wait, module)?)
}
