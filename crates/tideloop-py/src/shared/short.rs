//! A lock that is held for a few instructions: to swap a pointer, to count a reference up.
//!
//! It is taken while attached to the interpreter, and its holder never waits, calls Python, drops a Python object or
//! detaches. So on builds with a GIL nobody ever finds it taken; on free-threaded builds whoever does waits for some
//! nanoseconds, and a stop of the world waits for both. A fork copies it open, for the thread that forks is attached
//! and either has the GIL or has stopped the world.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// A value behind such a lock.
pub struct Short<T>(Mutex<T>);

impl<T> Short<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Gives `f` the value. `f` keeps to the rules above, and what it replaces it returns.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value: MutexGuard<'_, T> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut value)
    }

    /// For the collector, which may not wait: `None` while somebody holds the lock. Then what it guards is reachable
    /// from a running thread, and the collector leaves it alone this time.
    pub fn during_gc<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        match self.0.try_lock() {
            Ok(value) => Some(f(&value)),
            Err(TryLockError::Poisoned(poisoned)) => Some(f(&poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
