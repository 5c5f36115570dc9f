//! The system calls that a `SockCall` attempts.
//!
//! On a `socket.socket` itself the three that matter are made here, without an exception for "would block"; the rest,
//! and everything on objects that only look like a socket, through the object's own methods. Those also say what is
//! wrong with an argument that has the wrong type.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString, PyTuple};
use tideloop_sys::socket;

use super::call::Subject;
use crate::error::os_error;
use crate::event_loop::{Direction, READ_BUFFER_BYTES};
use crate::slots::buffers::HeldBuffer;
use crate::slots::sockets::{self, Peeked, peek};
use crate::{names, slots};

/// `sock_sendall` gives way to others after this many bytes: a peer that takes them as fast as they come would keep the
/// loop for ever. About 0.3 ms of copying.
const SEND_BYTES_PER_TURN_MAX: usize = 1024 * 1024;

/// What a call does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Recv,
    RecvInto,
    RecvFrom,
    RecvFromInto,
    SendAll,
    SendTo,
    Accept,
    /// The rest of `sock_connect`: waits until it is decided.
    Connected,
    WaitReadable,
    WaitWritable,
}

impl Op {
    /// The loop's method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recv => "sock_recv",
            Self::RecvInto => "sock_recv_into",
            Self::RecvFrom => "sock_recvfrom",
            Self::RecvFromInto => "sock_recvfrom_into",
            Self::SendAll => "sock_sendall",
            Self::SendTo => "sock_sendto",
            Self::Accept => "sock_accept",
            Self::Connected => "_sock_connected",
            Self::WaitReadable => "_wait_readable",
            Self::WaitWritable => "_wait_writable",
        }
    }

    /// What it waits for.
    pub fn direction(self) -> Direction {
        match self {
            Self::SendAll | Self::SendTo | Self::Connected | Self::WaitWritable => Direction::Write,
            _ => Direction::Read,
        }
    }

    /// Whether it begins by waiting, and the kernel has not said "would block".
    pub(super) fn waits_first(self) -> bool {
        matches!(self, Self::Connected | Self::WaitReadable | Self::WaitWritable)
    }

    /// The socket's method.
    fn method(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Recv => intern!(py, "recv"),
            Self::RecvInto => intern!(py, "recv_into"),
            Self::RecvFrom => intern!(py, "recvfrom"),
            Self::RecvFromInto => intern!(py, "recvfrom_into"),
            Self::SendTo => intern!(py, "sendto"),
            Self::Accept => intern!(py, "accept"),
            Self::SendAll => intern!(py, "send"),
            Self::Connected | Self::WaitReadable | Self::WaitWritable => intern!(py, "getsockopt"),
        }
    }
}

/// What came of an attempt.
pub(super) enum Attempt<'py> {
    Done(Bound<'py, PyAny>),
    WouldBlock,
    /// There is more to do, after others had their turn.
    GiveWay,
}

/// `TypeError` for an `SSLSocket`, in debug mode `ValueError` for a blocking socket.
#[inline]
pub(super) fn check(subject: &Subject<'_>) -> PyResult<()> {
    let py = subject.sock.py();
    if !sockets::is_exact(&subject.sock)? {
        names::check_no_ssl_socket(py)?.call1((&subject.sock,))?;
    }
    if subject.event_loop.get().debug(py) {
        let timeout = subject.sock.call_method0(intern!(py, "gettimeout"))?;
        if timeout.ne(0)? {
            return Err(PyValueError::new_err("the socket must be non-blocking"));
        }
    }
    Ok(())
}

/// The number of the socket's descriptor; -1 where it is closed.
#[inline]
pub(super) fn descriptor(sock: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    match peek(sock)? {
        Some(socket) => Ok(socket.fd),
        None => sock.call_method0(intern!(sock.py(), "fileno"))?.extract(),
    }
}

/// Whether it really is a `socket.socket`, of a derived class perhaps; a mock of one only says so.
#[inline]
pub(super) fn is_socket(sock: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(sockets::is_exact(sock)? || sock.get_type().is_subclass(names::socket_class(sock.py())?)?)
}

/// Attempts anything but `sock_sendall`.
#[inline]
pub(super) fn once<'py>(subject: &Subject<'py>, op: Op) -> PyResult<Attempt<'py>> {
    let native = match (op, &subject.first) {
        (Op::Recv, Some(length)) => recv(subject, length)?,
        (Op::RecvInto, Some(buffer)) => recv_into(subject, buffer)?,
        _ => None,
    };
    match native {
        Some(attempt) => Ok(attempt),
        None => by_method(subject, op),
    }
}

/// `None`: not for us.
#[inline]
fn recv<'py>(subject: &Subject<'py>, length: &Bound<'py, PyAny>) -> PyResult<Option<Attempt<'py>>> {
    let py = subject.sock.py();
    let Ok(length) = length.extract::<usize>() else { return Ok(None) };
    let Some(Peeked { fd, kind }) = peek(&subject.sock)? else { return Ok(None) };
    // A stream gives the rest later. A datagram would be cut off.
    if length == 0 || (length > READ_BUFFER_BYTES && kind != socket::STREAM) {
        return Ok(None);
    }
    let received = subject.event_loop.get().with_read_buffer(py, |buffer| {
        let room = buffer.get_mut(..length.min(READ_BUFFER_BYTES)).unwrap_or_default();
        let received = retried(|| socket::recv_now(fd, room))?;
        io::Result::Ok(PyBytes::new(py, room.get(..received).unwrap_or_default()))
    });
    judged(py, received.map(Bound::into_any)).map(Some)
}

