//! A queue: items that wait for those who get them, and those who wait for room to put theirs.
//!
//! One who waits for an item is given it. One who waits for room is given the room, not the deed: the place is kept for
//! it, and its item goes in when it comes back. So an item whose `put` was cancelled or timed out has never been in the
//! queue, and one whose `get` was is there again.

use super::gate::Rules;
use crate::atomics::{Arc, AtomicU64, Ordering};

/// What holds the items, and says which is next.
pub trait Buffer {
    /// What is put and got.
    type Item;

    /// Puts an item in.
    fn push(&mut self, item: Self::Item);

    /// Takes the next item out.
    fn pop(&mut self) -> Popped<Self::Item>;

    /// The number of what was taken out last: what is taken out later has a higher one, where the order matters.
    fn last_taken(&self) -> u64 {
        0
    }

    /// Puts an item in again that had been taken out in vain, as this number: it is the next, or among the next.
    fn put_back(&mut self, item: Self::Item, number: u64);

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What came of taking the next item.
#[derive(Debug, PartialEq, Eq)]
pub enum Popped<T> {
    /// This is it.
    Item(T),
    /// Which one it is has to be found out by somebody who may compare them.
    Undecided,
    /// There is none.
    Empty,
}

/// The state of a queue.
#[derive(Debug)]
pub struct Queue<B> {
    /// The items.
    pub buffer: B,
    /// How many it may hold; 0: any number.
    maxsize: usize,
    /// Places that are kept for those who have waited for room.
    kept: usize,
    unfinished: Unfinished,
    is_shut_down: bool,
}

/// How many items nobody has said of that the work on them is done. Written by the queue alone, under its gate's mutex.
#[derive(Clone, Debug)]
pub struct Unfinished(Arc<AtomicU64>);

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request<T> {
    /// An item.
    Get(Purpose),
    /// Room for this item.
    Put(T),
}

/// What one wants an item for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Just so.
    Get,
    /// As one of many, until there are no more.
    Iterate,
}

/// What is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// An item, and its number among those that were taken out.
    Item(T, u64),
    /// A place is kept for this item, which has to go in, or the place has to be given back.
    Room(T),
    /// There are items, but which is next is not known: find out.
    Undecided(Purpose),
    /// There is nothing, and never will be.
    Ended(Purpose),
    /// The queue is shut down; this item has not gone in.
    Refused(T),
}

/// Why an item does not go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// There are as many as may be.
    Full,
    /// The queue is shut down.
    ShutDown,
}

/// More work was said to be done than there was.
#[derive(Debug, PartialEq, Eq)]
pub struct TooOften;

impl Unfinished {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only one thread writes at a time, so that no atomic step is needed.
    fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }
}

impl<B: Buffer> Queue<B> {
    /// An empty one for at most `maxsize` items; 0: any number.
    pub fn new(buffer: B, maxsize: usize) -> Self {
        let unfinished = Unfinished(Arc::new(AtomicU64::new(0)));
        Self { buffer, maxsize, kept: 0, unfinished, is_shut_down: false }
    }

    /// How many items it may hold; 0: any number.
    pub const fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// Sets how many items it may hold; what is in stays.
    pub fn set_maxsize(&mut self, maxsize: usize) {
        self.maxsize = maxsize;
    }

    /// Whether it is shut down.
    pub const fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// The work that is not done.
    pub const fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    /// Whether another item may be put.
    ///
    /// # Errors
    /// Why not.
    #[inline]
    pub fn room(&self) -> Result<(), NoRoom> {
        if self.is_shut_down {
            Err(NoRoom::ShutDown)
        } else if self.maxsize > 0 && self.buffer.len() + self.kept >= self.maxsize {
            Err(NoRoom::Full)
        } else {
            Ok(())
        }
    }

    /// Puts an item in for which there is room.
    #[inline]
    pub fn put(&mut self, item: B::Item) {
        self.buffer.push(item);
        self.count_one();
    }

    /// An item has gone in.
    #[inline]
    pub fn count_one(&mut self) {
        self.unfinished.set(self.unfinished.count() + 1);
    }

    /// Gives up a place that was kept: its item goes in now, or not at all.
    pub fn give_place_back(&mut self) {
        self.kept = self.kept.saturating_sub(1);
    }

    /// Those for whom places were kept are not there any more.
    pub fn forget_kept(&mut self) {
        self.kept = 0;
    }

    /// The work on one item is done; whether it was the last.
    ///
    /// # Errors
    /// `TooOften`, if there was none.
    pub fn finish_one(&mut self) -> Result<bool, TooOften> {
        let left = self.unfinished.count().checked_sub(1).ok_or(TooOften)?;
        self.unfinished.set(left);
        Ok(left == 0)
    }

    /// Refuses all items from here on.
    pub fn shut_down(&mut self) {
        self.is_shut_down = true;
    }

    /// This many items will not be worked on; whether there are no others.
    pub fn forget(&mut self, count: usize) -> bool {
        let left = self.unfinished.count().saturating_sub(count as u64);
        self.unfinished.set(left);
        left == 0
    }

    /// Takes back what was given in vain. What is returned has to be dropped.
    pub fn take_back(&mut self, answer: Answer<B::Item>) -> Option<Answer<B::Item>> {
        match answer {
            Answer::Item(item, number) => {
                self.buffer.put_back(item, number);
                None
            }
            Answer::Room(item) => {
                self.give_place_back();
                Some(Answer::Refused(item))
            }
            other => Some(other),
        }
    }
}

impl<B: Buffer> Rules for Queue<B> {
    type Request = Request<B::Item>;
    type Answer = Answer<B::Item>;

    fn lane(request: &Self::Request) -> usize {
        match request {
            Request::Get(_) => 0,
            Request::Put(_) => 1,
        }
    }

    fn is_ready(&self, request: &Self::Request, _waiting: [usize; 2]) -> bool {
        match request {
            Request::Get(_) => !self.buffer.is_empty() || self.is_shut_down,
            Request::Put(_) => self.room() != Err(NoRoom::Full),
        }
    }

    fn grant(&mut self, request: Self::Request) -> Self::Answer {
        match request {
            Request::Get(purpose) => match self.buffer.pop() {
                Popped::Item(item) => Answer::Item(item, self.buffer.last_taken()),
                Popped::Undecided => Answer::Undecided(purpose),
                Popped::Empty => Answer::Ended(purpose),
            },
            Request::Put(item) if self.is_shut_down => Answer::Refused(item),
            Request::Put(item) => {
                self.kept += 1;
                Answer::Room(item)
            }
        }
    }
}

/// Those who wait for all work to be done.
#[derive(Debug)]
pub struct Joiners(pub Unfinished);

impl Rules for Joiners {
    type Request = ();
    type Answer = ();

    fn lane((): &()) -> usize {
        0
    }

    fn is_ready(&self, (): &(), _waiting: [usize; 2]) -> bool {
        self.0.count() == 0
    }

    fn grant(&mut self, (): ()) {}
}
