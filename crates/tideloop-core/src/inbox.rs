//! What other threads hand to a loop: many producers, one consumer, no lock, and a wake-up only when it is needed.
//!
//! The queue is crossbeam's; the protocol that decides who wakes the consumer is [`crate::parking`], where its memory
//! orderings are explained. The consumer's side of it, in a loop's turn:
//!
//! ```text
//!   if inbox.prepare_to_park() { wait in the kernel }      otherwise poll without waiting
//!   inbox.unpark()
//!   drain the wake fd, then try_pop() until None
//! ```
//!
//! Items of one producer come out in the order in which it pushed them.

use crossbeam_queue::SegQueue;

use crate::parking::Parking;

/// A queue from any thread to the one that consumes it.
#[derive(Debug)]
pub struct Inbox<T: Send> {
    /// By itself: it wants whole cache lines, and Python's allocator gives its objects 16 bytes' alignment.
    queue: Box<SegQueue<T>>,
    parking: Parking,
}

impl<T: Send> Default for Inbox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send> Inbox<T> {
    /// An empty inbox whose consumer is running.
    #[must_use]
    pub fn new() -> Self {
        Self { queue: Box::new(SegQueue::new()), parking: Parking::new() }
    }

    /// Hand over an item. `true`: the consumer is parked and nobody else has promised to wake it, so the caller must.
    #[must_use = "when this is true the caller must wake the consumer"]
    pub fn push(&self, item: T) -> bool {
        self.queue.push(item);
        self.parking.announce()
    }

    /// The oldest item. For the consumer.
    pub fn try_pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether no item is waiting (or in the middle of being pushed).
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of items, as of some moment during the call.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// The consumer is about to sleep. `false`: something has arrived, don't.
    #[must_use = "when this is false the consumer must not sleep"]
    pub fn prepare_to_park(&self) -> bool {
        self.parking.prepare_to_park(|| self.queue.is_empty())
    }

    /// The consumer is awake: from here on nobody needs to wake it. Pop after this call, not before.
    pub fn unpark(&self) {
        self.parking.unpark();
    }
}
