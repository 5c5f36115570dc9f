//! A broadcast: every value goes to every subscriber, from its subscription on.
//!
//! Values stand in one log until each subscriber that was there has read them. Whoever is slow holds the sender back
//! when the log is full, or, where the oldest is dropped instead, misses values and is told how many.

use std::collections::{BTreeMap, VecDeque};

use super::gate::Rules;

/// The state of a broadcast. A clone of a value costs nothing and runs nothing: it is a counted reference.
#[derive(Debug)]
pub struct Broadcast<T> {
    log: VecDeque<Entry<T>>,
    /// The number of the first value in the log: they are counted from the beginning.
    first: u64,
    capacity: usize,
    drops_oldest: bool,
    is_closed: bool,
    subscribers: BTreeMap<Subscriber, Progress<T>>,
    next_subscriber: u64,
}

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subscriber(u64);

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// How many have not read it. They read in order, so it is the first of the log when nobody is left.
    unread_by: usize,
}

#[derive(Debug)]
struct Progress<T> {
    /// The number of the value that it reads next, if it has not been dropped meanwhile.
    next: u64,
    /// What a receiver who left has given back; to be read before the log.
    given_back: VecDeque<T>,
    /// Of how many dropped values a receiver who left had been told.
    missed_before: u64,
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Request<T> {
    /// Send this value to everybody.
    Send(T),
    /// Receive the next value of this subscriber. The label comes back with the answer.
    Receive(Subscriber, u32),
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The value has been sent; this one was dropped for it, or is itself, if nobody subscribes.
    Sent(Option<T>),
    /// It is closed: the value comes back.
    Refused(T),
    /// The next value.
    Received(Subscriber, T),
    /// So many values were dropped before the next one.
    Lagged(Subscriber, u64),
    /// It is closed, and everything has been read; or there is no such subscriber. With the request's label.
    Ended(u32),
}

impl<T: Clone> Broadcast<T> {
    /// A broadcast whose slowest subscriber is at most `capacity` values behind (at least 1).
    #[must_use]
    pub fn new(capacity: usize, drops_oldest: bool) -> Self {
        Self {
            log: VecDeque::new(),
            first: 0,
            capacity: capacity.max(1),
            drops_oldest,
            is_closed: false,
            subscribers: BTreeMap::new(),
            next_subscriber: 0,
        }
    }

    /// How far the slowest may be behind.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing can be sent any more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many subscribe.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// How many values this one can receive now; None if it is not there.
    #[must_use]
    pub fn unread(&self, subscriber: Subscriber) -> Option<usize> {
        let progress = self.subscribers.get(&subscriber)?;
        let in_log = self.end() - progress.next.max(self.first);
        Some(progress.given_back.len() + usize::try_from(in_log).unwrap_or(usize::MAX))
    }

    /// Nothing can be sent from here on.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// One more receives everything from here on.
    pub fn subscribe(&mut self) -> Subscriber {
        let subscriber = Subscriber(self.next_subscriber);
        self.next_subscriber += 1;
        let progress = Progress { next: self.end(), given_back: VecDeque::new(), missed_before: 0 };
        // Numbers are never used again.
        let none = self.subscribers.insert(subscriber, progress);
        debug_assert!(none.is_none());
        subscriber
    }

