//! The timer fd: a deadline in the poll set, kept by the kernel to some 0.1 ms however long the wait.
//!
//! The timeout of `epoll_wait` and `epoll_pwait2` is late by 0.1 % of the wait (1 ms for 1 s, measured), because the
//! kernel lets sleepers gather. A timerfd is exempt. It is armed with a point of the monotonic clock, so re-arming is
//! needed only when the earliest deadline changes, and it never expires early.
//!
//! On macOS and the BSDs it is a kqueue of its own with one timer, which is pollable like any descriptor. Its wait is
//! relative, so it is only as exact as the time between reading the clock and arming.

#[cfg(target_os = "linux")]
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A descriptor that is readable once a deadline has passed.
#[derive(Debug)]
pub struct TimerFd {
    fd: OwnedFd,
}

impl TimerFd {
    /// The descriptor's number, for the poll set.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
impl TimerFd {
    /// Disarmed; non-blocking, closed on exec.
    ///
    /// # Errors
    /// What timerfd_create reports: no descriptor or no memory left.
    pub fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self { fd: timerfd_create(TimerfdClockId::Monotonic, flags)? })
    }

    /// Become readable when the monotonic clock reaches `deadline_ns`; at once if it has. Replaces what was armed.
    ///
    /// # Errors
    /// What timerfd_settime reports; nothing, for an open timerfd.
    pub fn arm(&self, deadline_ns: u64) -> io::Result<()> {
        // Zero would disarm. The clock starts at boot: one nanosecond has passed as well.
        self.set(deadline_ns.max(1))
    }

    /// Not readable, until armed again.
    ///
    /// # Errors
    /// What timerfd_settime reports; nothing, for an open timerfd.
    pub fn disarm(&self) -> io::Result<()> {
        self.set(0)
    }

    /// Make it unreadable after it has expired. (`arm` and `disarm` do that too.)
    pub fn drain(&self) {
        // The only failure of an open timerfd is that it has not expired.
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut [0; 8]));
    }

    fn set(&self, deadline_ns: u64) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, timerfd_settime};
        let new = Itimerspec {
            it_interval: crate::clock::timespec_from_ns(0),
            it_value: crate::clock::timespec_from_ns(deadline_ns),
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &new)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod kqueue {
    use std::io;
    use std::ptr;
    use std::time::Duration;

    use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent_timespec, kqueue};

    use super::TimerFd;
    use crate::clock;

    /// rustix passes a duration of whole milliseconds on as whole *seconds*: with a remainder it takes nanoseconds.
    const REMAINDER: Duration = Duration::from_nanos(1_000_001);

    impl TimerFd {
        /// Disarmed; closed on exec (and not inherited by fork).
        ///
        /// # Errors
        /// What kqueue reports: no descriptor or no memory left.
        pub fn new() -> io::Result<Self> {
            use rustix::io::{FdFlags, fcntl_setfd};
            let fd = kqueue()?;
            fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
            Ok(Self { fd })
        }

        /// Become readable when the monotonic clock reaches `deadline_ns`; soon if it has. Replaces what was armed.
        ///
        /// # Errors
        /// What kevent reports; nothing, for an open kqueue.
        pub fn arm(&self, deadline_ns: u64) -> io::Result<()> {
            let wait = Duration::from_nanos(deadline_ns.saturating_sub(clock::now_ns()));
            let has_remainder = !wait.subsec_nanos().is_multiple_of(1_000_000) && wait.subsec_millis() != 0;
            let wait = if has_remainder { wait } else { wait + REMAINDER };
            self.change(Some(wait), EventFlags::ADD | EventFlags::ONESHOT)
        }

        /// Not readable, until armed again.
        ///
        /// # Errors
        /// What kevent reports; nothing, for an open kqueue.
        pub fn disarm(&self) -> io::Result<()> {
            match self.change(None, EventFlags::DELETE) {
                // It has expired, or was never armed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            }
        }

        /// Make it unreadable after it has expired.
        pub fn drain(&self) {
            let mut events = Vec::with_capacity(1);
            // SAFETY: no change is made, so no descriptor is registered.
            // The only failure of an open kqueue is an interruption, and then it is still readable: the loop comes back.
            let _ = unsafe {
                kevent_timespec(
                    &self.fd,
                    &[],
                    rustix::buffer::spare_capacity(&mut events),
                    Some(&clock::timespec_from_ns(0)),
                )
            };
        }

        fn change(&self, timer: Option<Duration>, flags: EventFlags) -> io::Result<()> {
            let change = Event::new(EventFilter::Timer { ident: 0, timer }, flags, ptr::null_mut());
            let no_events: &mut [Event] = &mut [];
            // SAFETY: a timer refers to no descriptor.
            unsafe { kevent_timespec(&self.fd, &[change], no_events, None) }?;
            Ok(())
        }
    }
}
