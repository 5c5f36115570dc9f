//! The timer heap against a sorted map, and its promises about order, keys and memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tideloop_core::timers::{TimerHeap, TimerKey};

/// What a test does to a heap. Deadlines are few, so that many are equal.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        deadline_ns: u64,
    },
    /// Any key ever given out, valid or not.
    Remove {
        which: prop::sample::Index,
    },
    PopDue {
        now_ns: u64,
    },
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => (0..50u64).prop_map(|deadline_ns| Step::Insert { deadline_ns }),
        20 => any::<prop::sample::Index>().prop_map(|which| Step::Remove { which }),
        20 => (0..60u64).prop_map(|now_ns| Step::PopDue { now_ns }),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..600)
}

proptest! {
    #[test]
    fn it_behaves_as_a_map_sorted_by_deadline_and_age(steps in steps()) {
        let mut heap = TimerHeap::new();
        let mut model: BTreeMap<(u64, usize), ()> = BTreeMap::new();
        let mut keys: Vec<(TimerKey, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert { deadline_ns } => {
                    let age = keys.len();
                    keys.push((heap.insert(deadline_ns, age), deadline_ns));
                    model.insert((deadline_ns, age), ());
                }
                Step::Remove { which } if !keys.is_empty() => {
                    let age = which.index(keys.len());
                    let (key, deadline_ns) = keys[age];
                    let expected = model.remove(&(deadline_ns, age)).map(|()| age);
                    prop_assert_eq!(heap.remove(key), expected);
                }
                Step::Remove { .. } => {}
                Step::PopDue { now_ns } => {
                    let due = model.keys().next().copied().filter(|(deadline_ns, _)| *deadline_ns <= now_ns);
                    if let Some(first) = due {
                        model.remove(&first);
                    }
                    prop_assert_eq!(heap.pop_due(now_ns), due.map(|(_, age)| age));
                }
                Step::Drain => {
                    let expected: Vec<usize> = std::mem::take(&mut model).into_keys().map(|(_, age)| age).collect();
                    prop_assert_eq!(heap.drain(), expected);
                }
            }
            prop_assert_eq!(heap.len(), model.len());
            prop_assert_eq!(heap.is_empty(), model.is_empty());
            prop_assert_eq!(heap.earliest(), model.keys().next().map(|(deadline_ns, _)| *deadline_ns));
        }
        let mut left: Vec<usize> = heap.iter().copied().collect();
        left.sort_unstable();
        let mut expected: Vec<usize> = model.into_keys().map(|(_, age)| age).collect();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
    }

    /// Bursts far above the memory that is always kept, so that slots are forgotten while some of them are in use.
    #[test]
    fn survivors_of_a_burst_keep_their_keys(burst in 300..3000usize, keep_one_in in 2..400usize, rounds in 1..4) {
        let mut heap = TimerHeap::new();
        let mut survivors = Vec::new();
        for round in 0..rounds {
            let keys: Vec<_> = (0..burst).map(|i| (heap.insert((i * 7919 % 1000) as u64, (round, i)), (round, i))).collect();
            for (key, item) in keys {
                if item.1 % keep_one_in == 0 {
                    survivors.push((key, item));
                } else {
                    prop_assert_eq!(heap.remove(key), Some(item));
                }
            }
            prop_assert_eq!(heap.len(), survivors.len());
        }
        for (key, item) in survivors {
            prop_assert_eq!(heap.remove(key), Some(item));
            prop_assert_eq!(heap.remove(key), None);
        }
        prop_assert!(heap.is_empty());
    }
}

#[test]
fn equal_deadlines_come_out_in_the_order_they_were_set() {
    let mut heap = TimerHeap::new();
    for item in 0..1000 {
        heap.insert(5, item);
    }
    let popped: Vec<_> = std::iter::from_fn(|| heap.pop_due(5)).collect();
    assert_eq!(popped, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_timer_is_due_at_its_deadline_and_not_before() {
    let mut heap = TimerHeap::new();
    heap.insert(100, "timer");
    assert_eq!(heap.pop_due(99), None);
    assert_eq!(heap.pop_due(100), Some("timer"));
}

#[test]
fn a_key_is_void_after_its_slot_was_forgotten_and_used_again() {
    let mut heap = TimerHeap::new();
    let old = heap.insert(1, "old");
    assert_eq!(heap.drain(), ["old"]);
    let new = heap.insert(1, "new");
    assert_eq!(heap.remove(old), None);
    assert_eq!(heap.remove(new), Some("new"));
}

#[test]
fn a_million_cancelled_timers_leave_no_memory_behind() {
    let mut heap = TimerHeap::new();
    let keys: Vec<_> = (0..1_000_000u64).map(|i| heap.insert(i, i)).collect();
    assert!(heap.memory_bytes() > 1_000_000 * 24);
    for (i, key) in (0u64..).zip(keys) {
        assert_eq!(heap.remove(key), Some(i));
    }
    assert!(heap.memory_bytes() < 16 * 1024, "{} bytes left", heap.memory_bytes());
}

#[test]
fn a_million_expired_timers_leave_no_memory_behind() {
    let mut heap = TimerHeap::new();
    for i in (0..1_000_000u64).rev() {
        heap.insert(i, i);
    }
    for i in 0..1_000_000u64 {
        assert_eq!(heap.pop_due(u64::MAX), Some(i));
    }
    assert!(heap.memory_bytes() < 16 * 1024, "{} bytes left", heap.memory_bytes());
}

#[test]
fn a_long_timer_set_before_a_burst_does_not_hold_its_memory() {
    let mut heap = TimerHeap::new();
    let long = heap.insert(u64::MAX, u64::MAX);
    let keys: Vec<_> = (0..100_000u64).map(|i| heap.insert(i, i)).collect();
    for key in keys.into_iter().rev() {
        assert!(heap.remove(key).is_some());
    }
    assert!(heap.memory_bytes() < 16 * 1024, "{} bytes left", heap.memory_bytes());
    assert_eq!(heap.remove(long), Some(u64::MAX));
}
