//! A condition: so many of those who wait go on as are notified, who came first first.
//!
//! A notification is for those who wait already, never for one who comes later: each has the number of the notification
//! before which it came. What is left of a notification, because one whom it was for has left in that moment, is void.

use super::gate::Rules;

/// The state of a condition.
#[derive(Debug, Default)]
pub struct Condition {
    /// The number of the next notification.
    round: u64,
    /// How many more the last one is for.
    left: usize,
}

impl Condition {
    /// What one who begins to wait asks for.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// Notifies so many.
    pub fn notify(&mut self, count: usize) {
        self.round += 1;
        self.left = count;
    }
}

impl Rules for Condition {
    type Request = u64;
    type Answer = ();

    fn lane(_: &u64) -> usize {
        0
    }

    fn is_ready(&self, round: &u64, _waiting: [usize; 2]) -> bool {
        self.left > 0 && *round < self.round
    }

    fn grant(&mut self, _: u64) {
        self.left -= 1;
    }
}
