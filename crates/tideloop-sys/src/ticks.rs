//! Ticks: a clock that costs 10 ns, good for deciding whether it is worth asking a real one.
//!
//! - x86-64: the time-stamp counter, if the processor says that it runs at one rate in every power state.
//! - arm64: the virtual counter `cntvct_el0`, whose rate the processor states.
//! - elsewhere, and on an x86-64 without such a counter: nanoseconds of the monotonic clock.
//!
//! Ticks may differ a little between processors of one machine, and the rate is known to a thousandth. So nothing may
//! *depend* on a tick: polling a little early or late is harmless, and a timer that seems due is checked with
//! [`crate::clock`]. [`at_most_in`] leaves the room that this needs.

use std::sync::OnceLock;

use crate::clock;

/// Where ticks come from, and how many make a microsecond.
#[derive(Clone, Copy, Debug)]
struct Source {
    is_counter: bool,
    /// Ticks per nanosecond, in units of 2⁻³².
    per_ns_q32: u64,
}

/// The monotonic clock itself: one tick is one nanosecond.
const CLOCK: Source = Source { is_counter: false, per_ns_q32: 1 << 32 };

/// `at_most_in` takes off this fraction, four times what calibration can be wrong by.
const MARGIN_FRACTION: u64 = 256;

static SOURCE: OnceLock<Source> = OnceLock::new();

#[inline]
fn source() -> Source {
    *SOURCE.get_or_init(|| counter::calibrate().unwrap_or(CLOCK))
}

/// Ticks will be wanted later. Where the rate has to be measured, the first to ask for one waits the shorter then.
pub fn prepare() {
    counter::prepare();
}

/// The present tick. Compare two by `wrapping_sub`: a counter may start anywhere.
#[inline]
#[must_use]
pub fn now() -> u64 {
    if source().is_counter { counter::read() } else { clock::now_ns() }
}

/// Ticks in a microsecond, rounded to the nearest, at least 1.
#[must_use]
pub fn per_us() -> u64 {
    let per_us = (u128::from(source().per_ns_q32) * 1000 + (1 << 31)) >> 32;
    u64::try_from(per_us).unwrap_or(u64::MAX).max(1)
}

/// A number of ticks that takes no longer than `ns` nanoseconds, and hardly less: a bound after which to ask the clock.
#[inline]
#[must_use]
pub fn at_most_in(ns: u64) -> u64 {
    let ticks = (u128::from(ns) * u128::from(source().per_ns_q32)) >> 32;
    let ticks = u64::try_from(ticks).unwrap_or(u64::MAX);
    ticks - ticks / MARGIN_FRACTION
}

/// Whether ticks come from a processor's counter rather than the system's clock.
#[must_use]
pub fn is_counter() -> bool {
    source().is_counter
}

#[cfg(target_arch = "x86_64")]
mod counter {
    //! The time-stamp counter.

    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::OnceLock;

    use super::{Source, clock};

    /// How long the counter is compared with the clock, at least, once per process. An error of 50 ns at each end makes 0.05 %.
    const CALIBRATION_NS: u64 = 200_000;
    /// … and how long to see that nothing has changed since [`START`], to a hundredth.
    const CHECK_NS: u64 = 20_000;
    const CHECK_FRACTION: u64 = 100;
    /// Pairs of readings at each end, of which the closest counts: the others were interrupted.
    const READINGS: u32 = 5;

    const LEAF_POWER: u32 = 0x8000_0007;
    const EDX_INVARIANT_TSC: u32 = 1 << 8;
    const LEAF_EXTENDED_MAX: u32 = 0x8000_0000;
    const LEAF_MAX: u32 = 0;
    const LEAF_TSC_RATE: u32 = 0x15;

    /// The clock and the counter when the process was told that it would need ticks.
    static START: OnceLock<(u64, u64)> = OnceLock::new();

    pub(super) fn prepare() {
        START.get_or_init(read_both);
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: rdtsc has no operands and touches no memory, and every x86-64 has it.
        unsafe { _rdtsc() }
    }

    pub(super) fn calibrate() -> Option<Source> {
        if !is_invariant() {
            return None;
        }
        stated_rate().or_else(measured_rate)
    }

