//! The poller on macOS and the BSDs: kqueue, level-triggered. The contract is in `mod.rs`.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::buffer::spare_capacity;
use rustix::event::kqueue::{self, EventFilter, EventFlags, kevent_timespec};
use rustix::io::Errno;

use super::{EVENTS_INITIAL, EVENTS_MAX, Event, Interest, Timeout};
use crate::clock::timespec_from_ns;

/// A set of registered descriptors.
#[derive(Debug)]
pub struct Poller {
    kqueue: OwnedFd,
}

impl Poller {
    /// The descriptor's number: it is readable when an event is waiting.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.kqueue.as_raw_fd()
    }
}

impl Poller {
    /// An empty set; closed on exec.
    ///
    /// # Errors
    /// What kqueue reports: no descriptor or no memory left.
    pub fn new() -> io::Result<Self> {
        use rustix::io::{FdFlags, fcntl_setfd};
        let kqueue = kqueue::kqueue()?;
        fcntl_setfd(&kqueue, FdFlags::CLOEXEC)?;
        Ok(Self { kqueue })
    }

    /// Register a descriptor.
    ///
    /// # Errors
    /// EBADF if it is not open, EINVAL if it cannot be polled.
    pub fn add(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.modify(fd, token, interest)
    }

    /// Change the token and interest of a registered descriptor.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn modify(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.set_both(fd, token, interest, EventFlags::ADD)
    }

    /// As [`Self::add`], but edge-triggered.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_edge(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.modify_edge(fd, token, interest)
    }

    /// As [`Self::modify`], but edge-triggered from here on.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub fn modify_edge(&self, fd: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        // A filter keeps the way it was made with: what is to change has to go first.
        self.modify(fd, token, Interest::NONE)?;
        self.set_both(fd, token, interest, EventFlags::ADD | EventFlags::CLEAR)
    }

    /// Forget a descriptor.
    ///
    /// # Errors
    /// EBADF if it is not open.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.modify(fd, 0, Interest::NONE)
    }

    /// Wait until something is ready, and replace what is in `events`.
    ///
    /// # Errors
    /// EINTR when a signal arrived; `events` is empty then.
    pub fn wait(&self, events: &mut Events, timeout: Timeout) -> io::Result<()> {
        events.make_room();
        let timeout = match timeout {
            Timeout::Forever => None,
            Timeout::Now => Some(timespec_from_ns(0)),
            Timeout::AtMost(wait) => Some(timespec_from_ns(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))),
        };
        // SAFETY: no change is made, so no descriptor is registered.
        unsafe { kevent_timespec(&self.kqueue, &[], spare_capacity(&mut events.ready), timeout.as_ref()) }?;
        Ok(())
    }

    /// In a forked child: let go. A child does not inherit a kqueue, so the number may be somebody else's by now, and
    /// must not be closed.
    pub fn abandon(self) {
        use std::os::fd::IntoRawFd;
        let _not_ours = self.kqueue.into_raw_fd();
    }

    fn set_both(&self, fd: RawFd, token: u64, interest: Interest, add: EventFlags) -> io::Result<()> {
        self.set(EventFilter::Read(fd), token, interest.readable.then_some(add))?;
        self.set(EventFilter::Write(fd), token, interest.writable.then_some(add))
    }

    /// Add one filter with these flags, or remove it; removing one that is not there is no error.
    fn set(&self, filter: EventFilter, token: u64, add: Option<EventFlags>) -> io::Result<()> {
        let flags = add.unwrap_or(EventFlags::DELETE);
        // The kernel hands the pointer back and never follows it.
        let change = kqueue::Event::new(filter, flags, ptr::without_provenance_mut(token as usize));
        let no_events: &mut [kqueue::Event] = &mut [];
        // SAFETY: a number that is not open, or no longer, is reported as EBADF; the filter refers to nothing else.
        match unsafe { kevent_timespec(&self.kqueue, &[change], no_events, None) } {
            Err(Errno::NOENT) if add.is_none() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// What the last wait reported; reused from wait to wait.
pub struct Events {
    ready: Vec<kqueue::Event>,
}

// SAFETY: the pointer in an event is its token, a number that nobody follows; the rest is numbers too.
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
            // End of file on the reading side may be a half-close, with data still to be read: it is only readable. On
            // the writing side it means that nobody reads any more.
            let is_write = matches!(event.filter(), EventFilter::Write(_));
            let has_ended = event.flags().contains(EventFlags::EOF);
            let hangup_or_error = event.flags().contains(EventFlags::ERROR) || (is_write && has_ended);
            Event {
                token: event.udata().addr() as u64,
                readable: hangup_or_error || !is_write,
                writable: hangup_or_error || is_write,
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
