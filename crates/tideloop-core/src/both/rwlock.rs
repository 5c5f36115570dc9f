//! A readers-writer lock: many read, or one writes. The policy decides who is let in first.

use super::gate::Rules;

/// Who is let in first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Who came first; readers that stand next to each other together.
    Fair,
    /// Readers, whoever waits to write.
    Reader,
    /// Who waits to write.
    Writer,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read, beside others.
    Read,
    /// Write, alone.
    Write,
}

/// To be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The lock's.
    pub policy: Policy,
    /// What for.
    pub access: Access,
}

/// The state of the lock.
#[derive(Debug, Default)]
pub struct RwLock {
    reading: usize,
    writing: bool,
}

impl RwLock {
    /// How many read.
    #[must_use]
    pub const fn reading(&self) -> usize {
        self.reading
    }

    /// Whether somebody writes.
    #[must_use]
    pub const fn is_writing(&self) -> bool {
        self.writing
    }

    /// One more reads who reads already, whoever waits.
    pub fn read_again(&mut self) {
        self.reading += 1;
    }

    /// Somebody has left.
    pub fn leave(&mut self, access: Access) {
        match access {
            Access::Read => self.reading = self.reading.saturating_sub(1),
            Access::Write => self.writing = false,
        }
    }
}

impl Rules for RwLock {
    type Request = Request;
    type Answer = Access;

    fn lane(request: &Request) -> usize {
        match (request.policy, request.access) {
            (Policy::Fair, _) | (Policy::Reader, Access::Read) | (Policy::Writer, Access::Write) => 0,
            (Policy::Reader, Access::Write) | (Policy::Writer, Access::Read) => 1,
        }
    }

    fn is_ready(&self, request: &Request, waiting: [usize; 2]) -> bool {
        match (request.access, request.policy) {
            // Whoever is in the other lane goes first.
            (Access::Read, Policy::Writer) => !self.writing && waiting[0] == 0,
            (Access::Read, Policy::Fair | Policy::Reader) => !self.writing,
            (Access::Write, _) => !self.writing && self.reading == 0,
        }
    }

    fn grant(&mut self, request: Request) -> Access {
        match request.access {
            Access::Read => self.reading += 1,
            Access::Write => self.writing = true,
        }
        request.access
    }
}
