//! A number for each thread: not zero, below 2^63, and never used again, also when the thread has ended.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);
/// In the child of a fork: the threads of the parent had numbers below the first, and all but the second are gone.
static ENDED_BELOW: AtomicU64 = AtomicU64::new(0);
static SURVIVOR: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// The number of the thread that runs.
#[inline]
pub fn current() -> u64 {
    NUMBER.with(|number| match number.get() {
        0 => first(number),
        known => known,
    })
}

#[cold]
fn first(number: &Cell<u64>) -> u64 {
    let new = NEXT.fetch_add(1, Ordering::Relaxed);
    number.set(new);
    new
}

/// Whether this thread was left behind in the parent of this process.
pub fn is_gone(number: u64) -> bool {
    number < ENDED_BELOW.load(Ordering::Acquire) && number != SURVIVOR.load(Ordering::Acquire)
}

/// Called in the child of a fork, by its one thread.
pub fn after_fork_in_child() {
    SURVIVOR.store(current(), Ordering::Release);
    ENDED_BELOW.store(NEXT.load(Ordering::Relaxed), Ordering::Release);
}
