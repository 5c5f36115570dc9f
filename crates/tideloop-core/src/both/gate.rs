//! A gate: a state, the rules by which requests to it are granted, and those who wait until theirs is.

use super::seat::{GivenUp, Gone, Seat};
use crate::atomics::{Arc, Mutex, MutexGuard, lock};
use crate::wait_queue::{Ticket, WaitQueue};

/// What a primitive is. All methods are called under the gate's mutex.
pub trait Rules {
    /// What is asked for.
    type Request;
    /// What is given.
    type Answer;

    /// The lane in which a request waits, 0 or 1. A lane is strictly first come, first served, unless its requests may
    /// [overtake](Self::may_overtake); the first of lane 0 is looked at before the first of lane 1.
    fn lane(request: &Self::Request) -> usize;

    /// Whether a request of this lane is granted when it is ready, although one that is not stands before it: where
    /// different requests of one lane wait for different things.
    fn may_overtake(_lane: usize) -> bool {
        false
    }

    /// Whether the request can be granted now, to one who stands first in its lane. `waiting`: how many wait in each
    /// lane (the one who asks, if it waits itself, counts).
    fn is_ready(&self, request: &Self::Request, waiting: [usize; 2]) -> bool;

    /// Grants a request that is ready.
    fn grant(&mut self, request: Self::Request) -> Self::Answer;

    /// Whether a request and one of the other lane meet although neither is ready: a rendezvous. Those who wait in one
    /// lane all meet, or none does.
    fn meets(&self, _mine: &Self::Request, _theirs: &Self::Request) -> bool {
        false
    }

    /// Grants two that meet: to the one who came, and to the one who waited.
    fn meet(&mut self, mine: Self::Request, theirs: Self::Request) -> (Self::Answer, Self::Answer) {
        let theirs = self.grant(theirs);
        (self.grant(mine), theirs)
    }
}

/// A primitive: see the module.
pub struct Gate<R: Rules, D> {
    inner: Mutex<Inner<R, D>>,
}

struct Inner<R: Rules, D> {
    rules: R,
    lanes: [WaitQueue<Entry<R, D>>; 2],
}

struct Entry<R: Rules, D> {
    request: R::Request,
    seat: Arc<Seat<R::Answer, D>>,
}

/// Where one who waits sits.
type Place<R, D> = Arc<Seat<<R as Rules>::Answer, D>>;

/// How one has left: what it had been given, its request, and what is left to do.
pub type Left<R, D> = (GivenUp<<R as Rules>::Answer>, Option<<R as Rules>::Request>, After<R, D>);

/// A place in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    lane: usize,
    ticket: Ticket,
}

/// What is left to do after the mutex has been let go of: knock at these doors, and drop these requests.
#[must_use = "those who were answered have to be woken"]
pub struct After<R: Rules, D> {
    /// They have been answered.
    pub answered: Vec<Arc<Seat<R::Answer, D>>>,
    /// Their owners had left: requests that nobody waits for any more.
    pub stale: Vec<R::Request>,
}

/// Those who are not there any more: what they asked for, and where they sat.
pub type Forgotten<R, D> = Vec<(<R as Rules>::Request, Arc<Seat<<R as Rules>::Answer, D>>)>;

/// How it went to enter.
#[must_use = "one who waits has to leave again"]
pub enum Entered<R: Rules, D> {
    /// The request is granted.
    Now(R::Answer, After<R, D>),
    /// It waits, here.
    Waits(Standing, After<R, D>),
}

/// How it went to enter with a seat that may stand at other gates, too.
#[must_use = "one who waits has to leave again"]
pub enum Joined<R: Rules> {
    /// The answer is in the seat: from here.
    Answered,
    /// The answer is in the seat, from elsewhere, or its owner has left: the request comes back.
    Before(R::Request),
    /// It waits, here.
    Waits(Standing),
}

/// How it went to meet somebody.
enum Meeting<R: Rules> {
    /// This is for the one who came without a seat.
    Met(R::Answer),
    /// The answer of the one who came is in its seat.
    Seated,
    /// Nobody is there to be met.
    Alone(R::Request),
    /// The one who came has been answered elsewhere.
    Before(R::Request),
}

impl<R: Rules, D> After<R, D> {
    const fn nothing() -> Self {
        Self { answered: Vec::new(), stale: Vec::new() }
    }
}

impl<R: Rules, D> Gate<R, D> {
    /// A gate that nobody waits at.
    pub fn new(rules: R) -> Self {
        Self { inner: Mutex::new(Inner { rules, lanes: [WaitQueue::new(), WaitQueue::new()] }) }
    }

    /// Grants a request if that is possible without waiting.
    ///
    /// # Errors
    /// The request, if it would have to wait.
    pub fn try_now(&self, request: R::Request) -> (Result<R::Answer, R::Request>, After<R, D>) {
        let mut after = After::nothing();
        let outcome = lock(&self.inner).try_now(request, &mut after);
        (outcome, after)
    }

