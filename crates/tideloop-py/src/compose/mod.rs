//! Waiting for several futures at once: `gather`, `wait`, `as_completed`, task groups.

mod ensure;
mod gather;
mod outcome;
mod unique;
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
    module.setattr("_gather", wrap_pyfunction!(gather::gather, module)?)
}
