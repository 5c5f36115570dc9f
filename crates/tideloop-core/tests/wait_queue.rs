//! The wait queue against a plain list, and its promises about memory and tickets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::wait_queue::{Ticket, WaitQueue};

#[derive(Clone, Debug)]
enum Step {
    Push,
    PopFirst,
    /// Any ticket ever given out, valid or not.
    Remove(prop::sample::Index),
    Change(prop::sample::Index),
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => Just(Step::Push),
        15 => Just(Step::PopFirst),
        25 => any::<prop::sample::Index>().prop_map(Step::Remove),
        10 => any::<prop::sample::Index>().prop_map(Step::Change),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..500)
}

/// The tickets of all waiters, by walking.
fn walk<T>(queue: &WaitQueue<T>) -> Vec<Ticket> {
    std::iter::successors(queue.first(), |ticket| queue.after(*ticket)).collect()
}

proptest! {
    #[test]
    fn it_behaves_as_a_list_whose_items_can_leave_from_anywhere(steps in steps()) {
        let mut queue = WaitQueue::new();
        let mut model: Vec<(Ticket, usize)> = Vec::new();
        let mut given_out: Vec<Ticket> = Vec::new();
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push => {
                    let ticket = queue.push(item);
                    given_out.push(ticket);
                    model.push((ticket, item));
                }
                Step::PopFirst => {
                    let expected = (!model.is_empty()).then(|| model.remove(0).1);
                    prop_assert_eq!(queue.pop_first(), expected);
                }
                Step::Remove(which) if !given_out.is_empty() => {
                    let ticket = given_out[which.index(given_out.len())];
                    let at = model.iter().position(|(known, _)| *known == ticket);
                    prop_assert_eq!(queue.remove(ticket), at.map(|at| model.remove(at).1));
                }
                Step::Change(which) if !given_out.is_empty() => {
                    let ticket = given_out[which.index(given_out.len())];
                    let expected = model.iter_mut().find(|(known, _)| *known == ticket).map(|(_, item)| item);
                    let found = queue.get_mut(ticket);
                    prop_assert_eq!(&found, &expected);
                    if let (Some(found), Some(expected)) = (found, expected) {
                        *found += 1000;
                        *expected += 1000;
                    }
                }
                Step::Remove(_) | Step::Change(_) => {}
                Step::Drain => {
                    let expected: Vec<_> = model.drain(..).map(|(_, item)| item).collect();
                    prop_assert_eq!(queue.drain(), expected);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            prop_assert_eq!(queue.first(), model.first().map(|(ticket, _)| *ticket));
            prop_assert_eq!(walk(&queue), model.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>());
            prop_assert_eq!(queue.iter().copied().collect::<Vec<_>>(), model.iter().map(|(_, item)| *item).collect::<Vec<_>>());
        }
        for ticket in given_out {
            let expected = model.iter().find(|(known, _)| *known == ticket).map(|(_, item)| item);
            prop_assert_eq!(queue.get(ticket), expected);
        }
    }
}

#[test]
fn the_ticket_of_one_who_left_does_not_find_the_next_one_at_that_place() {
    let mut queue = WaitQueue::new();
    let left = queue.push("first");
    assert_eq!(queue.remove(left), Some("first"));
    let ticket = queue.push("second");
    assert_eq!(queue.get(left), None);
    assert_eq!(queue.remove(left), None);
    assert_eq!(queue.after(left), None);
    assert_eq!(queue.get(ticket), Some(&"second"));
}

#[test]
fn an_unused_queue_is_one_pointer_without_memory() {
    let queue: WaitQueue<u64> = WaitQueue::new();
    assert_eq!(size_of_val(&queue), size_of::<usize>());
    assert_eq!(queue.capacity(), 0);
    assert!(queue.is_unused());
}

#[test]
fn a_few_places_are_used_again_and_a_crowd_leaves_no_memory_behind() {
    let mut queue = WaitQueue::new();
    let ticket = queue.push(0);
    let capacity = queue.capacity();
    assert_eq!(queue.remove(ticket), Some(0));
    for waiter in 0..1000 {
        queue.push(waiter);
        assert_eq!(queue.pop_first(), Some(waiter));
    }
    assert_eq!(queue.capacity(), capacity);
    let tickets: Vec<_> = (0..100_000).map(|waiter| queue.push(waiter)).collect();
    assert!(queue.capacity() >= 100_000);
    for ticket in tickets {
        assert!(queue.remove(ticket).is_some());
    }
    assert!(queue.capacity() <= 16, "room for {}", queue.capacity());
}

#[test]
fn one_who_stays_at_the_front_does_not_make_it_grow() {
    let mut queue = WaitQueue::new();
    queue.push(usize::MAX);
    for waiter in 0..10_000 {
        let ticket = queue.push(waiter);
        assert_eq!(queue.remove(ticket), Some(waiter));
    }
    assert!(queue.capacity() <= 16);
}