    /// Grants a request, or has it wait.
    pub fn enter(&self, request: R::Request, seat: &Arc<Seat<R::Answer, D>>) -> Entered<R, D> {
        let mut after = After::nothing();
        let mut inner = lock(&self.inner);
        match inner.try_now(request, &mut after) {
            Ok(answer) => Entered::Now(answer, after),
            Err(request) => {
                let lane = R::lane(&request);
                let ticket = inner.lanes[lane].push(Entry { request, seat: Arc::clone(seat) });
                // Some rules look at who waits: one who has begun to may let others go on.
                inner.settle_into(&mut after);
                Entered::Waits(Standing { lane, ticket }, after)
            }
        }
    }

    /// Grants a request, or has it wait, for one whose seat may stand at other gates: here it is answered only if no other
    /// has. One who comes never stands in a lane while it meets somebody, so two who wait never miss each other.
    pub fn join(&self, request: R::Request, seat: &Arc<Seat<R::Answer, D>>) -> (Joined<R>, After<R, D>) {
        let mut after = After::nothing();
        let mut inner = lock(&self.inner);
        let lane = R::lane(&request);
        inner.forget_the_gone(lane, &mut after);
        let met = if inner.is_granted(lane, &request) {
            let rules = &mut inner.rules;
            match seat.try_fill(request, |request| rules.grant(request)) {
                Ok(()) => Meeting::Seated,
                Err(request) => Meeting::Before(request),
            }
        } else {
            inner.try_meet(request, Some(seat), 1 - lane, &mut after)
        };
        let joined = match met {
            // Whoever brings a seat finds its answer there.
            Meeting::Met(_) | Meeting::Seated => Joined::Answered,
            Meeting::Before(request) => Joined::Before(request),
            Meeting::Alone(request) => {
                let ticket = inner.lanes[lane].push(Entry { request, seat: Arc::clone(seat) });
                Joined::Waits(Standing { lane, ticket })
            }
        };
        inner.settle_into(&mut after);
        (joined, after)
    }

    /// Takes one who waits out: its request, unless it has been granted; and who can go on now that it is gone.
    pub fn withdraw(&self, standing: Standing) -> (Option<R::Request>, After<R, D>) {
        let mut inner = lock(&self.inner);
        let entry = inner.lanes[standing.lane].remove(standing.ticket);
        let mut after = After::nothing();
        if entry.is_some() {
            inner.settle_into(&mut after);
        }
        (entry.map(|entry| entry.request), after)
    }

    /// One who waited at this gate alone gives up: what it had been given meanwhile, if that came first, its request,
    /// and who can go on now.
    pub fn give_up(&self, standing: Standing, seat: &Seat<R::Answer, D>) -> Left<R, D> {
        let given_up = seat.give_up();
        let (request, after) = self.withdraw(standing);
        (given_up, request, after)
    }

    /// Changes the state, told how many wait in each lane, and answers who can be answered then.
    pub fn change<T>(&self, change: impl FnOnce(&mut R, [usize; 2]) -> T) -> (T, After<R, D>) {
        let mut inner = lock(&self.inner);
        let waiting = inner.waiting();
        let outcome = change(&mut inner.rules, waiting);
        let mut after = After::nothing();
        inner.settle_into(&mut after);
        (outcome, after)
    }

    /// Looks at the state, and at how many wait in each lane.
    pub fn look<T>(&self, look: impl FnOnce(&R, [usize; 2]) -> T) -> T {
        let inner = lock(&self.inner);
        look(&inner.rules, inner.waiting())
    }

    /// Takes everybody out: whoever waited is not there any more, as in the child of a fork.
    #[must_use = "requests are dropped outside"]
    pub fn forget_everybody(&self) -> Forgotten<R, D> {
        let mut inner = lock(&self.inner);
        let entries = inner.lanes.iter_mut().flat_map(WaitQueue::drain);
        entries.map(|entry| (entry.request, entry.seat)).collect()
    }

    /// Looks at everything, for the collector, which may come while this very thread is inside: then `None`.
    pub fn look_if_free<T>(&self, look: impl FnOnce(&R, &mut dyn Iterator<Item = &R::Request>) -> T) -> Option<T> {
        let inner: MutexGuard<'_, Inner<R, D>> = self.inner.try_lock().ok()?;
        let mut requests = inner.lanes.iter().flat_map(WaitQueue::iter).map(|entry| &entry.request);
        Some(look(&inner.rules, &mut requests))
    }
}

impl<R: Rules, D> Inner<R, D> {
    fn waiting(&self) -> [usize; 2] {
        [self.lanes[0].len(), self.lanes[1].len()]
    }

    /// Whether a request is granted to one who comes.
    fn is_granted(&self, lane: usize, request: &R::Request) -> bool {
        (self.lanes[lane].is_empty() || R::may_overtake(lane)) && self.rules.is_ready(request, self.waiting())
    }

