//! Calls on pipes, FIFOs, terminals and whatever else is read and written as a file, by descriptor number. None of them
//! blocks if the descriptor is non-blocking, and none retries: EINTR and EAGAIN are the caller's to judge.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use std::slice;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;

use crate::fd::borrow;

/// The most slices that one `writev` accepts; with more it fails (IOV_MAX on Linux, macOS and the BSDs).
const WRITE_SLICES_MAX: usize = 1024;

/// The error number of a terminal whose other end is closed (EIO).
pub const TERMINAL_CLOSED: i32 = libc::EIO;

/// What a descriptor leads to, as far as it matters to a pipe transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pipe or a FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A terminal or another character device.
    CharacterDevice,
    /// A file, a directory, a block device: always ready, or never.
    Other,
}

/// What a descriptor leads to.
///
/// # Errors
/// EBADF.
pub fn kind(fd: RawFd) -> io::Result<Kind> {
    let stat = rustix::fs::fstat(borrow(fd)?)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharacterDevice,
        _ => Kind::Other,
    })
}

/// Make reads and writes return at once with EAGAIN where they would wait. This holds for every descriptor that shares
/// the same open file.
///
/// # Errors
/// EBADF.
pub fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(borrow(fd)?, true)?)
}

/// Read into `buf`; 0 is the end of the stream.
///
/// # Errors
/// EAGAIN when nothing has come; EIO from a terminal whose other end is closed.
pub fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(borrow(fd)?, buf)?)
}

/// Read into memory that need not be initialised, such as a fresh Python `bytes`.
///
/// # Safety
/// `ptr` must be valid for writes of `len` bytes, and nobody else may use them during the call.
///
/// # Errors
/// As [`read`].
pub unsafe fn read_into_raw(fd: RawFd, ptr: *mut u8, len: usize) -> io::Result<usize> {
    // SAFETY: the caller vouches for `len` bytes at `ptr`; `MaybeUninit` asks for nothing to be in them.
    let buf = unsafe { slice::from_raw_parts_mut(ptr.cast::<MaybeUninit<u8>>(), len) };
    let (read, _) = rustix::io::read(borrow(fd)?, buf)?;
    Ok(read.len())
}

/// Write what the kernel takes of `buf`; how much that was. SIGPIPE is the process's affair: Python ignores it.
///
/// # Errors
/// EAGAIN when it takes nothing now; EPIPE when nobody reads any more.
pub fn write(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(borrow(fd)?, buf)?)
}

/// Write what the kernel takes of several slices in one call; how much that was.
///
/// # Errors
/// As [`write`].
pub fn write_vectored(fd: RawFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let bufs = bufs.get(..WRITE_SLICES_MAX).unwrap_or(bufs);
    Ok(rustix::io::writev(borrow(fd)?, bufs)?)
}

/// Another descriptor of the same open file, closed on exec.
///
/// # Errors
/// EBADF, or EMFILE when there are too many.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(borrow(fd)?, 0)?)
}

/// The same with a number above those of standard input, output and error.
///
/// # Errors
/// As [`duplicate`].
pub fn duplicate_above_standard(fd: RawFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(borrow(fd)?, 3)?)
}

/// Whether nobody reads any more what is written here.
///
/// That the writing end polls as readable does not say so: a socket's peer may have sent something, and a FIFO opened
/// for both directions is readable while there is data in it.
///
/// # Errors
/// EINTR, ENOMEM.
pub fn reader_has_gone(fd: RawFd) -> io::Result<bool> {
    let fd = borrow(fd)?;
    #[cfg(target_os = "linux")]
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL | PollFlags::RDHUP;
    #[cfg(not(target_os = "linux"))]
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let mut polled = [PollFd::new(&fd, gone)];
    rustix::event::poll(&mut polled, Some(&crate::clock::timespec_from_ns(0)))?;
    Ok(polled.iter().any(|polled| polled.revents().intersects(gone)))
}
