//! The descriptor and the kind of a `socket.socket`, read from the object itself: asking it takes a call each time.
//!
//! `_socket` shows the start of its objects to other extensions (`PySocketSockObject`): descriptor, family, type. That
//! they lie where we think is tried out at import; if they do not, sockets are asked.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use crate::names;

static KNOWN: AtomicBool = AtomicBool::new(false);

#[repr(C)]
struct Head {
    object: ffi::PyObject,
    fd: c_int,
    family: c_int,
    kind: c_int,
}

/// What a socket is.
#[derive(Clone, Copy)]
pub struct Peeked {
    /// -1 where it is closed.
    pub fd: RawFd,
    /// `SOCK_STREAM` and alike.
    pub kind: i32,
}

/// Whether `object` is a `socket.socket` and not one of a derived class.
#[inline]
pub fn is_exact(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = names::socket_class(object.py())?.as_type_ptr();
    // SAFETY: a live object.
    Ok(std::ptr::eq(unsafe { ffi::Py_TYPE(object.as_ptr()) }, class))
}

/// What `socket`, which is exactly a `socket.socket`, is; `None` where it has to be asked.
///
/// # Safety
/// It is exactly a `socket.socket`.
#[inline]
pub unsafe fn peek(socket: &Bound<'_, PyAny>) -> Option<Peeked> {
    if !KNOWN.load(Ordering::Relaxed) {
        return None;
    }
    let head = socket.as_ptr().cast::<Head>();
    // SAFETY: the caller vouches for the class, and `try_out` for what its instances begin with.
    let fd = unsafe { (*head).fd };
    // SAFETY: as above.
    let kind = unsafe { (*head).kind };
    Some(Peeked { fd, kind })
}

/// Finds out whether sockets lie in memory as is assumed. Whatever fails, they will be asked.
pub fn try_out(py: Python<'_>) {
    let known = lies_as_assumed(py, "AF_INET", "SOCK_STREAM").and_then(|stream| {
        let datagram = lies_as_assumed(py, "AF_UNIX", "SOCK_DGRAM")?;
        Ok(stream && datagram)
    });
    KNOWN.store(known.unwrap_or(false), Ordering::Relaxed);
}

fn lies_as_assumed(py: Python<'_>, family: &str, kind: &str) -> PyResult<bool> {
    let module = py.import(intern!(py, "socket"))?;
    let class = names::socket_class(py)?;
    let room: usize = class.getattr(intern!(py, "__basicsize__"))?.extract()?;
    if room < size_of::<Head>() {
        return Ok(false);
    }
    let socket = class.call1((module.getattr(family)?, module.getattr(kind)?))?;
    let head = socket.as_ptr().cast::<Head>();
    // SAFETY: inside the object, whatever is there: numbers are read from memory that is all written.
    let seen = unsafe { ((*head).fd, (*head).family, (*head).kind) };
    let told: (c_int, c_int, c_int) = (
        socket.call_method0(intern!(py, "fileno"))?.extract()?,
        socket.getattr(intern!(py, "family"))?.extract()?,
        socket.getattr(intern!(py, "type"))?.extract()?,
    );
    socket.call_method0(intern!(py, "close"))?;
    // SAFETY: as above.
    Ok(seen == told && unsafe { (*head).fd } == -1)
}
