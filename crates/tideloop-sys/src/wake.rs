//! The wake fd: how another thread, or a signal, ends a loop's wait.
//!
//! One descriptor in the poll set becomes readable; any number of wakes before the loop looks are one. On Linux it is
//! an eventfd; elsewhere a pipe.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A descriptor that anybody can make readable.
#[derive(Debug)]
pub struct WakeFd {
    reader: OwnedFd,
    /// The writing end, where that is another descriptor.
    #[cfg(not(target_os = "linux"))]
    writer: OwnedFd,
}

impl WakeFd {
    /// The descriptor's number, for the poll set.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
impl WakeFd {
    /// Not readable yet; non-blocking, closed on exec.
    ///
    /// # Errors
    /// What eventfd reports: no descriptor or no memory left.
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { reader: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)? })
    }

    /// Make it readable. Callable from any thread.
    pub fn wake(&self) {
        // The only failure of an open eventfd is a counter that is full, and then it is readable already.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.reader, &1u64.to_ne_bytes()));
    }

    /// Make it unreadable again. All wakes before this call are taken as one.
    pub fn drain(&self) {
        // The only failure of an open eventfd is that nobody has woken it.
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut [0; 8]));
    }
}

#[cfg(not(target_os = "linux"))]
impl WakeFd {
    /// Not readable yet; non-blocking, closed on exec.
    ///
    /// # Errors
    /// What pipe and fcntl report: no descriptor left.
    pub fn new() -> io::Result<Self> {
        use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            ioctl_fionbio(end, true)?;
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
        }
        Ok(Self { reader, writer })
    }

    /// Make it readable. Callable from any thread.
    pub fn wake(&self) {
        // The only failure of an open pipe, whose reader is open too, is that it is full: then it is readable already.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.writer, &[1]));
    }

    /// Make it unreadable again. All wakes before this call are taken as one.
    pub fn drain(&self) {
        let mut bytes = [0; 512];
        while matches!(rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut bytes)), Ok(n) if n == bytes.len())
        {
        }
    }
}
