//! `bytes` objects that are filled by a system call, without a copy.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

unsafe extern "C" {
    /// Part of the C API since 1.5, though PyO3 does not declare it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, newsize: ffi::Py_ssize_t) -> c_int;
}

/// Receives at most `length_max` bytes straight into a new `bytes` of just the size that came; `None` at the end of
/// the stream. The outer error is the interpreter's (no memory), the inner one the socket's.
pub fn receive(py: Python<'_>, fd: RawFd, length_max: usize) -> PyResult<io::Result<Option<Bound<'_, PyBytes>>>> {
    fill(py, length_max, |memory| {
        // SAFETY: `length_max` bytes, which nobody else knows of yet.
        unsafe { tideloop_sys::socket::recv_into_raw(fd, memory, length_max) }
    })
}

/// The same from what is no socket.
pub fn read(py: Python<'_>, fd: RawFd, length_max: usize) -> PyResult<io::Result<Option<Bound<'_, PyBytes>>>> {
    fill(py, length_max, |memory| {
        // SAFETY: `length_max` bytes, which nobody else knows of yet.
        unsafe { tideloop_sys::pipe::read_into_raw(fd, memory, length_max) }
    })
}

/// A new `bytes` with what `write` has written to the start of `length_max` bytes of memory.
fn fill(
    py: Python<'_>,
    length_max: usize,
    write: impl FnOnce(*mut u8) -> io::Result<usize>,
) -> PyResult<io::Result<Option<Bound<'_, PyBytes>>>> {
    let length = ffi::Py_ssize_t::try_from(length_max).unwrap_or(ffi::Py_ssize_t::MAX);
    // SAFETY: attached; without a source the contents are left unwritten.
    let object = unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), length) };
    // SAFETY: a new reference, or NULL with an exception.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: a bytes object.
    let memory = unsafe { ffi::PyBytes_AsString(object.as_ptr()) };
    let received = match write(memory.cast::<u8>()) {
        Ok(0) => return Ok(Ok(None)),
        Ok(received) => received.min(length_max),
        Err(error) => return Ok(Err(error)),
    };
    let mut object = object.into_ptr();
    // SAFETY: the only reference to the object. It fails by setting the pointer to NULL, with an exception.
    unsafe { _PyBytes_Resize(&raw mut object, received as ffi::Py_ssize_t) };
    // SAFETY: as above.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
    // SAFETY: a bytes object.
    Ok(Ok(Some(unsafe { object.cast_into_unchecked() })))
}

/// A new `bytes` of just the size that `f` says it has filled; `None` for nothing. `f` runs no Python.
///
/// # Safety
/// `f` initialises the first bytes of what it is given, as many as it returns.
pub unsafe fn filled(
    py: Python<'_>,
    length_max: usize,
    f: impl FnOnce(&mut [MaybeUninit<u8>]) -> usize,
) -> PyResult<Option<Bound<'_, PyBytes>>> {
    let filled = fill(py, length_max, |memory| {
        // SAFETY: `length_max` bytes, which nobody else knows of yet.
        let memory = unsafe { std::slice::from_raw_parts_mut(memory.cast::<MaybeUninit<u8>>(), length_max) };
        Ok(f(memory))
    })?;
    Ok(filled.unwrap_or(None))
}
