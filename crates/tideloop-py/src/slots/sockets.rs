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
    _object: std::mem::MaybeUninit<ffi::PyObject>,
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

/// What the socket is, if it is exactly a `socket.socket`.
#[inline]
pub fn peek(socket: &Bound<'_, PyAny>) -> PyResult<Option<Peeked>> {
    if !is_exact(socket)? {
        return Ok(None);
    }
    if !KNOWN.load(Ordering::Relaxed) {
        return asked(socket).map(Some);
    }
    // SAFETY: of exactly this class, and `try_out` has seen what its instances begin with.
    let head = unsafe { head(socket) };
    Ok(Some(Peeked { fd: head.fd, kind: head.kind }))
}

/// What an object begins with, as it is now.
///
/// # Safety
/// The object is as large as that.
#[inline]
unsafe fn head(object: &Bound<'_, PyAny>) -> Head {
    // SAFETY: inside the object; whatever is there, numbers may be read from it.
    unsafe { object.as_ptr().cast::<Head>().read() }
}

/// The same from the socket's own mouth.
#[cold]
fn asked(socket: &Bound<'_, PyAny>) -> PyResult<Peeked> {
    let py = socket.py();
    let fd = socket.call_method0(intern!(py, "fileno"))?.extract()?;
    Ok(Peeked { fd, kind: socket.getattr(intern!(py, "type"))?.extract()? })
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
    // SAFETY: as large as that.
    let seen = unsafe { head(&socket) };
    let Peeked { fd, kind } = asked(&socket)?;
    let family: c_int = socket.getattr(intern!(py, "family"))?.extract()?;
    socket.call_method0(intern!(py, "close"))?;
    // SAFETY: as above.
    let closed = unsafe { head(&socket) };
    Ok((seen.fd, seen.family, seen.kind) == (fd, family, kind) && closed.fd == -1)
}