/// `None`: not for us.
fn recv_into<'py>(subject: &Subject<'py>, buffer: &Bound<'py, PyAny>) -> PyResult<Option<Attempt<'py>>> {
    let py = subject.sock.py();
    let Some(Peeked { fd, .. }) = peek(&subject.sock)? else { return Ok(None) };
    let received = slots::with_writable_buffer(buffer, |memory| {
        if memory.is_empty() {
            return None;
        }
        Some(retried(|| socket::recv_now(fd, memory)))
    });
    let Ok(Some(received)) = received else { return Ok(None) };
    match received {
        Ok(received) => Ok(Some(Attempt::Done(received.into_pyobject(py)?.into_any()))),
        Err(error) => judged(py, Err(error)).map(Some),
    }
}

/// Attempts to send what is left. `exchange` keeps what cannot be sent now, and gives back what was kept before.
pub(super) fn send_all<'py>(
    subject: &Subject<'py>,
    exchange: impl Fn(Option<HeldBuffer>) -> Option<HeldBuffer>,
) -> PyResult<Attempt<'py>> {
    let py = subject.sock.py();
    let Some(data) = &subject.first else { return Ok(Attempt::Done(py.None().into_bound(py))) };
    let mut unsent = match exchange(None) {
        Some(unsent) => unsent,
        None => HeldBuffer::of(data)?,
    };
    let mut allowance = SEND_BYTES_PER_TURN_MAX;
    loop {
        let sent = match peek(&subject.sock)? {
            Some(Peeked { fd, .. }) => retried(|| socket::send_now(fd, unsent.bytes())),
            None => send_by_method(subject, &unsent)?,
        };
        match sent {
            Ok(sent) => {
                unsent.advance(sent);
                if unsent.bytes().is_empty() {
                    return Ok(Attempt::Done(py.None().into_bound(py)));
                }
                allowance = allowance.saturating_sub(sent);
                if allowance == 0 {
                    drop(exchange(Some(unsent)));
                    return Ok(Attempt::GiveWay);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                drop(exchange(Some(unsent)));
                return Ok(Attempt::WouldBlock);
            }
            Err(error) => return Err(os_error(py, &error)),
        }
    }
}

/// A connection that was begun: made, or failed.
pub(super) fn connected<'py>(subject: &Subject<'py>) -> PyResult<Attempt<'py>> {
    let py = subject.sock.py();
    let option = (names::sol_socket(py)?, names::so_error(py)?);
    let number: i32 = subject.sock.call_method1(Op::Connected.method(py), option)?.extract()?;
    if number == 0 {
        return Ok(Attempt::Done(py.None().into_bound(py)));
    }
    let address = match &subject.first {
        Some(address) => address.str()?.to_string(),
        None => String::new(),
    };
    Err(PyOSError::new_err((number, format!("Connect call failed {address}"))))
}

/// `sock.send(…)` of an object that only looks like a socket.
fn send_by_method(subject: &Subject<'_>, unsent: &HeldBuffer) -> PyResult<io::Result<usize>> {
    let py = subject.sock.py();
    let Some(data) = &subject.first else { return Ok(Ok(0)) };
    let view = PyMemoryView::from(data)?.call_method1(intern!(py, "cast"), ("B",))?;
    let rest = view.get_item(pyo3::types::PySlice::new(py, unsent.advanced() as isize, isize::MAX, 1))?;
    match subject.sock.call_method1(Op::SendAll.method(py), (rest,)) {
        Ok(sent) => Ok(Ok(sent.extract()?)),
        Err(error) if would_block(py, &error) => Ok(Err(ErrorKind::WouldBlock.into())),
        Err(error) => Err(error),
    }
}

/// The call through the socket's own method.
fn by_method<'py>(subject: &Subject<'py>, op: Op) -> PyResult<Attempt<'py>> {
    let py = subject.sock.py();
    let given = [&subject.first, &subject.second].into_iter().flatten();
    let arguments = PyTuple::new(py, given.collect::<Vec<_>>())?;
    match subject.sock.call_method1(op.method(py), arguments) {
        Ok(accepted) if op == Op::Accept => {
            accepted.get_item(0)?.call_method1(intern!(py, "setblocking"), (false,))?;
            Ok(Attempt::Done(accepted))
        }
        Ok(value) => Ok(Attempt::Done(value)),
        Err(error) if would_block(py, &error) => Ok(Attempt::WouldBlock),
        Err(error) => Err(error),
    }
}

fn would_block(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py)
}

/// What a system call's outcome means for the attempt.
#[inline]
fn judged<'py>(py: Python<'py>, outcome: io::Result<Bound<'py, PyAny>>) -> PyResult<Attempt<'py>> {
    match outcome {
        Ok(value) => Ok(Attempt::Done(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Attempt::WouldBlock),
        Err(error) => Err(os_error(py, &error)),
    }
}

/// Makes a system call again that a signal interrupted: none of these waits, so there is no waiting to be broken off.
#[inline]
fn retried<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
