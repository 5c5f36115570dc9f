//! A watched value: who watches sees the newest one, and waits for one that is newer than what it has seen.

use super::gate::Rules;
use crate::atomics::{Arc, AtomicU64, Ordering};

/// The state of a watched value. A clone of it costs nothing and runs nothing: it is a counted reference.
#[derive(Debug)]
pub struct Watch<T> {
    value: T,
    /// How often it has been set.
    version: u64,
    is_closed: bool,
}

/// One who watches: the version that it has seen.
#[derive(Clone, Debug)]
pub struct Watcher(Arc<AtomicU64>);

impl Watcher {
    /// Remembers that it has seen this version.
    pub fn has_seen(&self, version: u64) {
        self.0.fetch_max(version, Ordering::Relaxed);
    }

    fn seen(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A newer value is asked for. The label comes back with the answer.
#[derive(Debug)]
pub struct Request {
    /// Than what this one has seen.
    pub watcher: Watcher,
    /// What the asker wants to know the answer by.
    pub label: u32,
}

/// What is answered.
#[derive(Debug)]
pub enum Answer<T> {
    /// The newest value, and its version; the watcher has seen it as soon as it says so.
    Newer(Watcher, u64, T),
    /// It is closed, and the last value has been seen. With the request's label.
    Ended(u32),
}

impl<T: Clone> Watch<T> {
    /// A value to be watched.
    pub const fn new(value: T) -> Self {
        Self { value, version: 0, is_closed: false }
    }

    /// The newest value, and its version.
    pub fn newest(&self) -> (T, u64) {
        (self.value.clone(), self.version)
    }

    /// The newest value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// Whether it can be set no more.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Sets the value; the one before comes back.
    ///
    /// # Errors
    /// The value, if it is closed.
    pub fn set(&mut self, value: T) -> Result<T, T> {
        if self.is_closed {
            return Err(value);
        }
        self.version += 1;
        Ok(std::mem::replace(&mut self.value, value))
    }

    /// Puts another value in the place of this one, which nobody shall see.
    #[must_use = "it is dropped outside"]
    pub fn replace(&mut self, value: T) -> T {
        std::mem::replace(&mut self.value, value)
    }

    /// It can be set no more.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// One more watches; it has seen what is there.
    pub fn watcher(&self) -> Watcher {
        Watcher(Arc::new(AtomicU64::new(self.version)))
    }

    /// Whether this one has something to see.
    pub fn is_newer(&self, watcher: &Watcher) -> bool {
        self.version > watcher.seen()
    }
}

impl<T: Clone> Rules for Watch<T> {
    type Request = Request;
    type Answer = Answer<T>;

    fn lane(_request: &Request) -> usize {
        0
    }

    /// Each has seen another version.
    fn may_overtake(_lane: usize) -> bool {
        true
    }

    fn is_ready(&self, request: &Request, _waiting: [usize; 2]) -> bool {
        self.is_closed || self.is_newer(&request.watcher)
    }

    fn grant(&mut self, Request { watcher, label }: Request) -> Answer<T> {
        if self.is_newer(&watcher) {
            Answer::Newer(watcher, self.version, self.value.clone())
        } else {
            Answer::Ended(label)
        }
    }
}
