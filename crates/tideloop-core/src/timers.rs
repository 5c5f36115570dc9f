//! The timers of a loop: a heap in which any timer can be found and removed, so a cancelled one leaves nothing behind.
//!
//! Timeouts are nearly always cancelled. asyncio marks them and lets them lie in its heap until they surface, with the
//! callback and all it refers to; here they leave at once.
//!
//! - `heap` is a 4-ary min-heap by (deadline, sequence): equal deadlines come out in the order they were set. Four
//!   children per node make it half as deep as a binary heap, with a node's children side by side in the cache.
//! - `positions` says for each slot where its timer is in the heap; a slot in no use holds the next vacant slot.
//! - A [`TimerKey`] is a slot and the low half of the sequence number. It is valid if the heap entry at its slot's
//!   position names that very slot and number; for a vacant slot, no entry names it. So slots need no state of their
//!   own, and may be forgotten when memory is given back.

/// A heap node's children. A power of two, so that parents are found by shifting.
const ARITY: usize = 4;
/// Timers for which memory is kept whatever happens.
const CAPACITY_KEPT_MIN: usize = 256;
/// Memory is given back when fewer than one in this many places is in use.
const SPARSE: usize = 4;
/// End of the list of vacant slots.
const NO_SLOT: u32 = u32::MAX;

/// Names a timer, from `insert` until it is popped or removed; afterwards it names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    deadline_ns: u64,
    sequence: u64,
    slot: u32,
    item: T,
}

impl<T> Entry<T> {
    #[inline]
    fn is_before(&self, other: &Self) -> bool {
        (self.deadline_ns, self.sequence) < (other.deadline_ns, other.sequence)
    }

    /// The low half is what a key has room for.
    #[inline]
    fn generation(&self) -> u32 {
        self.sequence as u32
    }
}

/// Items with deadlines; the earliest is found at once, any is removed in O(log n).
#[derive(Debug)]
pub struct TimerHeap<T> {
    heap: Vec<Entry<T>>,
    positions: Vec<u32>,
    first_vacant: u32,
    next_sequence: u64,
    /// With no more timers than this, look whether slots can be given back.
    shrink_slots_at: usize,
}

