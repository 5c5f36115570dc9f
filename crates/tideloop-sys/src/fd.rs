//! From a descriptor's number to a descriptor: the one place where a number is believed.
//!
//! Python's descriptors are plain integers and may be closed at any time by anybody. The kernel checks each one: a
//! number that is not open gives EBADF. What it cannot check is that an open number still means the same file; that is
//! the owner's duty (DESIGN §4.4).

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

/// Borrow a descriptor for the length of one system call.
///
/// # Errors
/// EBADF when the number is negative.
pub(crate) fn borrow<'a>(fd: RawFd) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: the number is not -1, the value that `BorrowedFd` reserves. The borrow ends with the system call that it
    // is made for, and no memory depends on it: with a number that is not open that call reports EBADF.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}
