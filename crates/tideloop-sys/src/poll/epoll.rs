//! The poller on Linux: epoll, level-triggered. The contract is in `mod.rs`.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use super::{EVENTS_INITIAL, EVENTS_MAX, Event, Interest, Timeout};
use crate::fd::borrow;

/// A set of registered descriptors.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// The descriptor's number: it is readable when an event is waiting.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Poller {
    /// An empty set; closed on exec.
    ///
    /// # Errors
    /// What epoll_create reports: no descriptor or no memory left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Register a descriptor.
    ///
    /// # Errors
    /// EEXIST if it is registered, EBADF if it is not open, EPERM if it cannot be polled (a regular file).
    pub fn add(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, borrow(fd)?, EventData::new_u64(token), flags(interest))?)
    }

    /// Change the token and interest of a registered descriptor.
    ///
    /// # Errors
    /// ENOENT if it is not registered, EBADF if it is not open.
    pub fn modify(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, borrow(fd)?, EventData::new_u64(token), flags(interest))?)
    }

    /// As [`Self::add`], but edge-triggered.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_edge(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = flags(interest) | EventFlags::ET;
        Ok(epoll::add(&self.epoll, borrow(fd)?, EventData::new_u64(token), flags)?)
    }

    /// As [`Self::modify`], but edge-triggered from here on.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn modify_edge(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = flags(interest) | EventFlags::ET;
        Ok(epoll::modify(&self.epoll, borrow(fd)?, EventData::new_u64(token), flags)?)
    }

    /// Forget a descriptor.
    ///
    /// # Errors
    /// ENOENT if it is not registered, EBADF if it is not open.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, borrow(fd)?)?)
    }

    /// Wait until something is ready, and replace what is in `events`.
    ///
    /// # Errors
    /// EINTR when a signal arrived; `events` is empty then.
    pub fn wait(&self, events: &mut Events, timeout: Timeout) -> io::Result<()> {
        events.make_room();
        let timeout = timespec(timeout);
        epoll::wait(&self.epoll, spare_capacity(&mut events.ready), timeout.as_ref())?;
        Ok(())
    }

    /// In a forked child: let go of the parent's set without changing it. (Closing our copy of the descriptor does not.)
    pub fn abandon(self) {
        drop(self);
    }
}

/// What the last wait reported; reused from wait to wait.
pub struct Events {
    ready: Vec<epoll::Event>,
}

// SAFETY: an event's data is the token, a plain number; the pointer in its type is never followed.
unsafe impl Send for Events {}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Events {
    /// Room for a first wait.
    #[must_use]
    pub fn new() -> Self {
        Self { ready: Vec::with_capacity(EVENTS_INITIAL) }
    }

    /// The events, in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.ready.iter().map(|event| {
            let flags = event.flags;
            let hangup_or_error = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            Event {
                token: event.data.u64(),
                readable: hangup_or_error || flags.contains(EventFlags::IN),
                writable: hangup_or_error || flags.contains(EventFlags::OUT),
                hangup_or_error,
            }
        })
    }

    /// The number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether the wait reported nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Empty the buffer, and enlarge it if the last wait filled it: there may have been more.
    fn make_room(&mut self) {
        let was_full = self.ready.len() == self.ready.capacity();
        self.ready.clear();
        if was_full && self.ready.capacity() < EVENTS_MAX {
            self.ready.reserve_exact((self.ready.capacity() * 2).min(EVENTS_MAX));
        }
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.readable);
    flags.set(EventFlags::OUT, interest.writable);
    // Hang-ups are reported even to who asks for nothing. One-shot makes that once, instead of in every wait.
    flags.set(EventFlags::ONESHOT, interest.is_none());
    flags
}

/// epoll_wait counts in milliseconds. Rounded up, so that a wait never ends early; epoll_pwait2, which has nanoseconds,
/// is late by as much on long waits, and some seccomp filters kill a process that calls it.
fn timespec(timeout: Timeout) -> Option<Timespec> {
    const MS_MAX: u128 = i32::MAX as u128;
    let wait = match timeout {
        Timeout::Forever => return None,
        Timeout::Now => Duration::ZERO,
        Timeout::AtMost(wait) => wait,
    };
    let ms = wait.as_nanos().div_ceil(1_000_000).min(MS_MAX) as i64;
    Some(Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 })
}
