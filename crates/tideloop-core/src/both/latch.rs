//! A latch: those who wait go on when it has been counted down to zero, for ever.

use super::gate::Rules;

/// The state of a latch.
#[derive(Debug)]
pub struct Latch {
    count: u64,
}

impl Latch {
    /// One that has to be counted down so often.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self { count }
    }

    /// How often it still has to be counted down.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Counts down, to zero at most.
    pub fn count_down(&mut self, by: u64) {
        self.count = self.count.saturating_sub(by);
    }
}

impl Rules for Latch {
    type Request = ();
    type Answer = ();

    fn lane((): &()) -> usize {
        0
    }

    fn is_ready(&self, (): &(), _waiting: [usize; 2]) -> bool {
        self.count == 0
    }

    fn grant(&mut self, (): ()) {}
}
