//! A flag wakes whoever sleeps on it, once or many times over, and tells of time that is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tideloop_sys::flag::Flag;
use tideloop_sys::parker::Slept;

fn wait_until_set(flag: &Flag) {
    while flag.wait(None) != Slept::Woken {}
}

#[test]
fn a_flag_that_is_set_is_not_waited_for() {
    let flag = Flag::new();
    flag.set();
    assert_eq!(flag.wait(None), Slept::Woken);
    assert!(flag.is_set());
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let flag = Flag::new();
    let start = Instant::now();
    let mut waited = Slept::Interrupted;
    while waited == Slept::Interrupted {
        waited = flag.wait(Some(Duration::from_millis(10)));
    }
    assert_eq!(waited, Slept::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[test]
fn all_sleepers_are_woken() {
    let flag = Arc::new(Flag::new());
    let sleepers: Vec<_> = (0..8)
        .map(|_| {
            let flag = Arc::clone(&flag);
            std::thread::spawn(move || wait_until_set(&flag))
        })
        .collect();
    flag.set();
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

#[test]
fn no_wake_up_is_lost_between_two_threads_that_take_turns() {
    let flags = Arc::new([Flag::new(), Flag::new()]);
    let theirs = Arc::clone(&flags);
    let other = std::thread::spawn(move || {
        for _ in 0..20_000 {
            wait_until_set(&theirs[0]);
            theirs[0].clear();
            theirs[1].set();
        }
    });
    for _ in 0..20_000 {
        flags[0].set();
        wait_until_set(&flags[1]);
        flags[1].clear();
    }
    other.join().unwrap();
}
