//! Where a thread sleeps until another one wakes it, a deadline passes or a signal arrives.
//!
//! Waking somebody who does not sleep yet is not lost: the next sleep ends at once. The story of the word:
//!
//! - `AWAKE`: nothing has happened.
//! - `ASLEEP`: its owner sleeps, or is about to; whoever wakes it makes the system call.
//! - `WOKEN`: it has been woken and has not looked yet.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const WOKEN: u32 = 2;

/// See the module. One thread sleeps, any thread wakes.
#[derive(Debug, Default)]
pub struct Parker {
    word: AtomicU32,
}

/// Why a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Somebody woke it.
    Woken,
    /// The time is up.
    TimedOut,
    /// A signal has arrived, perhaps: whoever has handlers to run looks, and sleeps again.
    Interrupted,
}

impl Parker {
    /// One that nobody has woken.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(AWAKE) }
    }

    /// Sleeps for at most `longest` (None: without limit).
    pub fn park(&self, longest: Option<Duration>) -> Slept {
        if self.word.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Acquire).is_err() {
            // Only the owner sets ASLEEP, so it has been woken.
            self.word.swap(AWAKE, Ordering::Acquire);
            return Slept::Woken;
        }
        let slept = wait::sleep_while(&self.word, ASLEEP, longest);
        if self.word.swap(AWAKE, Ordering::Acquire) == WOKEN { Slept::Woken } else { slept }
    }

    /// Wakes the one who sleeps, now or when it is about to.
    pub fn unpark(&self) {
        if self.word.swap(WOKEN, Ordering::Release) == ASLEEP {
            wait::wake(&self.word, 1);
        }
    }
}

#[cfg(target_os = "linux")]
pub(crate) mod wait {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::thread::futex;

    use super::Slept;

    /// Sleeps unless the word has changed already.
    pub fn sleep_while(word: &AtomicU32, value: u32, longest: Option<Duration>) -> Slept {
        let longest = longest
            .map(|longest| crate::clock::timespec_from_ns(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX)));
        match futex::wait(word, futex::Flags::PRIVATE, value, longest.as_ref()) {
            Err(Errno::TIMEDOUT) => Slept::TimedOut,
            Err(Errno::INTR) => Slept::Interrupted,
            // Woken, or changed before it could sleep; a wake that was not meant for us is told like a signal.
            _ => Slept::Interrupted,
        }
    }

    /// Wakes so many of those who sleep.
    pub fn wake(word: &AtomicU32, sleepers: u32) {
        // It fails for addresses that are none.
        let _ = futex::wake(word, futex::Flags::PRIVATE, sleepers);
    }
}

/// Without a futex: naps. Signals are looked for after each.
#[cfg(not(target_os = "linux"))]
pub(crate) mod wait {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::Slept;

    /// How long a signal may wait to be seen.
    const NAP_MAX: Duration = Duration::from_millis(50);

    static SLEEPERS: Mutex<()> = Mutex::new(());
    static WOKEN: Condvar = Condvar::new();

    pub fn sleep_while(word: &AtomicU32, value: u32, longest: Option<Duration>) -> Slept {
        let nap = longest.map_or(NAP_MAX, |longest| longest.min(NAP_MAX));
        let began = Instant::now();
        let mut guard = SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
        while word.load(Ordering::Acquire) == value {
            let Some(left) = nap.checked_sub(began.elapsed()) else { break };
            guard = WOKEN.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if longest.is_some_and(|longest| began.elapsed() >= longest) { Slept::TimedOut } else { Slept::Interrupted }
    }

    pub fn wake(_word: &AtomicU32, _sleepers: u32) {
        drop(SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner));
        WOKEN.notify_all();
    }
}
