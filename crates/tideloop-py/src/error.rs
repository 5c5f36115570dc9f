//! The one door through which errors reach Python.

use std::io;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PySystemExit};
use pyo3::prelude::*;

use crate::names;

/// An `OSError` (of the subclass that belongs to the error number) with the system's own message.
pub fn os_error(py: Python<'_>, error: &io::Error) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(error.to_string());
    };
    let text = names::os_strerror(py).and_then(|strerror| strerror.call1((number,)));
    match text {
        Ok(text) => PyOSError::new_err((number, text.unbind())),
        Err(failed) => failed,
    }
}

/// `SystemExit` and `KeyboardInterrupt` leave the loop; everything else goes to its exception handler.
pub fn leaves_the_loop(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Reports an error that has nowhere else to go, as the interpreter does for errors in destructors.
pub fn unraisable(py: Python<'_>, error: PyErr, object: Option<&Bound<'_, PyAny>>) {
    error.write_unraisable(py, object);
}
