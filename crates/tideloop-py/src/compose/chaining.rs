//! The context of exceptions that leave a timeout which has expired.

use pyo3::exceptions::PyTimeoutError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::names;

/// Has the `CancelledError` that an exception was raised in the handling of be the cause of a `TimeoutError`, in which
/// it was raised instead; in a group, so it is for each exception. asyncio does that from 3.13 on.
#[cold]
pub fn insert_timeout_error(exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = exception.py();
    insert(exception)?;
    if exception.is_instance(names::exception_group(py)?)? {
        for one in exception.getattr(intern!(py, "exceptions"))?.try_iter()? {
            insert(&one?)?;
        }
    }
    Ok(())
}

fn insert(exception: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = exception.py();
    let (cause_name, context_name) = (intern!(py, "__cause__"), intern!(py, "__context__"));
    let cancelled = names::cancelled_error(py)?;
    let mut exception = exception.clone();
    loop {
        let context = exception.getattr(context_name)?;
        if context.is_none() {
            return Ok(());
        }
        if context.is_instance(cancelled)? {
            let error = PyTimeoutError::new_err(()).into_value(py).into_bound(py);
            error.setattr(cause_name, &context)?;
            error.setattr(context_name, &context)?;
            return exception.setattr(context_name, error);
        }
        exception = context;
    }
}
