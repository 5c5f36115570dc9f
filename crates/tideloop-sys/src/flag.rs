//! A flag that threads sleep on until it is set: what a thread pool's workers sleep on, and who waits for their results.
//!
//! As a [`crate::parker::Parker`], but any number of threads may sleep on it, and it stays set.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::parker::Slept;
use crate::parker::wait::{sleep_while, wake};

const CLEAR: u32 = 0;
const SET: u32 = 1;
/// Clear, and somebody sleeps or is about to: who sets it has to wake.
const SLEPT_ON: u32 = 2;
/// More than there are threads, and what the kernel takes for a number.
const ALL: u32 = i32::MAX as u32;

/// The flag. Setting it makes visible to who sees it set what was written before.
#[derive(Debug, Default)]
pub struct Flag {
    word: AtomicU32,
}

impl Flag {
    /// A flag that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(CLEAR) }
    }

    /// Whether it is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) == SET
    }

    /// Set it, and wake whoever sleeps on it. Callable from any thread.
    pub fn set(&self) {
        if self.word.swap(SET, Ordering::AcqRel) == SLEPT_ON {
            wake(&self.word, ALL);
        }
    }

    /// Take it back: for its one sleeper, once it is awake.
    pub fn clear(&self) {
        self.word.store(CLEAR, Ordering::Relaxed);
    }

    /// Sleep until it is set, at most `longest` (None: without limit). `Woken` says that it is set.
    pub fn wait(&self, longest: Option<Duration>) -> Slept {
        let before = self.word.compare_exchange(CLEAR, SLEPT_ON, Ordering::Acquire, Ordering::Acquire);
        if before == Err(SET) {
            return Slept::Woken;
        }
        let slept = sleep_while(&self.word, SLEPT_ON, longest);
        if self.is_set() { Slept::Woken } else { slept }
    }
}
