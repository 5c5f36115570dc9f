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

/// Tells whether other threads of this process have used the processor lately: those that only wait do not count.
#[derive(Debug)]
pub struct OthersCpu {
    /// What the others had used at most when this was asked last, in nanoseconds.
    before_ns_max: u64,
}

impl OthersCpu {
    /// From now on.
    #[must_use]
    pub fn new() -> Self {
        Self { before_ns_max: others_cpu_ns().1 }
    }

    /// Whether any other thread has run since this was asked last. Three system calls, about 0.5 µs.
    pub fn have_run(&mut self) -> bool {
        let (now_ns_min, now_ns_max) = others_cpu_ns();
        let have_run = now_ns_min > self.before_ns_max;
        self.before_ns_max = now_ns_max;
        have_run
    }
}

impl Default for OthersCpu {
    fn default() -> Self {
        Self::new()
    }
}

/// The processor time of all other threads of the process: at least, and at most, for this thread runs on meanwhile.
fn others_cpu_ns() -> (u64, u64) {
    let before = cpu_ns(ClockId::ThreadCPUTime);
    let all = cpu_ns(ClockId::ProcessCPUTime);
    let after = cpu_ns(ClockId::ThreadCPUTime);
    (all.saturating_sub(after), all.saturating_sub(before))
}

fn cpu_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * NS_PER_S + now.tv_nsec as u64
}

/// A duration or point in time as the kernel's structure.
pub(crate) fn timespec_from_ns(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / NS_PER_S) as _, tv_nsec: (ns % NS_PER_S) as _ }
}
