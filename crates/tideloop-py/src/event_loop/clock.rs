//! The clock of one loop: the system's monotonic clock, or a simulated one that a test moves (decision 0011).
//!
//! A simulated clock stands still while the loop runs. Where the loop would wait, it asks `self._advance_clock(ns)`
//! for a later time instead, with the earliest deadline or None: see `Turn::park`.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use tideloop_sys::clock;

use super::EventLoop;

pub(super) const NANOSECONDS: f64 = 1e9;
/// The system's clock is the one that counts.
const REAL: u64 = 0;
/// A timer this much later than a simulated clock is due: what rounding adds to a deadline that was asked for as
/// "now", and what really passes until the loop looks. asyncio's `_clock_resolution` has the same purpose.
const SIMULATED_RESOLUTION_NS: u64 = 2;

/// Where a loop reads the time.
pub(crate) struct LoopClock {
    /// Atomic only because any thread may call `loop.time()`.
    simulated_ns: AtomicU64,
}

impl LoopClock {
    /// The system's clock.
    pub const fn real() -> Self {
        Self { simulated_ns: AtomicU64::new(REAL) }
    }

    /// The present, in nanoseconds. Beside the reading itself this costs one load.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        match self.simulated_ns.load(Ordering::Relaxed) {
            REAL => clock::now_ns(),
            simulated => simulated,
        }
    }

    /// Up to when timers are due, where the clock is simulated.
    #[inline]
    pub fn simulated_due_ns(&self) -> Option<u64> {
        match self.simulated_ns.load(Ordering::Relaxed) {
            REAL => None,
            simulated => Some(simulated.saturating_add(SIMULATED_RESOLUTION_NS)),
        }
    }

    /// Sets a simulated time; `None` goes back to the system's clock.
    pub fn simulate(&self, ns: Option<u64>) {
        // There is no nanosecond 0 on a clock that is simulated.
        self.simulated_ns.store(ns.map_or(REAL, |ns| ns.max(1)), Ordering::Relaxed);
    }
}

impl EventLoop {
    /// Seconds on the loop's clock, which is `time.monotonic()`'s unless a test simulates it.
    #[inline]
    pub(crate) fn time(&self) -> f64 {
        self.clock.now_ns() as f64 / NANOSECONDS
    }

    /// Asks the loop's Python half to move its simulated clock: there is nothing to do before `earliest`, a time in
    /// nanoseconds, or, without one, at all.
    #[cold]
    pub(super) fn advance_simulated_clock(slf: &Bound<'_, Self>, earliest: Option<u64>) -> PyResult<()> {
        slf.call_method1(pyo3::intern!(slf.py(), "_advance_clock"), (earliest,)).map(drop)
    }
}
