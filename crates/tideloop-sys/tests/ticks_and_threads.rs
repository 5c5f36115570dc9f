//! Ticks against the clock, and what threads do to the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::mem::MaybeUninit;
use std::thread;
use std::time::Duration;

use tideloop_sys::clock::now_ns;
use tideloop_sys::threads::{block_all_signals, yield_for};
use tideloop_sys::ticks;

/// Nanoseconds and ticks between two moments at least `ns` apart. The thread sleeps meanwhile; that both clocks were
/// read at one moment is made likely by taking the closest of some pairs.
fn measure(ns: u64) -> (u64, u64) {
    fn both() -> (u64, u64) {
        let pair = || {
            let before_ns = now_ns();
            let tick = ticks::now();
            (now_ns() - before_ns, before_ns, tick)
        };
        let (_, ns, tick) = (0..20).map(|_| pair()).min().unwrap();
        (ns, tick)
    }
    let (start_ns, start_tick) = both();
    while now_ns() - start_ns < ns {
        yield_for(Duration::from_nanos(ns));
    }
    let (end_ns, end_tick) = both();
    (end_ns - start_ns, end_tick.wrapping_sub(start_tick))
}

#[test]
fn ticks_run_at_the_rate_they_say() {
    let (ns, ticks) = measure(50_000_000);
    let expected = ns as f64 / 1000.0 * ticks::per_us() as f64;
    let ratio = ticks as f64 / expected;
    // A whole number of ticks per microsecond is off by up to 1/50 where a counter makes 25 of them.
    assert!((0.97..1.03).contains(&ratio), "{ticks} ticks in {ns} ns, {} per us", ticks::per_us());
}

#[test]
fn ticks_that_were_prepared_run_at_the_same_rate() {
    ticks::prepare();
    thread::sleep(Duration::from_millis(5));
    ticks_run_at_the_rate_they_say();
}

#[test]
fn the_bound_on_ticks_comes_before_the_deadline_and_close_to_it() {
    let (ns, ticks) = measure(50_000_000);
    let bound = ticks::at_most_in(ns);
    assert!(bound <= ticks, "{bound} ticks would be late: {ticks} in {ns} ns");
    assert!(bound as f64 >= ticks as f64 * 0.98, "{bound} of {ticks}");
    assert_eq!(ticks::at_most_in(0), 0);
    assert!(ticks::at_most_in(u64::MAX / 64) > ticks::at_most_in(u64::MAX / 128));
}

#[test]
fn the_clock_does_not_go_back() {
    let mut last_ns = 0;
    for _ in 0..10_000 {
        let now_ns = now_ns();
        assert!(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

/// How often this thread has given up the processor of its own accord.
#[cfg(target_os = "linux")]
fn times_blocked() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: getrusage writes a whole structure to the place it is given.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) }, 0);
    // SAFETY: getrusage succeeded, so it is initialised.
    unsafe { usage.assume_init() }.ru_nvcsw
}

#[cfg(target_os = "linux")]
#[test]
fn yielding_really_blocks() {
    for max in [Duration::ZERO, Duration::from_micros(1), Duration::from_micros(100)] {
        let before = times_blocked();
        yield_for(max);
        assert!(times_blocked() > before, "{max:?}");
    }
}

#[test]
fn a_native_thread_blocks_signals_but_not_its_own_faults() {
    let is_blocked = |signal| {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new mask, pthread_sigmask only writes the present one to the place it is given.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr()) };
        // SAFETY: pthread_sigmask has written it, and the signal is valid.
        unsafe { libc::sigismember(mask.as_ptr(), signal) == 1 }
    };
    thread::spawn(move || {
        assert!(!is_blocked(libc::SIGINT));
        block_all_signals().unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1, libc::SIGPIPE] {
            assert!(is_blocked(signal), "{signal}");
        }
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            assert!(!is_blocked(signal), "{signal}");
        }
    })
    .join()
    .unwrap();
}
