//! Calls on sockets that belong to somebody else, by descriptor number. None of them blocks if the socket is
//! non-blocking, none raises SIGPIPE, and none retries: EINTR, EAGAIN and the rest are the caller's to judge.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::slice;

use rustix::net::{
    self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketAddrUnix, sockopt,
};

use crate::fd::borrow;

/// What a socket is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// An IPv4 or IPv6 address and port.
    Ip(SocketAddr),
    /// A Unix socket's path; empty when it has none, and with a zero byte in front when it is an abstract name.
    Unix(Vec<u8>),
}

/// The most slices that one `sendmsg` accepts; with more it fails (IOV_MAX on Linux, macOS and the BSDs).
pub const SEND_SLICES_MAX: usize = 1024;

/// `SOCK_STREAM`: what one call leaves unread comes with the next.
pub const STREAM: i32 = net::SocketType::STREAM.as_raw() as i32;

/// On Linux and the BSDs each call says that it wants no SIGPIPE; on macOS `prepare_accepted` tells the socket.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// Accept a connection, non-blocking and closed on exec. An IPv6 peer's name keeps its flow label (host byte order, as
/// Python has it) and scope id.
///
/// # Errors
/// EAGAIN when none is waiting; ECONNABORTED when it has gone again; EMFILE and alike when the system is out of them.
#[cfg(not(target_vendor = "apple"))]
pub fn accept(listener: RawFd) -> io::Result<(OwnedFd, Option<Name>)> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, address) = net::acceptfrom_with(borrow(listener)?, flags)?;
    Ok((fd, address.and_then(name)))
}

/// Accept a connection, non-blocking and closed on exec. An IPv6 peer's name keeps its flow label (host byte order, as
/// Python has it) and scope id.
///
/// # Errors
/// EAGAIN when none is waiting; ECONNABORTED when it has gone again; EMFILE and alike when the system is out of them.
#[cfg(target_vendor = "apple")]
pub fn accept(listener: RawFd) -> io::Result<(OwnedFd, Option<Name>)> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    let (fd, address) = net::acceptfrom(borrow(listener)?)?;
    ioctl_fionbio(&fd, true)?;
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    sockopt::set_socket_nosigpipe(&fd, true)?;
    Ok((fd, address.and_then(name)))
}

/// Receive into `buf`; 0 is the end of the stream (or an empty datagram).
///
/// # Errors
/// EAGAIN when nothing has come; ECONNRESET and alike when nothing will.
pub fn recv(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let (received, _) = net::recv(borrow(fd)?, buf, RecvFlags::empty())?;
    Ok(received)
}

/// Receive into memory that need not be initialised, such as a fresh Python `bytes`.
///
/// # Safety
/// `ptr` must be valid for writes of `len` bytes, and nobody else may use them during the call.
///
/// # Errors
/// EAGAIN when nothing has come; ECONNRESET and alike when nothing will.
pub unsafe fn recv_into_raw(fd: RawFd, ptr: *mut u8, len: usize) -> io::Result<usize> {
    // SAFETY: the caller vouches for `len` bytes at `ptr`; `MaybeUninit` asks for nothing to be in them.
    let buf = unsafe { slice::from_raw_parts_mut(ptr.cast::<MaybeUninit<u8>>(), len) };
    let ((received, _), _) = net::recv(borrow(fd)?, buf, RecvFlags::empty())?;
    Ok(received.len())
}

