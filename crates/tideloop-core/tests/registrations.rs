//! Registrations against a map, and the promise that a token never finds another registration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::HashMap;

use proptest::prelude::*;
use tideloop_core::registrations::{Registrations, Token};

#[derive(Clone, Debug)]
enum Step {
    Insert,
    /// Any token ever given out, valid or not.
    Remove(prop::sample::Index),
    Change(prop::sample::Index),
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => Just(Step::Insert),
        30 => any::<prop::sample::Index>().prop_map(Step::Remove),
        10 => any::<prop::sample::Index>().prop_map(Step::Change),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..500)
}

proptest! {
    #[test]
    fn it_behaves_as_a_map_whose_keys_are_never_used_twice(steps in steps()) {
        let mut registrations = Registrations::new();
        let mut model: HashMap<u64, usize> = HashMap::new();
        let mut given_out: Vec<Token> = Vec::new();
        for (item, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert => {
                    let token = registrations.insert(item);
                    prop_assert!(!given_out.contains(&token));
                    given_out.push(token);
                    model.insert(token.to_u64(), item);
                }
                Step::Remove(which) if !given_out.is_empty() => {
                    let token = given_out[which.index(given_out.len())];
                    prop_assert_eq!(registrations.remove(token), model.remove(&token.to_u64()));
                }
                Step::Change(which) if !given_out.is_empty() => {
                    let token = given_out[which.index(given_out.len())];
                    let expected = model.get_mut(&token.to_u64());
                    let found = registrations.get_mut(token);
                    prop_assert_eq!(&found, &expected);
                    if let (Some(found), Some(expected)) = (found, expected) {
                        *found += 1;
                        *expected += 1;
                    }
                }
                Step::Remove(_) | Step::Change(_) => {}
                Step::Drain => {
                    let mut drained = registrations.drain();
                    drained.sort_unstable();
                    let mut expected: Vec<_> = model.drain().map(|(_, item)| item).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(drained, expected);
                }
            }
            prop_assert_eq!(registrations.len(), model.len());
            prop_assert_eq!(registrations.is_empty(), model.is_empty());
        }
        for token in given_out {
            prop_assert_eq!(registrations.get(token), model.get(&token.to_u64()));
        }
        prop_assert_eq!(registrations.iter().count(), model.len());
    }
}

#[test]
fn a_late_event_does_not_reach_the_next_user_of_the_slot() {
    let mut registrations = Registrations::new();
    let late = registrations.insert("first");
    assert_eq!(registrations.remove(late), Some("first"));
    let token = registrations.insert("second");
    assert_eq!(late.to_u64() & 0xffff_ffff, token.to_u64() & 0xffff_ffff, "the slot is used again");
    assert_eq!(registrations.get(late), None);
    assert_eq!(registrations.remove(late), None);
    assert_eq!(registrations.get(token), Some(&"second"));
}

#[test]
fn tokens_with_an_extreme_high_half_are_free_for_others() {
    let mut registrations = Registrations::new();
    let token = registrations.insert(());
    assert_eq!(token, Token::from_u64(1 << 32));
    assert_eq!(registrations.get(Token::from_u64(0)), None);
    assert_eq!(registrations.get(Token::from_u64(u64::MAX)), None);
}

#[test]
fn a_burst_of_registrations_leaves_no_memory_behind() {
    let mut registrations = Registrations::new();
    let tokens: Vec<_> = (0..100_000).map(|i| registrations.insert(i)).collect();
    assert!(registrations.capacity() >= 100_000);
    for token in tokens {
        assert!(registrations.remove(token).is_some());
    }
    assert!(registrations.capacity() <= 64, "room for {}", registrations.capacity());
}
