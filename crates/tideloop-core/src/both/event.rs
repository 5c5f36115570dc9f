//! An event: those who wait go on when it is set, and so does everybody later, until it is cleared.

use super::gate::Rules;

/// The state of an event.
#[derive(Debug, Default)]
pub struct Event {
    is_set: bool,
}

impl Event {
    /// Whether it is set.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.is_set
    }

    /// Sets or clears it.
    pub fn assign(&mut self, is_set: bool) {
        self.is_set = is_set;
    }
}

impl Rules for Event {
    type Request = ();
    type Answer = ();

    fn lane((): &()) -> usize {
        0
    }

    fn is_ready(&self, (): &(), _waiting: [usize; 2]) -> bool {
        self.is_set
    }

    fn grant(&mut self, (): ()) {}
}
