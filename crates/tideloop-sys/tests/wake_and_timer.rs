//! The wake fd and the timer fd, seen through a poller as a loop sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tideloop_sys::clock::now_ns;
use tideloop_sys::poll::{Events, Interest, Poller, Timeout};
use tideloop_sys::timer::TimerFd;
use tideloop_sys::wake::WakeFd;

/// Longer than anything here takes; a test that waits for it has failed.
const LONG: Timeout = Timeout::AtMost(Duration::from_secs(20));

fn watching(fd: std::os::fd::RawFd) -> Poller {
    let poller = Poller::new().unwrap();
    poller.add(fd, 1, Interest::READ).unwrap();
    poller
}

fn is_ready(poller: &Poller, timeout: Timeout) -> bool {
    let mut events = Events::new();
    poller.wait(&mut events, timeout).unwrap();
    !events.is_empty()
}

#[test]
fn any_number_of_wakes_are_one() {
    let wake = WakeFd::new().unwrap();
    let poller = watching(wake.as_raw_fd());
    assert!(!is_ready(&poller, Timeout::Now));
    for _ in 0..100_000 {
        wake.wake();
    }
    assert!(is_ready(&poller, LONG));
    wake.drain();
    assert!(!is_ready(&poller, Timeout::Now));
    wake.drain();
    wake.wake();
    assert!(is_ready(&poller, LONG), "a drain without a wake does not swallow the next one");
}

#[test]
fn a_wake_from_another_thread_ends_a_wait() {
    let wake = Arc::new(WakeFd::new().unwrap());
    let poller = watching(wake.as_raw_fd());
    let waker = thread::spawn({
        let wake = Arc::clone(&wake);
        move || wake.wake()
    });
    assert!(is_ready(&poller, LONG));
    waker.join().unwrap();
}

#[test]
fn a_timer_expires_and_never_before_its_deadline() {
    let timer = TimerFd::new().unwrap();
    let poller = watching(timer.as_raw_fd());
    for us in [0, 1, 50, 999, 1000, 1001, 7300, 20_000] {
        let deadline_ns = now_ns() + us * 1000;
        timer.arm(deadline_ns).unwrap();
        assert!(is_ready(&poller, LONG));
        let now_ns = now_ns();
        assert!(now_ns >= deadline_ns, "{} ns early", deadline_ns - now_ns);
        timer.drain();
        assert!(!is_ready(&poller, Timeout::Now), "it expires once");
    }
}

#[test]
fn a_deadline_that_has_passed_expires_at_once() {
    let timer = TimerFd::new().unwrap();
    let poller = watching(timer.as_raw_fd());
    for deadline_ns in [0, 1, now_ns() - 1] {
        timer.arm(deadline_ns).unwrap();
        assert!(is_ready(&poller, LONG), "{deadline_ns}");
        timer.disarm().unwrap();
    }
}

#[test]
fn arming_again_replaces_the_deadline() {
    let timer = TimerFd::new().unwrap();
    let poller = watching(timer.as_raw_fd());
    timer.arm(u64::MAX).unwrap();
    assert!(!is_ready(&poller, Timeout::Now));
    timer.arm(now_ns()).unwrap();
    assert!(is_ready(&poller, LONG));
    timer.arm(now_ns() + 3_600_000_000_000).unwrap();
    assert!(!is_ready(&poller, Timeout::Now), "a later deadline takes the expiry back");
}

#[test]
fn a_disarmed_timer_is_silent() {
    let timer = TimerFd::new().unwrap();
    let poller = watching(timer.as_raw_fd());
    timer.disarm().unwrap();
    timer.arm(now_ns()).unwrap();
    assert!(is_ready(&poller, LONG));
    timer.disarm().unwrap();
    assert!(!is_ready(&poller, Timeout::AtMost(Duration::from_millis(3))));
}
