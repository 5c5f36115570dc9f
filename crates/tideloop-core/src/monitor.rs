//! A re-entrant lock whose waiters are somebody else's to park and to wake.
//!
//! One word says who is inside and whether somebody waits:
//!
//! ```text
//!   0                     free
//!   owner << 1            `owner` is inside, nobody waits
//!   owner << 1 | WAITED   `owner` is inside and wakes the first waiter when it leaves
//!   WAITED                free, with waiters: one of them has been woken, or whoever enters next will wake one
//! ```
//!
//! Entering and leaving without others is one compare-and-swap each. A thread that finds somebody inside sets `WAITED`
//! and joins the queue under the queue's lock; then it parks. Who leaves with `WAITED` set takes the first of the queue
//! under the same lock and wakes it: setting the bit and joining are one step to it, so no wake-up is lost. Who is woken
//! competes with newcomers, and when it loses, waits again at the head of the queue.
//!
//! An owner is named by a number that no other thread has, ever. After a fork the threads of the parent are gone without
//! having left: the caller says which owners are, and an abandoned lock counts as free. (A compound operation of such a
//! thread is then half done.) The queue's lock is held for a few instructions.

use std::collections::VecDeque;

use crate::atomics::{AtomicU32, AtomicU64, Mutex, Ordering, lock};

const WAITED: u64 = 1;

/// Names a thread: not zero, below 2^63, and never used again.
pub type Owner = u64;

/// The word, how often the owner has entered again, and who waits.
#[derive(Debug)]
pub struct Monitor<W> {
    word: AtomicU64,
    /// Touched by the owner alone, so without any ordering: the word hands it over.
    entered_again: AtomicU32,
    waiters: Mutex<VecDeque<(Owner, W)>>,
}

impl<W> Default for Monitor<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<W> Monitor<W> {
    /// A lock that is free.
    #[must_use]
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0), entered_again: AtomicU32::new(0), waiters: Mutex::new(VecDeque::new()) }
    }

    /// Whether `me` is inside.
    #[inline]
    #[must_use]
    pub fn is_inside(&self, me: Owner) -> bool {
        self.word.load(Ordering::Relaxed) >> 1 == me
    }

    /// Enters if nobody else is inside. Each entry needs its own [`leave`](Self::leave).
    #[inline]
    #[must_use = "when this is true there is something to leave"]
    pub fn try_enter(&self, me: Owner) -> bool {
        match self.word.compare_exchange(0, me << 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => true,
            Err(word) if word >> 1 == me => {
                self.entered_again.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(word) => {
                word == WAITED
                    && self
                        .word
                        .compare_exchange(WAITED, me << 1 | WAITED, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
            }
        }
    }

    /// Enters if nobody is inside that has not `ended`; otherwise queues the waiter, and the caller parks.
    ///
    /// `again`: it has been queued and woken before, and is not put behind others.
    #[must_use = "when this is true there is something to leave"]
    pub fn enter_or_queue(
        &self,
        me: Owner,
        waiter: impl FnOnce() -> W,
        again: bool,
        ended: impl Fn(Owner) -> bool,
    ) -> bool {
        let mut waiters = lock(&self.waiters);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let owner = word >> 1;
            let abandoned = owner != 0 && ended(owner);
            let free = owner == 0 || abandoned;
            let new = if free { me << 1 | word & WAITED } else { word | WAITED };
            match self.word.compare_exchange(word, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if free => {
                    if abandoned {
                        self.entered_again.store(0, Ordering::Relaxed);
                        waiters.retain(|(waiter, _)| !ended(*waiter));
                    }
                    return true;
                }
                Ok(_) => break,
                Err(seen) => word = seen,
            }
        }
        // A wait that ended by itself, such as for a signal, has left its entry there.
        if !waiters.iter().any(|(waiter, _)| *waiter == me) {
            let entry = (me, waiter());
            if again { waiters.push_front(entry) } else { waiters.push_back(entry) }
        }
        false
    }

    /// Leaves what `me` has entered; whom to wake.
    #[inline]
    #[must_use = "the waiter has to be woken"]
    pub fn leave(&self, me: Owner) -> Option<W> {
        debug_assert!(self.is_inside(me));
        let entered_again = self.entered_again.load(Ordering::Relaxed);
        if entered_again > 0 {
            self.entered_again.store(entered_again - 1, Ordering::Relaxed);
            return None;
        }
        if self.word.compare_exchange(me << 1, 0, Ordering::Release, Ordering::Relaxed).is_ok() {
            return None;
        }
        self.hand_out()
    }

    #[cold]
    fn hand_out(&self) -> Option<W> {
        let mut waiters = lock(&self.waiters);
        let first = waiters.pop_front();
        // Nobody else changes the word meanwhile: the bit is set under the queue's lock, and somebody is inside.
        self.word.store(if waiters.is_empty() { 0 } else { WAITED }, Ordering::Release);
        first.map(|(_, waiter)| waiter)
    }

    /// Gives up waiting; whom to wake instead, if `me` had been woken for nothing.
    #[must_use = "the waiter has to be woken"]
    pub fn withdraw(&self, me: Owner) -> Option<W> {
        let mut waiters = lock(&self.waiters);
        if let Some(position) = waiters.iter().position(|(waiter, _)| *waiter == me) {
            drop(waiters.remove(position));
            return None;
        }
        let free = self.word.load(Ordering::Relaxed) >> 1 == 0;
        if free { waiters.pop_front().map(|(_, waiter)| waiter) } else { None }
    }
}
