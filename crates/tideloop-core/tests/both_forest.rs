//! The forest against a sorted list, with comparisons that are made elsewhere, late, or in vain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::both::forest::{Duel, Forest, Ranked};
use tideloop_core::both::queue::{Buffer, Popped};

/// A rank, and which item it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known(u32, usize);

/// The same, which cannot be compared where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opaque(u32, usize);

impl Ranked for Known {
    fn goes_after(&self, later: &Self) -> Option<bool> {
        Some(later.0 < self.0)
    }
}

impl Ranked for Opaque {
    fn goes_after(&self, _later: &Self) -> Option<bool> {
        None
    }
}

fn later_first(forest: &Forest<Opaque>, duel: Duel) -> bool {
    forest.get(duel.later).unwrap().0 < forest.get(duel.earlier).unwrap().0
}

/// Puts an item in as a queue does that compares elsewhere.
fn put(forest: &mut Forest<Opaque>, item: Opaque) {
    while let Some(duel) = forest.balance() {
        let outcome = later_first(forest, duel);
        forest.conclude(duel, outcome);
    }
    match forest.last_root() {
        None => forest.push(item),
        Some(root) => {
            let item_first = item.0 < forest.get(root).unwrap().0;
            forest.push_beside(item, root, item_first);
        }
    }
}

/// Takes the first out; how many comparisons that took.
fn get(forest: &mut Forest<Opaque>) -> (Option<Opaque>, usize) {
    let mut duels = 0;
    while let Some(duel) = forest.unite() {
        duels += 1;
        let outcome = later_first(forest, duel);
        forest.conclude_and_turn(duel, outcome);
    }
    match forest.pop() {
        Popped::Item(item) => (Some(item), duels),
        Popped::Empty => (None, duels),
        Popped::Undecided => panic!("one tree is left"),
    }
}

proptest! {
    #[test]
    fn known_items_leave_in_order_and_equal_ones_as_they_came(steps in prop::collection::vec(prop::option::of(0u32..20), 0..300)) {
        let mut forest = Forest::new();
        let mut model: Vec<Known> = Vec::new();
        for (which, step) in steps.into_iter().enumerate() {
            if let Some(rank) = step {
                prop_assert!(forest.balance().is_none());
                forest.push(Known(rank, which));
                model.push(Known(rank, which));
                model.sort_by_key(|known| known.0);
            } else {
                let expected = if model.is_empty() { Popped::Empty } else { Popped::Item(model.remove(0)) };
                prop_assert_eq!(forest.pop(), expected);
            }
            prop_assert_eq!(forest.len(), model.len());
            prop_assert_eq!(forest.iter().count(), model.len());
        }
    }

    #[test]
    fn what_is_compared_elsewhere_leaves_in_the_same_order(steps in prop::collection::vec(prop::option::of(0u32..20), 0..300)) {
        let mut forest = Forest::new();
        let mut model: Vec<Opaque> = Vec::new();
        for (which, step) in steps.into_iter().enumerate() {
            if let Some(rank) = step {
                put(&mut forest, Opaque(rank, which));
                model.push(Opaque(rank, which));
                model.sort_by_key(|known| known.0);
            } else {
                let expected = if model.is_empty() { None } else { Some(model.remove(0)) };
                prop_assert_eq!(get(&mut forest).0, expected);
            }
        }
        prop_assert_eq!(forest.drain().len(), model.len());
        prop_assert!(forest.is_empty());
    }

    #[test]
    fn an_item_that_is_put_back_comes_before_its_equals(ranks in prop::collection::vec(0u32..5, 1..50)) {
        let mut forest = Forest::new();
        for (which, rank) in ranks.iter().enumerate() {
            put(&mut forest, Opaque(*rank, which));
        }
        let first = get(&mut forest).0.unwrap();
        forest.put_back(first, 0);
        prop_assert_eq!(get(&mut forest).0, Some(first));
    }

    /// Between the two looks of each comparison somebody else takes or puts something.
    #[test]
    fn a_comparison_that_comes_too_late_changes_nothing(ranks in prop::collection::vec(0u32..20, 2..60), others in prop::collection::vec(any::<bool>(), 60)) {
        let mut forest = Forest::new();
        let mut left = 0;
        for (which, rank) in ranks.iter().enumerate() {
            forest.push(Opaque(*rank, which));
            left += 1;
        }
        let mut others = others.into_iter();
        while left > 0 {
            if let Some(duel) = forest.unite() {
                let outcome = later_first(&forest, duel);
                match others.next() {
                    Some(true) => {
                        prop_assert!(get(&mut forest).0.is_some());
                        left -= 1;
                    }
                    Some(false) => {
                        put(&mut forest, Opaque(0, 1000 + left));
                        left += 1;
                    }
                    None => {}
                }
                forest.conclude_and_turn(duel, outcome);
            } else {
                prop_assert!(matches!(forest.pop(), Popped::Item(_)));
                left -= 1;
            }
            prop_assert_eq!(forest.len(), left);
            prop_assert_eq!(forest.iter().count(), left);
        }
        prop_assert_eq!(forest.pop(), Popped::Empty);
    }
}

#[test]
fn no_one_call_has_all_the_work_after_many_were_put() {
    const ITEMS: u32 = 4096;
    for ranks in [(0..ITEMS).collect::<Vec<_>>(), (0..ITEMS).rev().collect(), vec![7; ITEMS as usize]] {
        let mut forest = Forest::new();
        for (which, rank) in ranks.iter().enumerate() {
            put(&mut forest, Opaque(*rank, which));
        }
        let most = (0..ITEMS).map(|_| get(&mut forest).1).max().unwrap();
        // A node has about as many children as its tree has doublings: 12.
        assert!(most <= 40, "{most} comparisons for one item");
    }
}
