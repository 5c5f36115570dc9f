//! The monitor's rules, one call after another; its interleavings are in `loom_monitor.rs`.

use tideloop_core::monitor::Monitor;

fn nobody(_: u64) -> bool {
    false
}

#[test]
fn an_owner_enters_again_and_leaves_as_often() {
    let monitor: Monitor<&str> = Monitor::new();
    assert!(monitor.try_enter(1) && monitor.try_enter(1));
    assert!(!monitor.try_enter(2));
    assert_eq!(monitor.leave(1), None);
    assert!(monitor.is_inside(1) && !monitor.try_enter(2));
    assert_eq!(monitor.leave(1), None);
    assert!(!monitor.is_inside(1) && monitor.try_enter(2));
}

#[test]
fn waiters_are_woken_in_their_order_and_one_that_lost_stays_first() {
    let monitor = Monitor::new();
    assert!(monitor.try_enter(1));
    assert!(!monitor.enter_or_queue(2, || "two", false, nobody));
    assert!(!monitor.enter_or_queue(3, || "three", false, nobody));
    assert_eq!(monitor.leave(1), Some("two"));
    // A newcomer is faster than the one that was woken.
    assert!(monitor.try_enter(4));
    assert!(!monitor.enter_or_queue(2, || "two", true, nobody));
    assert_eq!(monitor.leave(4), Some("two"));
    assert!(monitor.try_enter(2));
    assert_eq!(monitor.leave(2), Some("three"));
    assert!(monitor.enter_or_queue(3, || "three", true, nobody));
    assert_eq!(monitor.leave(3), None);
}

#[test]
fn a_waiter_is_queued_once_however_often_it_looks() {
    let monitor = Monitor::new();
    assert!(monitor.try_enter(1));
    assert!(!monitor.enter_or_queue(2, || "two", false, nobody));
    assert!(!monitor.enter_or_queue(2, || "two", true, nobody));
    assert_eq!(monitor.leave(1), Some("two"));
    assert!(monitor.try_enter(1));
    assert_eq!(monitor.leave(1), None);
}

#[test]
fn who_withdraws_is_not_woken_and_hands_on_a_wake_up_that_it_had() {
    let monitor = Monitor::new();
    assert!(monitor.try_enter(1));
    for (me, name) in [(2, "two"), (3, "three"), (4, "four")] {
        assert!(!monitor.enter_or_queue(me, || name, false, nobody));
    }
    assert_eq!(monitor.withdraw(2), None);
    assert_eq!(monitor.leave(1), Some("three"));
    assert_eq!(monitor.withdraw(3), Some("four"));
    assert_eq!(monitor.withdraw(4), None);
    assert!(monitor.try_enter(1));
    assert_eq!(monitor.leave(1), None);
}

#[test]
fn what_an_ended_thread_has_not_left_is_free_and_its_waiters_are_forgotten() {
    let monitor = Monitor::new();
    assert!(monitor.try_enter(1) && monitor.try_enter(1));
    assert!(!monitor.enter_or_queue(2, || "two", false, nobody));
    // The process forks in a third thread: 1 and 2 do not exist in the child.
    let ended = |owner| owner < 3;
    assert!(!monitor.try_enter(3));
    assert!(monitor.enter_or_queue(3, || "three", false, ended));
    assert!(!monitor.try_enter(4));
    assert_eq!(monitor.leave(3), None);
    assert!(monitor.try_enter(4));
}