    /// One less does. Comes back: what it alone had not read.
    #[must_use = "values are dropped outside"]
    pub fn unsubscribe(&mut self, subscriber: Subscriber) -> Vec<T> {
        let Some(progress) = self.subscribers.remove(&subscriber) else { return Vec::new() };
        let unread_from = usize::try_from(progress.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.log.iter_mut().skip(unread_from) {
            entry.unread_by -= 1;
        }
        let mut left: Vec<T> = progress.given_back.into();
        while self.log.front().is_some_and(|entry| entry.unread_by == 0) {
            left.extend(self.pop());
        }
        left
    }

    /// A receiver has left with its answer, which is the next one again. Comes back: what is for nobody.
    pub fn take_back(&mut self, answer: Answer<T>) -> Option<T> {
        match answer {
            Answer::Received(subscriber, value) => match self.subscribers.get_mut(&subscriber) {
                Some(progress) => {
                    progress.given_back.push_front(value);
                    None
                }
                None => Some(value),
            },
            Answer::Lagged(subscriber, missed) => {
                if let Some(progress) = self.subscribers.get_mut(&subscriber) {
                    progress.missed_before += missed;
                }
                None
            }
            Answer::Refused(value) => Some(value),
            Answer::Sent(dropped) => dropped,
            Answer::Ended(_) => None,
        }
    }

    /// Takes all values out.
    #[must_use = "they are dropped outside"]
    pub fn drain(&mut self) -> Vec<T> {
        let mut values: Vec<T> = Vec::new();
        while let Some(value) = self.pop() {
            values.push(value);
        }
        for progress in self.subscribers.values_mut() {
            values.extend(progress.given_back.drain(..));
            progress.next = progress.next.max(self.first);
        }
        values
    }

    /// The values in the log, and those that were given back.
    pub fn values(&self) -> (impl Iterator<Item = &T>, impl Iterator<Item = &T>) {
        let given_back = self.subscribers.values().flat_map(|progress| &progress.given_back);
        (self.log.iter().map(|entry| &entry.value), given_back)
    }

    /// The number that the next value gets.
    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    fn pop(&mut self) -> Option<T> {
        let entry = self.log.pop_front()?;
        self.first += 1;
        Some(entry.value)
    }

    fn send(&mut self, value: T) -> Answer<T> {
        if self.is_closed {
            return Answer::Refused(value);
        }
        if self.subscribers.is_empty() {
            return Answer::Sent(Some(value));
        }
        let dropped = if self.log.len() >= self.capacity { self.pop() } else { None };
        self.log.push_back(Entry { value, unread_by: self.subscribers.len() });
        Answer::Sent(dropped)
    }

    fn receive(&mut self, subscriber: Subscriber, label: u32) -> Answer<T> {
        let (first, end) = (self.first, self.end());
        let Some(progress) = self.subscribers.get_mut(&subscriber) else { return Answer::Ended(label) };
        let missed = std::mem::take(&mut progress.missed_before);
        if missed > 0 {
            return Answer::Lagged(subscriber, missed);
        }
        if let Some(value) = progress.given_back.pop_front() {
            return Answer::Received(subscriber, value);
        }
        if progress.next < first {
            let missed = first - progress.next;
            progress.next = first;
            return Answer::Lagged(subscriber, missed);
        }
        let at = usize::try_from(progress.next - first).unwrap_or(usize::MAX);
        if progress.next < end {
            progress.next += 1;
        }
        let Some(entry) = self.log.get_mut(at) else { return Answer::Ended(label) };
        entry.unread_by -= 1;
        let value = if entry.unread_by == 0 { self.pop() } else { Some(entry.value.clone()) };
        value.map_or(Answer::Ended(label), |value| Answer::Received(subscriber, value))
    }
}

const SENDERS: usize = 0;
const RECEIVERS: usize = 1;

impl<T: Clone> Rules for Broadcast<T> {
    type Request = Request<T>;
    type Answer = Answer<T>;

    fn lane(request: &Request<T>) -> usize {
        match request {
            Request::Send(_) => SENDERS,
            Request::Receive(..) => RECEIVERS,
        }
    }

    /// Each subscriber waits for values of its own.
    fn may_overtake(lane: usize) -> bool {
        lane == RECEIVERS
    }

    fn is_ready(&self, request: &Request<T>, _waiting: [usize; 2]) -> bool {
        self.is_closed
            || match request {
                Request::Send(_) => self.drops_oldest || self.log.len() < self.capacity || self.subscribers.is_empty(),
                Request::Receive(subscriber, _) => self.subscribers.get(subscriber).is_none_or(|progress| {
                    progress.next < self.end() || !progress.given_back.is_empty() || progress.missed_before > 0
                }),
            }
    }

    fn grant(&mut self, request: Request<T>) -> Answer<T> {
        match request {
            Request::Send(value) => self.send(value),
            Request::Receive(subscriber, label) => self.receive(subscriber, label),
        }
    }
}
