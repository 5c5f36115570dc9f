//! A value that is replaced whole, and whose readers never wait: read, copy, update.
//!
//! There are two slots. The version says which one is current by its last bit; the other is empty, or is being filled.
//! A writer fills the other slot, raises the version, and takes the old value out of the first:
//!
//! ```text
//!   reader: v = version               writer: fill slot (v + 1) % 2, labelled v + 1
//!           slot v % 2, labelled v?           version = v + 1
//!           yes: read it, no: again           take the value out of slot v % 2
//! ```
//!
//! A reader tries a slot's lock and never waits for it. It finds the slot locked, emptied or labelled otherwise only if
//! the version has moved since it looked: then a writer has got on, and the reader looks again. The label matters: a
//! reader that is late by one version may come to a slot that is filled already and not current yet; what it read there
//! could be taken back by the next reader. A writer waits for readers that are in its slot, which they leave after some
//! instructions, and for other writers.

use std::sync::{PoisonError, TryLockError};

use crate::atomics::{AtomicU64, Mutex, Ordering, RwLock, lock};

#[derive(Debug)]
struct Slot<T> {
    version: u64,
    value: Option<T>,
}

/// The two slots and the version.
#[derive(Debug)]
pub struct SnapshotCell<T> {
    version: AtomicU64,
    slots: [RwLock<Slot<T>>; 2],
    writing: Mutex<()>,
}

impl<T> SnapshotCell<T> {
    /// A cell that holds `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        let first = Slot { version: 0, value: Some(value) };
        let second = Slot { version: 1, value: None };
        Self { version: AtomicU64::new(0), slots: [RwLock::new(first), RwLock::new(second)], writing: Mutex::new(()) }
    }

    /// What `read` makes of the current value; it takes a few instructions, such as counting a reference up.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let slot = match self.slot(version).try_read() {
                Ok(slot) => slot,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    again();
                    continue;
                }
            };
            if slot.version == version
                && let Some(value) = &slot.value
            {
                return read(value);
            }
            drop(slot);
            again();
        }
    }

    /// Puts `value` in place of the current one, which is returned.
    pub fn replace(&self, value: T) -> Option<T> {
        let _writing = lock(&self.writing);
        let old = self.version.load(Ordering::Relaxed);
        let new = old.wrapping_add(1);
        // It is empty: whoever made the version that is current has taken the value out.
        let left = self.fill(new, Some(value));
        debug_assert!(left.is_none());
        self.version.store(new, Ordering::Release);
        self.fill(old, None)
    }

    fn fill(&self, version: u64, value: Option<T>) -> Option<T> {
        let mut slot = self.slot(version).write().unwrap_or_else(PoisonError::into_inner);
        slot.version = version;
        std::mem::replace(&mut slot.value, value)
    }

    fn slot(&self, version: u64) -> &RwLock<Slot<T>> {
        &self.slots[usize::from(version & 1 == 1)]
    }
}

/// The version has moved meanwhile. (The model checker has to be told that another thread must run first.)
#[inline]
fn again() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}