impl<T> Default for TimerHeap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TimerHeap<T> {
    /// No timers and no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: Vec::new(), positions: Vec::new(), first_vacant: NO_SLOT, next_sequence: 0, shrink_slots_at: 0 }
    }

    /// Set a timer. A deadline later than all others costs one comparison.
    pub fn insert(&mut self, deadline_ns: u64, item: T) -> TimerKey {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let slot = self.take_slot();
        let position = self.heap.len();
        let entry = Entry { deadline_ns, sequence, slot, item };
        let key = TimerKey { index: slot, generation: entry.generation() };
        self.heap.push(entry);
        self.sift_up(position);
        key
    }

    /// Take a timer out, and get its item back. `None` when it has been popped or removed before.
    pub fn remove(&mut self, key: TimerKey) -> Option<T> {
        let position = *self.positions.get(key.index as usize)? as usize;
        let entry = self.heap.get(position)?;
        if entry.slot != key.index || entry.generation() != key.generation {
            return None;
        }
        Some(self.remove_at(position))
    }

    /// The deadline of the earliest timer, in nanoseconds.
    #[inline]
    #[must_use]
    pub fn earliest(&self) -> Option<u64> {
        self.heap.first().map(|entry| entry.deadline_ns)
    }

    /// Take the earliest timer out if its deadline is not after `now_ns`.
    #[inline]
    pub fn pop_due(&mut self, now_ns: u64) -> Option<T> {
        if self.earliest()? > now_ns {
            return None;
        }
        Some(self.remove_at(0))
    }

    /// The number of timers.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no timer is set.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Take all timers out, in the order in which they would have run; every key is void from here on.
    #[must_use = "the items are handed back so that they can be dropped in a safe place"]
    pub fn drain(&mut self) -> Vec<T> {
        let mut entries = std::mem::take(&mut self.heap);
        self.positions = Vec::new();
        self.first_vacant = NO_SLOT;
        self.shrink_slots_at = 0;
        entries.sort_unstable_by_key(|entry| (entry.deadline_ns, entry.sequence));
        entries.into_iter().map(|entry| entry.item).collect()
    }

    /// Every timer's item, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.heap.iter().map(|entry| &entry.item)
    }

    /// Bytes of memory held for timers, set or not: for tests and reports.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Entry<T>>() + self.positions.capacity() * size_of::<u32>()
    }

    fn remove_at(&mut self, position: usize) -> T {
        let removed = self.heap.swap_remove(position);
        if position < self.heap.len() {
            // The last entry has taken the place: it may belong further down, or, in another branch, further up.
            if self.sift_up(position) == position {
                self.sift_down(position);
            }
        }
        self.release_slot(removed.slot);
        self.give_memory_back();
        removed.item
    }

    /// Move the entry at `position` towards the root until its parent is before it, and note where it ends.
    fn sift_up(&mut self, mut position: usize) -> usize {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if !self.heap[position].is_before(&self.heap[parent]) {
                break;
            }
            self.heap.swap(position, parent);
            self.note_position(position);
            position = parent;
        }
        self.note_position(position);
        position
    }

    /// Move the entry at `position` away from the root until it is before its children, and note where it ends.
    fn sift_down(&mut self, mut position: usize) {
        loop {
            let first_child = position * ARITY + 1;
            let end = (first_child + ARITY).min(self.heap.len());
            let mut earliest = position;
            for child in first_child..end {
                if self.heap[child].is_before(&self.heap[earliest]) {
                    earliest = child;
                }
            }
            if earliest == position {
                break;
            }
            self.heap.swap(position, earliest);
            self.note_position(position);
            position = earliest;
        }
        self.note_position(position);
    }

    #[inline]
    fn note_position(&mut self, position: usize) {
        // The position fits: there are no more timers than slots, and those are u32.
        let slot = self.heap[position].slot;
        self.positions[slot as usize] = position as u32;
    }

    fn take_slot(&mut self) -> u32 {
        let vacant = self.first_vacant;
        if let Some(next) = self.positions.get(vacant as usize) {
            self.first_vacant = *next;
            return vacant;
        }
        // 2³² timers would need 128 GiB: memory ends first.
        let slot = u32::try_from(self.positions.len()).unwrap_or(NO_SLOT);
        self.positions.push(NO_SLOT);
        self.shrink_slots_at = self.positions.len() / SPARSE;
        slot
    }

    #[inline]
    fn release_slot(&mut self, slot: u32) {
        self.positions[slot as usize] = self.first_vacant;
        self.first_vacant = slot;
    }

    fn give_memory_back(&mut self) {
        let len = self.heap.len();
        let capacity = self.heap.capacity();
        if capacity > CAPACITY_KEPT_MIN && len < capacity / SPARSE {
            self.heap.shrink_to((len * 2).max(CAPACITY_KEPT_MIN));
        }
        if len <= self.shrink_slots_at && self.positions.len() > CAPACITY_KEPT_MIN {
            self.shrink_slots();
        }
    }

    /// Forget the vacant slots behind the last one in use, and put the others in order, lowest first.
    ///
    /// A timer cannot change its slot, so one that was set at the height of a burst keeps four bytes for each timer
    /// that was pending then, until it goes. The next attempt is made when half of the timers have gone, so attempts
    /// cost O(1) for each timer removed.
    #[cold]
    fn shrink_slots(&mut self) {
        let in_use = self.heap.iter().map(|entry| entry.slot as usize + 1).max().unwrap_or(0);
        self.positions.truncate(in_use);
        self.positions.fill(NO_SLOT);
        for position in 0..self.heap.len() {
            self.note_position(position);
        }
        self.first_vacant = NO_SLOT;
        for slot in (0..in_use).rev() {
            if self.positions[slot] == NO_SLOT {
                self.positions[slot] = self.first_vacant;
                self.first_vacant = u32::try_from(slot).unwrap_or(NO_SLOT);
            }
        }
        self.positions.shrink_to((in_use * 2).max(CAPACITY_KEPT_MIN));
        self.shrink_slots_at = (in_use / SPARSE).min(self.heap.len() / 2);
    }
}
