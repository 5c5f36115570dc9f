//! Who wakes a sleeping consumer: one flag between many producers and one consumer.
//!
//! The consumer (a loop) sleeps in the kernel, and waking it costs a system call. So a producer makes that call only
//! when the consumer is parked, and of many producers only one makes it. The story of the flag:
//!
//! - `parked == false`: the consumer is running. It will look into the queue before it sleeps; nobody needs to wake it.
//! - `parked == true`: the consumer is asleep, or has decided to sleep, and nobody has promised to wake it.
//! - The producer that turns `true` into `false` **has promised** to wake the consumer. Later producers see `false` and
//!   rely on that promise. The consumer, once awake, sets `false` itself (`unpark`).
//!
//! No wake-up is lost. Both sides write first and read second, with a sequentially consistent fence in between:
//!
//! ```text
//!   producer: queue the item            consumer: parked = true
//!             fence                               fence
//!             parked?  -> wake                    queue empty?  -> sleep
//! ```
//!
//! The two fences have an order. If the producer's comes first, the consumer sees the item and does not sleep; if the
//! consumer's comes first, the producer sees the flag and wakes. Acquire and release would not do: both sides could read
//! the old value (store buffering). Both may also see each other; that costs one needless wake-up, and is harmless.
//!
//! Every write of the flag is a swap, although stores would do: on x86 they cost the same beside the fence, and loom
//! can put only swaps in one order with each other. (With stores it reports executions that no machine has, in which a
//! swap that returned `false` comes after a later store of `true`.)
//!
//! The queue is not in this file: it only must make an item visible to `is_empty` by an atomic write that precedes the
//! producer's call of [`Parking::announce`]. `tests/loom_inbox.rs` checks this file with the weakest such queue.

use crate::atomics::{AtomicBool, Ordering, fence};

/// The flag, and the four things that may be done with it.
#[derive(Debug)]
pub struct Parking {
    parked: AtomicBool,
}

impl Default for Parking {
    fn default() -> Self {
        Self::new()
    }
}

impl Parking {
    /// A consumer that is running.
    #[must_use]
    pub fn new() -> Self {
        Self { parked: AtomicBool::new(false) }
    }

    /// Producer, after the item is in the queue: must I wake the consumer? `true` is a promise to do so.
    #[must_use = "when this is true the caller has promised to wake the consumer"]
    pub fn announce(&self) -> bool {
        fence(Ordering::SeqCst);
        // The plain load keeps a busy consumer's cache line shared among producers; the swap picks one of them.
        self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel)
    }

    /// Consumer, before it sleeps: may I? `false` when the queue is not empty; then the flag is down again.
    #[must_use = "when this is false the consumer must not sleep"]
    pub fn prepare_to_park(&self, queue_is_empty: impl FnOnce() -> bool) -> bool {
        self.parked.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_park = queue_is_empty();
        if !may_park {
            self.unpark();
        }
        may_park
    }

    /// Consumer, when it is awake again, for whatever reason. Costs a load unless the flag is up.
    pub fn unpark(&self) {
        if self.parked.load(Ordering::Relaxed) {
            self.parked.swap(false, Ordering::Release);
        }
    }
}