    fn try_now(&mut self, request: R::Request, after: &mut After<R, D>) -> Result<R::Answer, R::Request> {
        let lane = R::lane(&request);
        self.forget_the_gone(lane, after);
        let outcome = if self.is_granted(lane, &request) {
            Ok(self.rules.grant(request))
        } else {
            match self.try_meet(request, None, 1 - lane, after) {
                Meeting::Met(answer) => Ok(answer),
                Meeting::Alone(request) | Meeting::Before(request) => Err(request),
                Meeting::Seated => unreachable!("there is no seat"),
            }
        };
        if outcome.is_ok() || !after.stale.is_empty() {
            self.settle_into(after);
        }
        outcome
    }

    /// Meets the first in the other lane who is still there, and is somebody else.
    fn try_meet(
        &mut self,
        mut mine: R::Request,
        my_seat: Option<&Place<R, D>>,
        other: usize,
        after: &mut After<R, D>,
    ) -> Meeting<R> {
        while let Some((ticket, seat)) = self.first_to_meet(&mine, my_seat, other) {
            let (rules, lane) = (&mut self.rules, &mut self.lanes[other]);
            let mut meet = |mine| match lane.remove(ticket) {
                Some(entry) => rules.meet(mine, entry.request),
                None => unreachable!("it has just been found there"),
            };
            let mut answer = None;
            let met = match my_seat {
                Some(my_seat) => Seat::try_fill_both(my_seat, &seat, mine, meet),
                None => seat
                    .try_fill(mine, |mine| {
                        let (to_me, to_them) = meet(mine);
                        answer = Some(to_me);
                        to_them
                    })
                    .map_err(|mine| (mine, Gone::Theirs)),
            };
            match met {
                Ok(()) => {
                    after.answered.push(seat);
                    return answer.map_or(Meeting::Seated, Meeting::Met);
                }
                Err((back, Gone::Mine)) => return Meeting::Before(back),
                Err((back, Gone::Theirs)) => {
                    mine = back;
                    after.stale.extend(self.lanes[other].remove(ticket).map(|entry| entry.request));
                }
            }
        }
        Meeting::Alone(mine)
    }

    /// Whom one who comes would meet. One that would send and receive at once stands in both lanes, and does not meet
    /// itself.
    fn first_to_meet(
        &self,
        mine: &R::Request,
        my_seat: Option<&Place<R, D>>,
        other: usize,
    ) -> Option<(Ticket, Place<R, D>)> {
        let lane = &self.lanes[other];
        let is_other = |entry: &Entry<R, D>| !my_seat.is_some_and(|seat| Arc::ptr_eq(seat, &entry.seat));
        let mut tickets = std::iter::successors(lane.first(), |ticket| lane.after(*ticket));
        let ticket = tickets.find(|ticket| lane.get(*ticket).is_some_and(is_other))?;
        let entry = lane.get(ticket)?;
        self.rules.meets(mine, &entry.request).then(|| (ticket, Arc::clone(&entry.seat)))
    }

    /// Takes out those at the head of a lane who have been answered elsewhere or have given up.
    fn forget_the_gone(&mut self, lane: usize, after: &mut After<R, D>) {
        while let Some(ticket) = self.lanes[lane].first() {
            if self.lanes[lane].get(ticket).is_some_and(|entry| entry.seat.is_open()) {
                return;
            }
            after.stale.extend(self.lanes[lane].remove(ticket).map(|entry| entry.request));
        }
    }

    /// Grants what can be granted, until nothing can.
    fn settle_into(&mut self, after: &mut After<R, D>) {
        while self.settle_one(0, after) || self.settle_one(1, after) {}
    }

    /// Grants the first request of a lane, if it is ready; whether the state has changed.
    fn settle_one(&mut self, lane: usize, after: &mut After<R, D>) -> bool {
        if self.lanes[lane].is_empty() {
            return false;
        }
        self.forget_the_gone(lane, after);
        let Some(ticket) = self.first_ready(lane) else { return false };
        let Some(Entry { request, seat }) = self.lanes[lane].remove(ticket) else { return false };
        match seat.try_fill(request, |request| self.rules.grant(request)) {
            Ok(()) => after.answered.push(seat),
            Err(request) => after.stale.push(request),
        }
        true
    }

    fn first_ready(&self, lane: usize) -> Option<Ticket> {
        let waiting = self.waiting();
        let line = &self.lanes[lane];
        let is_ready =
            |ticket: &Ticket| line.get(*ticket).is_some_and(|entry| self.rules.is_ready(&entry.request, waiting));
        if R::may_overtake(lane) {
            return std::iter::successors(line.first(), |ticket| line.after(*ticket)).find(is_ready);
        }
        line.first().filter(is_ready)
    }
}
