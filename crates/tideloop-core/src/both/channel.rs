//! A channel: values go from those who send to those who receive, each to one of them, in order.

use std::collections::VecDeque;

use super::gate::Rules;

/// The state of a channel. What is asked and answered carries a `label`: what the asker wants to know it by.
#[derive(Debug)]
pub struct Channel<T> {
    /// What has been sent and not received, each with its number, in the order of these. One of room 0 holds only what a
    /// receiver who left has given back.
    values: VecDeque<(u64, T)>,
    /// How many have been sent.
    sent: u64,
    /// How many values wait here at most; none: a sender waits for a receiver. None: without limit.
    capacity: Option<usize>,
    is_closed: bool,
}

/// What is asked of a channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<T> {
    /// Comes back with the answer.
    pub label: u32,
    /// What is asked.
    pub action: Action<T>,
}

/// What one can do with a channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<T> {
    /// Send this value.
    Send(T),
    /// Receive a value.
    Receive,
}

/// What a channel answers.
#[derive(Debug)]
pub struct Answer<T> {
    /// The request's.
    pub label: u32,
    /// How it went.
    pub outcome: Outcome<T>,
    /// The number of the value that was sent or received; 0: none was.
    number: u64,
}

impl<T: PartialEq> PartialEq for Answer<T> {
    /// Whatever the number is.
    fn eq(&self, other: &Self) -> bool {
        self.label == other.label && self.outcome == other.outcome
    }
}

impl<T> Answer<T> {
    /// One about no value of a channel.
    pub const fn new(label: u32, outcome: Outcome<T>) -> Self {
        Self { label, outcome, number: 0 }
    }
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The value has been sent.
    Sent,
    /// The channel is closed: the value comes back.
    Refused(T),
    /// The oldest value.
    Received(T),
    /// The channel is closed, and nothing is left in it.
    Ended,
}

impl<T> Channel<T> {
    /// A channel for `capacity` values: 0 for a rendezvous, None for any number.
    #[must_use]
    pub const fn new(capacity: Option<usize>) -> Self {
        Self { values: VecDeque::new(), sent: 0, capacity, is_closed: false }
    }

    /// How many values wait at most.
    #[must_use]
    pub const fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// How many values have been sent and not received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing waits to be received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether nothing can be sent any more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Nothing can be sent from here on.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Somebody has left with its answer. What a receiver was given is in its old place again; what a sender has sent is
    /// not there any more, unless it has been received. Comes back: what is left.
    pub fn take_back(&mut self, Answer { outcome, number, .. }: Answer<T>) -> Option<T> {
        let place = self.values.binary_search_by_key(&number, |(number, _)| *number);
        match (outcome, place) {
            (Outcome::Received(value), Ok(at) | Err(at)) => {
                self.values.insert(at, (number, value));
                None
            }
            (Outcome::Refused(value), _) => Some(value),
            (Outcome::Sent, Ok(at)) => self.values.remove(at).map(|(_, value)| value),
            (Outcome::Sent, Err(_)) | (Outcome::Ended, _) => None,
        }
    }

    /// Takes all values out.
    #[must_use = "they are dropped outside"]
    pub fn drain(&mut self) -> VecDeque<(u64, T)> {
        std::mem::take(&mut self.values)
    }

    /// The values, the oldest first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter().map(|(_, value)| value)
    }

    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.values.len() < capacity)
    }
}

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;

impl<T> Rules for Channel<T> {
    type Request = Request<T>;
    type Answer = Answer<T>;

    fn lane(request: &Request<T>) -> usize {
        match request.action {
            Action::Send(_) => SENDERS,
            Action::Receive => RECEIVERS,
        }
    }

    fn is_ready(&self, request: &Request<T>, _waiting: [usize; 2]) -> bool {
        self.is_closed
            || match request.action {
                Action::Send(_) => self.has_room(),
                Action::Receive => !self.values.is_empty(),
            }
    }

    fn grant(&mut self, Request { label, action }: Request<T>) -> Answer<T> {
        let (outcome, number) = match action {
            Action::Send(value) if self.is_closed => (Outcome::Refused(value), 0),
            Action::Send(value) => {
                self.sent += 1;
                self.values.push_back((self.sent, value));
                (Outcome::Sent, self.sent)
            }
            Action::Receive => match self.values.pop_front() {
                Some((number, value)) => (Outcome::Received(value), number),
                None => (Outcome::Ended, 0),
            },
        };
        Answer { label, outcome, number }
    }

    /// Whoever sends through no room at all meets whoever receives.
    fn meets(&self, _mine: &Request<T>, _theirs: &Request<T>) -> bool {
        !self.is_closed && !self.has_room() && self.values.is_empty()
    }

    fn meet(&mut self, mine: Request<T>, theirs: Request<T>) -> (Answer<T>, Answer<T>) {
        // The value goes in and out: the one who sends has to come first.
        if matches!(mine.action, Action::Send(_)) {
            let mine = self.grant(mine);
            (mine, self.grant(theirs))
        } else {
            let theirs = self.grant(theirs);
            (self.grant(mine), theirs)
        }
    }
}
