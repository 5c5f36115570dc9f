//! The clock by which deadlines are judged: CLOCK_MONOTONIC, as Python's `time.monotonic` on Linux.

use rustix::time::{ClockId, Timespec, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds of the monotonic clock. About 20-50 ns where the kernel's vDSO answers, a system call elsewhere.
#[inline]
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither field of the monotonic clock is negative, and 2⁶⁴ ns are 584 years.
    now.tv_sec as u64 * NS_PER_S + now.tv_nsec as u64
}

/// A duration or point in time as the kernel's structure.
pub(crate) fn timespec_from_ns(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / NS_PER_S) as _, tv_nsec: (ns % NS_PER_S) as _ }
}
