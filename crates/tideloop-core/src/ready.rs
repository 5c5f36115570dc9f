//! The ready queue: what a loop runs in its next turn, strictly first in, first out.
//!
//! A thin layer over `VecDeque` that gives memory back after a burst. Growing again is cheap but not free, and a server
//! has a burst in every turn; so a queue that has become empty shrinks at once only from above
//! [`CAPACITY_KEPT_MAX`], and below that halves only after it has been emptied [`EMPTIED_BEFORE_SHRINK`] times.

use std::collections::VecDeque;

/// Entries for which an empty queue keeps memory whatever happened before (16 bytes each: 16 KiB).
const CAPACITY_KEPT_MIN: usize = 1024;
/// Entries above which an emptied queue gives its memory back at once (1 MiB).
const CAPACITY_KEPT_MAX: usize = 64 * 1024;
/// How often a queue between the two is emptied before half of its memory is given back.
const EMPTIED_BEFORE_SHRINK: u32 = 64;

/// A first-in, first-out queue that does not hold on to the memory of its worst moment.
#[derive(Debug)]
pub struct ReadyQueue<T> {
    entries: VecDeque<T>,
    emptied_while_large: u32,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> ReadyQueue<T> {
    /// An empty queue without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: VecDeque::new(), emptied_while_large: 0 }
    }

    /// Append an entry.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.entries.push_back(item);
    }

    /// Take the oldest entry.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let item = self.entries.pop_front()?;
        if self.entries.is_empty() && self.entries.capacity() > CAPACITY_KEPT_MIN {
            self.emptied_while_large();
        }
        Some(item)
    }

    /// The number of entries.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is ready.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Take all entries, oldest first, and all memory. The caller drops them, outside of whatever guards this queue.
    #[must_use = "the entries are handed back so that they can be dropped in a safe place"]
    pub fn drain(&mut self) -> Vec<T> {
        self.emptied_while_large = 0;
        std::mem::take(&mut self.entries).into()
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// Entries for which there is memory: for tests and reports.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[cold]
    fn emptied_while_large(&mut self) {
        self.emptied_while_large += 1;
        if self.entries.capacity() > CAPACITY_KEPT_MAX {
            self.entries.shrink_to(CAPACITY_KEPT_MAX);
        } else if self.emptied_while_large >= EMPTIED_BEFORE_SHRINK {
            self.entries.shrink_to(self.entries.capacity() / 2);
        } else {
            return;
        }
        self.emptied_while_large = 0;
    }
}