    fn is_invariant() -> bool {
        __cpuid(LEAF_EXTENDED_MAX).eax >= LEAF_POWER && __cpuid(LEAF_POWER).edx & EDX_INVARIANT_TSC != 0
    }

    /// What the processor says: crystal frequency × numerator / denominator. Many leave one of them out.
    fn stated_rate() -> Option<Source> {
        if __cpuid(LEAF_MAX).eax < LEAF_TSC_RATE {
            return None;
        }
        let leaf = __cpuid(LEAF_TSC_RATE);
        let (denominator, numerator, crystal_hz) = (u128::from(leaf.eax), u128::from(leaf.ebx), u128::from(leaf.ecx));
        if denominator == 0 || numerator == 0 || crystal_hz == 0 {
            return None;
        }
        let per_ns_q32 = ((crystal_hz * numerator) << 32) / denominator / 1_000_000_000;
        Some(Source { is_counter: true, per_ns_q32: u64::try_from(per_ns_q32).ok()? })
    }

    /// What the clock says. `None` if the counter did not move as one should.
    fn measured_rate() -> Option<Source> {
        let since_start = START.get().and_then(|start| rate_between(*start, read_both(), CALIBRATION_NS));
        let near = |one: u64, other: u64| one.abs_diff(other) < other / CHECK_FRACTION;
        let per_ns_q32 = match since_start {
            // A machine that was stopped meanwhile, or is another one now, has another rate.
            Some(rate) if rate_over(CHECK_NS).is_some_and(|checked| near(rate, checked)) => rate,
            _ => rate_over(CALIBRATION_NS)?,
        };
        // Between 100 MHz and 16 GHz: anything else is not a time-stamp counter that can be trusted.
        ((1 << 32) / 10..(1 << 32) * 16).contains(&per_ns_q32).then_some(Source { is_counter: true, per_ns_q32 })
    }

    /// Watches the counter from now on for some time.
    fn rate_over(ns: u64) -> Option<u64> {
        let start = read_both();
        while clock::now_ns() - start.0 < ns {
            std::hint::spin_loop();
        }
        rate_between(start, read_both(), ns)
    }

    /// Ticks per nanosecond, in units of 2⁻³², between two moments that are far enough apart.
    fn rate_between(start: (u64, u64), end: (u64, u64), apart_ns: u64) -> Option<u64> {
        let ns = end.0.checked_sub(start.0).filter(|ns| *ns >= apart_ns)?;
        let ticks = end.1.checked_sub(start.1)?;
        u64::try_from((u128::from(ticks) << 32) / u128::from(ns)).ok()
    }

    /// The clock and the counter at one moment, as nearly as can be had.
    fn read_both() -> (u64, u64) {
        let mut best = (u64::MAX, 0, 0);
        for _ in 0..READINGS {
            let before_ns = clock::now_ns();
            let tick = read();
            let took_ns = clock::now_ns() - before_ns;
            if took_ns < best.0 {
                best = (took_ns, before_ns + took_ns / 2, tick);
            }
        }
        (best.1, best.2)
    }
}

#[cfg(target_arch = "aarch64")]
mod counter {
    //! The generic timer's virtual counter, which every arm64 system lets programs read.

    use super::Source;

    pub(super) const fn prepare() {}

    #[inline]
    pub(super) fn read() -> u64 {
        let tick: u64;
        // SAFETY: reads a counter register into a register; touches no memory and no flags.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) tick, options(nomem, nostack, preserves_flags)) };
        tick
    }

    pub(super) fn calibrate() -> Option<Source> {
        let hz: u64;
        // SAFETY: reads a constant register into a register; touches no memory and no flags.
        unsafe { std::arch::asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nomem, nostack, preserves_flags)) };
        let per_ns_q32 = (u128::from(hz) << 32) / 1_000_000_000;
        let per_ns_q32 = u64::try_from(per_ns_q32).ok()?;
        (per_ns_q32 > 0).then_some(Source { is_counter: true, per_ns_q32 })
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod counter {
    //! No counter is known here.

    use super::{Source, clock};

    pub(super) const fn prepare() {}

    pub(super) fn read() -> u64 {
        clock::now_ns()
    }

    pub(super) fn calibrate() -> Option<Source> {
        None
    }
}