/// As [`recv`], without waiting even where the socket is a blocking one.
///
/// # Errors
/// As [`recv`].
pub fn recv_now(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let (received, _) = net::recv(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
    Ok(received)
}

/// As [`recv_into_raw`], without waiting even where the socket is a blocking one.
///
/// # Safety
/// As [`recv_into_raw`].
///
/// # Errors
/// As [`recv`].
pub unsafe fn recv_now_into_raw(fd: RawFd, ptr: *mut u8, len: usize) -> io::Result<usize> {
    // SAFETY: the caller vouches for `len` bytes at `ptr`; `MaybeUninit` asks for nothing to be in them.
    let buf = unsafe { slice::from_raw_parts_mut(ptr.cast::<MaybeUninit<u8>>(), len) };
    let ((received, _), _) = net::recv(borrow(fd)?, buf, RecvFlags::DONTWAIT)?;
    Ok(received.len())
}

/// As [`send`], without waiting even where the socket is a blocking one.
///
/// # Errors
/// As [`send`].
pub fn send_now(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    Ok(net::send(borrow(fd)?, buf, SEND_FLAGS.union(SendFlags::DONTWAIT))?)
}

/// Send what the kernel takes of `buf`; how much that was.
///
/// # Errors
/// EAGAIN when it takes nothing now; EPIPE (never SIGPIPE) or ECONNRESET when it never will.
pub fn send(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    Ok(net::send(borrow(fd)?, buf, SEND_FLAGS)?)
}

/// Send what the kernel takes of several slices in one call; how much that was. Slices beyond [`SEND_SLICES_MAX`] wait.
///
/// # Errors
/// As [`send`].
pub fn send_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let bufs = bufs.get(..SEND_SLICES_MAX).unwrap_or(bufs);
    Ok(net::sendmsg(borrow(fd)?, bufs, &mut SendAncillaryBuffer::default(), SEND_FLAGS)?)
}

/// Tell the peer that nothing more will be sent.
///
/// # Errors
/// ENOTCONN when the connection has gone.
pub fn shutdown_write(fd: RawFd) -> io::Result<()> {
    Ok(net::shutdown(borrow(fd)?, Shutdown::Write)?)
}

/// The error that the socket holds (`SO_ERROR`), for instance of a connect, and clear it.
///
/// # Errors
/// EBADF or ENOTSOCK.
pub fn take_error(fd: RawFd) -> io::Result<Option<io::Error>> {
    Ok(sockopt::socket_error(borrow(fd)?)?.err().map(io::Error::from))
}

/// The socket's own name; `None` for families that have other names than [`Name`].
///
/// # Errors
/// EBADF or ENOTSOCK.
pub fn local_name(fd: RawFd) -> io::Result<Option<Name>> {
    Ok(name(net::getsockname(borrow(fd)?)?))
}

/// The peer's name; `None` for families that have other names than [`Name`].
///
/// # Errors
/// ENOTCONN when there is no peer, or no longer.
pub fn peer_name(fd: RawFd) -> io::Result<Option<Name>> {
    Ok(net::getpeername(borrow(fd)?)?.and_then(name))
}

/// Send small segments at once (`TCP_NODELAY`).
///
/// # Errors
/// EOPNOTSUPP or ENOPROTOOPT when it is not a TCP socket.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(borrow(fd)?, true)?)
}

/// Notice a peer that has vanished (`SO_KEEPALIVE`).
///
/// # Errors
/// EBADF or ENOTSOCK.
pub fn set_keepalive(fd: RawFd) -> io::Result<()> {
    Ok(sockopt::set_socket_keepalive(borrow(fd)?, true)?)
}

/// Close a socket. Nothing can be done about an error: the descriptor is gone either way.
pub fn close(fd: OwnedFd) {
    drop(fd);
}

pub(crate) fn name(address: SocketAddrAny) -> Option<Name> {
    if address.address_family() != AddressFamily::UNIX {
        return SocketAddr::try_from(address).ok().map(Name::Ip);
    }
    let address = SocketAddrUnix::try_from(address).ok()?;
    #[cfg(target_os = "linux")]
    let abstract_name = address.abstract_name();
    #[cfg(not(target_os = "linux"))]
    let abstract_name: Option<&[u8]> = None;
    let path = match (address.path_bytes(), abstract_name) {
        (Some(path), _) => path.to_vec(),
        (None, Some(name)) if !name.is_empty() => [b"\0", name].concat(),
        // rustix shows a socket that was not bound as one with an abstract name of no bytes, which nobody has.
        _ => Vec::new(),
    };
    Some(Name::Unix(path))
}
