//! Waiting for several futures at once: `gather`, `wait`, `as_completed`, task groups.

mod as_completed;
mod ensure;
mod gather;
mod group_call;
mod members;
mod outcome;
mod task_group;
mod unique;
mod wait;
mod watcher;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use gather::Gathering;
pub use watcher::{DoneCallback, Watcher};

use crate::slots;
use crate::task::Future;

/// Adds the functions and classes to the module. They are private there: `python/tideloop/` gives them their names.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::gathering::install(py);
    if !slots::verify(&slots::gathering::new_gathering(py, Future::blank(), Gathering::blank())?) {
        return Err(PyImportError::new_err("the layout of tideloop's futures is not what was assumed"));
    }
    slots::coroutine::register::<wait::WaitCall>(module)?;
    slots::coroutine::register::<as_completed::NextCall>(module)?;
    slots::coroutine::register::<group_call::GroupCall>(module)?;
    module.add_class::<task_group::TaskGroup>()?;
    module.setattr("_as_completed", wrap_pyfunction!(as_completed::as_completed, module)?)?;
    module.setattr("_gather", wrap_pyfunction!(gather::gather, module)?)?;
    module.setattr("_wait", wrap_pyfunction!(wait::wait, module)?)
}
