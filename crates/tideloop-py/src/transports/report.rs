//! What is told to the loop's exception handler, with asyncio's keys.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{leaves_the_loop, unraisable};
use crate::event_loop::EventLoop;
use crate::names;

/// After so many writes to a connection that is lost, each one more is warned of: asyncio's
/// `LOG_THRESHOLD_FOR_CONNLOST_WRITES`.
const LOST_WRITES_SILENT_MAX: u32 = 5;

/// Calls the loop's exception handler. What that raises itself is not for the caller, but for `SystemExit` and
/// `KeyboardInterrupt`.
#[cold]
pub(super) fn report(
    event_loop: &Bound<'_, EventLoop>,
    message: &str,
    error: PyErr,
    subjects: &[(&str, &Bound<'_, PyAny>)],
) -> PyResult<()> {
    let py = event_loop.py();
    let context = PyDict::new(py);
    context.set_item(intern!(py, "message"), message)?;
    context.set_item(intern!(py, "exception"), error)?;
    for (key, subject) in subjects {
        context.set_item(key, subject)?;
    }
    match event_loop.call_method1(intern!(py, "call_exception_handler"), (context,)) {
        Err(error) if leaves_the_loop(py, &error) => Err(error),
        Err(error) => {
            unraisable(py, error, Some(event_loop));
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// `logger.debug`, where the loop is in debug mode; `text` has a `%r` for the subject.
#[inline]
pub(super) fn debug(event_loop: &Bound<'_, EventLoop>, text: &str, subject: &Bound<'_, PyAny>) -> PyResult<()> {
    if event_loop.get().debug(event_loop.py()) {
        names::logger(event_loop.py())?.call_method1(intern!(event_loop.py(), "debug"), (text, subject))?;
    }
    Ok(())
}

/// `logger.info`, where the loop is in debug mode; `text` has a `%r` for the subject.
pub(super) fn info(event_loop: &Bound<'_, EventLoop>, text: &str, subject: &Bound<'_, PyAny>) -> PyResult<()> {
    if event_loop.get().debug(event_loop.py()) {
        names::logger(event_loop.py())?.call_method1(intern!(event_loop.py(), "info"), (text, subject))?;
    }
    Ok(())
}

/// The same for an error that is not worth more: a connection that broke.
#[cold]
pub(super) fn debug_error(
    event_loop: &Bound<'_, EventLoop>,
    subject: &Bound<'_, PyAny>,
    message: &str,
    error: &PyErr,
) -> PyResult<()> {
    let py = event_loop.py();
    if event_loop.get().debug(py) {
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "exc_info"), error.value(py))?;
        names::logger(py)?.call_method(intern!(py, "debug"), ("%r: %s", subject, message), Some(&keywords))?;
    }
    Ok(())
}

/// Warns of a write that was dropped, `before` of which were dropped before it.
#[cold]
pub(super) fn warn_of_lost_write(py: Python<'_>, before: u32, text: &str) -> PyResult<()> {
    if before >= LOST_WRITES_SILENT_MAX {
        names::logger(py)?.call_method1(intern!(py, "warning"), (text,))?;
    }
    Ok(())
}
