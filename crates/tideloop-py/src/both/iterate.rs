//! What channels have in common: they end by `Closed`, and `for` and `async for` go over them until then.

use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;

use super::pending::{Pending, block};
use crate::names;

/// How the end is told to who asked, in the label of a request: as a method's `Closed` ...
pub const AS_RESULT: u32 = 0;
/// ... or as the end of `async for`.
pub const AS_NEXT: u32 = 1;

/// What one gets from a channel that is closed.
pub fn closed(channel: &Bound<'_, PyAny>) -> PyErr {
    match names::closed(channel.py()).and_then(|class| class.call1((channel,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// The end, as somebody wants it who knows nothing of the channel.
pub fn end(py: Python<'_>, label: u32) -> PyErr {
    if label == AS_NEXT { PyStopAsyncIteration::new_err(()) } else { closed(&py.None().into_bound(py)) }
}

/// The same error, about this channel.
pub fn told_of(py: Python<'_>, channel: &Py<PyAny>, error: PyErr) -> PyErr {
    if is_closed(py, &error) { closed(channel.bind(py)) } else { error }
}

/// What one gets who would have to wait.
pub fn would_block(py: Python<'_>, why: &'static str) -> PyErr {
    match names::would_block(py) {
        Ok(class) => PyErr::from_type(class.clone(), why),
        Err(error) => error,
    }
}

/// `__next__`: blocks, whoever calls.
pub fn next(py: Python<'_>, pending: &dyn Pending) -> PyResult<Py<PyAny>> {
    block(py, pending, None).map_err(|error| if is_closed(py, &error) { PyStopIteration::new_err(()) } else { error })
}

fn is_closed(py: Python<'_>, error: &PyErr) -> bool {
    names::closed(py).is_ok_and(|class| error.is_instance(py, class))
}
