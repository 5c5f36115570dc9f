//! The ready queue against a deque, and what it keeps after a burst.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::VecDeque;

use proptest::prelude::*;
use tideloop_core::ready::ReadyQueue;

proptest! {
    #[test]
    fn it_behaves_as_a_deque(steps in prop::collection::vec(prop_oneof![3 => Just(true), 2 => Just(false)], 0..5000)) {
        let mut queue = ReadyQueue::new();
        let mut model = VecDeque::new();
        for (item, is_push) in steps.into_iter().enumerate() {
            if is_push {
                queue.push(item);
                model.push_back(item);
            } else {
                prop_assert_eq!(queue.pop(), model.pop_front());
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
        }
        prop_assert!(queue.iter().eq(model.iter()));
        prop_assert_eq!(queue.drain(), Vec::from(model));
        prop_assert!(queue.is_empty());
    }
}

fn burst(queue: &mut ReadyQueue<u64>, len: u64) {
    for i in 0..len {
        queue.push(i);
    }
    while queue.pop().is_some() {}
}

#[test]
fn a_large_burst_gives_its_memory_back_at_once() {
    let mut queue = ReadyQueue::new();
    burst(&mut queue, 1_000_000);
    assert!(queue.capacity() <= 64 * 1024, "room for {}", queue.capacity());
}

#[test]
fn a_burst_is_forgotten_after_quiet_turns() {
    let mut queue = ReadyQueue::new();
    burst(&mut queue, 1_000_000);
    for _ in 0..1000 {
        burst(&mut queue, 1);
    }
    assert!(queue.capacity() <= 1024, "room for {}", queue.capacity());
}

#[test]
fn a_queue_that_is_used_again_and_again_keeps_its_memory() {
    let mut queue = ReadyQueue::new();
    burst(&mut queue, 10_000);
    let capacity = queue.capacity();
    for _ in 0..50 {
        burst(&mut queue, 10_000);
        assert_eq!(queue.capacity(), capacity);
    }
}
