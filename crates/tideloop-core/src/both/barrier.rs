//! A barrier: so many have to come, and then all of them go on.
//!
//! Those who have come stand in lane 0, each with the number of its round. When the last one comes, or when the round
//! is broken, the number goes up, and all of a past round leave with its outcome in the order in which they came. While
//! the last one does what is to be done before anybody leaves, those who come early for the next round stand in lane 1,
//! and are told to come in afterwards.

use super::gate::Rules;

/// The state of a barrier.
#[derive(Debug)]
pub struct Barrier {
    parties: usize,
    has_action: bool,
    round: u64,
    /// The last one of this round acts.
    acting: bool,
    broken: bool,
    /// How many of the last round have left, or None: it was broken.
    left: Option<usize>,
}

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The end of this round.
    Round(u64),
    /// That one can come in.
    Outside,
}

/// What becomes of one who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All have come; this was its place among them.
    Passed(usize),
    /// The round was broken.
    Broken,
    /// It can come in now.
    ComeIn,
}

/// What one has to do who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Wait for that.
    Waits(Request),
    /// It is the last one of this round: act, and tell how that went.
    Acts(u64),
    /// It is the last one, in this place.
    Passed(usize),
    /// The barrier is broken.
    Broken,
}

impl Barrier {
    /// For so many parties, the last of which acts before anybody leaves if there `has_action`.
    #[must_use]
    pub const fn new(parties: usize, has_action: bool) -> Self {
        Self { parties, has_action, round: 0, acting: false, broken: false, left: Some(0) }
    }

    /// How many have to come.
    #[must_use]
    pub const fn parties(&self) -> usize {
        self.parties
    }

    /// Whether it is broken.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Somebody comes, where so many wait.
    pub fn arrive(&mut self, waiting: usize) -> Arrival {
        if self.broken {
            return Arrival::Broken;
        }
        if self.acting {
            return Arrival::Waits(Request::Outside);
        }
        if waiting + 1 < self.parties {
            return Arrival::Waits(Request::Round(self.round));
        }
        if self.has_action {
            self.acting = true;
            return Arrival::Acts(self.round);
        }
        self.end_round(Some(0));
        Arrival::Passed(self.parties - 1)
    }

    /// The last one has acted: its place, unless the round was broken meanwhile.
    pub fn acted(&mut self, round: u64) -> Option<usize> {
        if self.round != round {
            return None;
        }
        self.end_round(Some(0));
        Some(self.parties - 1)
    }

    /// Breaks it: whoever waits or comes is told so.
    pub fn abort(&mut self) {
        self.broken = true;
        self.end_round(None);
    }

    /// As new: whoever waits is told that the round was broken.
    pub fn reset(&mut self) {
        self.broken = false;
        self.end_round(None);
    }

    fn end_round(&mut self, left: Option<usize>) {
        self.round += 1;
        self.acting = false;
        self.left = left;
    }
}

impl Rules for Barrier {
    type Request = Request;
    type Answer = Answer;

    fn lane(request: &Request) -> usize {
        match request {
            Request::Round(_) => 0,
            Request::Outside => 1,
        }
    }

    fn is_ready(&self, request: &Request, _waiting: [usize; 2]) -> bool {
        match request {
            Request::Round(round) => *round < self.round,
            Request::Outside => !self.acting,
        }
    }

    fn grant(&mut self, request: Request) -> Answer {
        match (request, &mut self.left) {
            (Request::Outside, _) => Answer::ComeIn,
            (Request::Round(_), None) => Answer::Broken,
            (Request::Round(_), Some(left)) => {
                *left += 1;
                Answer::Passed(*left - 1)
            }
        }
    }
}
