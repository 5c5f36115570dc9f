//! Items in the order in which they were put, taken from either end.

use std::collections::VecDeque;

use super::queue::{Buffer, Popped};

/// The buffer of `Queue` and of `LifoQueue`.
#[derive(Debug)]
pub struct Line<T> {
    items: VecDeque<T>,
    /// How many have been taken from the front.
    taken: u64,
    /// The numbers of the first items, as far as they have been taken before and were put back.
    returned: VecDeque<u64>,
    /// The last that was put goes first.
    last_first: bool,
}

impl<T> Line<T> {
    /// First in, first out; or, if `last_first`, last in, first out.
    #[must_use]
    pub const fn new(last_first: bool) -> Self {
        Self { items: VecDeque::new(), taken: 0, returned: VecDeque::new(), last_first }
    }

    /// All items, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Takes all items out.
    #[must_use = "items are dropped outside"]
    pub fn drain(&mut self) -> Vec<T> {
        self.returned.clear();
        std::mem::take(&mut self.items).into()
    }
}

impl<T> Buffer for Line<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Popped<T> {
        if self.last_first {
            return self.items.pop_back().map_or(Popped::Empty, Popped::Item);
        }
        let Some(item) = self.items.pop_front() else { return Popped::Empty };
        self.taken += 1;
        if !self.returned.is_empty() {
            self.returned.pop_front();
        }
        Popped::Item(item)
    }

    fn last_taken(&self) -> u64 {
        self.taken
    }

    fn put_back(&mut self, item: T, number: u64) {
        if self.last_first {
            self.items.push_back(item);
            return;
        }
        // Several may come back, in any order.
        let at = self.returned.partition_point(|returned| *returned < number);
        self.returned.insert(at, number);
        self.items.insert(at, item);
    }

    #[inline]
    fn len(&self) -> usize {
        self.items.len()
    }
}
