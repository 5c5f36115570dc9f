//! The poller: which descriptors are ready. One contract, one backend per file.
//!
//! # The contract
//!
//! 1. A descriptor is registered once, with a token and an [`Interest`]; the token comes back with its events. Adding a
//!    registered descriptor fails with `AlreadyExists`; modifying or removing one that is not fails with `NotFound`.
//!    (kqueue cannot tell: there, both are the caller's mistake and may pass unnoticed.)
//! 2. **Level-triggered**: what is ready is reported by every wait until it is no longer ready or no longer of
//!    interest. Python's `add_reader` promises that, and so a reader need not read everything at once.
//! 3. One wait reports a descriptor at most once on epoll and at most once per direction on kqueue, where reading and
//!    writing are separate filters. Callers treat each event by itself.
//! 4. A peer that has gone, or an error, makes an event both readable and writable, whatever the interest was, and sets
//!    `hangup_or_error`. The kernel reports EPOLLHUP and EPOLLERR unasked and often *alone*, without EPOLLIN or
//!    EPOLLOUT: a reader that waited for EPOLLIN would never learn that a pipe's writer has closed, nor a writer that a
//!    connect was refused. Both find out by trying; asyncio's selectors translate in the same way. So an event's
//!    directions may exceed the interest, and whoever has no reader ignores `readable`.
//! 5. With [`Interest::NONE`] a descriptor stays registered and is silent, but for at most one event when its peer goes.
//!    (Level-triggered, a hang-up that nobody handles would be reported by every wait: a loop at 100 % CPU.)
//! 6. A wait ends early only with events or, when a signal arrived, with `ErrorKind::Interrupted`; it never ends before
//!    `AtMost`'s time. It may end late: by 0.1 % on Linux, so deadlines that matter use [`crate::timer::TimerFd`].
//! 7. Closing a descriptor without removing it first leaves a registration behind if the file lives on under another
//!    number (a dup, a fork), and nobody can remove it then. Remove, then close.
//! 8. Registrations belong to the poller's kernel object, which a forked child *shares*: a change in the child is a
//!    change in the parent. A child calls nothing but [`Poller::abandon`].
//! 9. **Edge-triggered** registrations (`add_edge`, `modify_edge`) report a descriptor once for each thing that makes it
//!    ready, and once when they are made or changed while it is ready. Whoever waits must have seen `WouldBlock` before,
//!    and may find nothing when woken. They can be left alone between waits: nothing is reported again and again.
//!
//! `tests/poller_contract.rs` holds every backend to it.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(not(target_os = "linux"))]
mod kqueue;

#[cfg(target_os = "linux")]
pub use epoll::{Events, Poller};
#[cfg(not(target_os = "linux"))]
pub use kqueue::{Events, Poller};

/// Events of which one wait reports at most this many; the rest come with the next. Grows to [`EVENTS_MAX`].
const EVENTS_INITIAL: usize = 64;
/// Events that one wait reports at most: more would delay timers and calls behind them (12 KiB on Linux).
pub const EVENTS_MAX: usize = 1024;

/// What one wants to know about a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
}

impl Interest {
    /// Nothing, for now.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Reading only.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Writing only.
    pub const WRITE: Self = Self { readable: false, writable: true };
    /// Reading and writing.
    pub const BOTH: Self = Self { readable: true, writable: true };

    /// Whether this is [`Interest::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.readable && !self.writable
    }
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token that it was registered with.
    pub token: u64,
    /// Reading will not block.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The peer has gone or an error is waiting; then both of the above are set.
    pub hangup_or_error: bool,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all: report what is ready.
    Now,
    /// Until something happens.
    Forever,
    /// Until something happens or this much time has passed.
    AtMost(Duration),
}
