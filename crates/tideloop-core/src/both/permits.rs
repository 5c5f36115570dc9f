//! Permits: what is under locks (one permit) and semaphores (many).
//!
//! Taking a free permit, and giving one back while nobody waits, is one compare-and-swap on the word: the number of free
//! permits, and a flag that says that somebody waits. Those who wait stand in line under a mutex; the flag changes only
//! under it, and is up whenever somebody stands there. So a permit that is given back either is seen by everybody (flag
//! down, nobody waits) or goes through the mutex.
//!
//! Unless the permits are *fair*, a permit that comes back is free for anybody, and the first in line is only nudged: it
//! wakes and tries again. Whoever runs already gets it first (barging), so that a lock that many use is not handed from
//! one sleeper to the next at the price of a switch each. One who has waited [`OVERDUE_NS`] gets the permit itself.

use super::seat::{GivenUp, Seat};
use crate::atomics::{Arc, AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::wait_queue::{Ticket, WaitQueue};

/// How long one waits until a permit is kept for it: 1 ms, which parking_lot and PyMutex have, too.
pub const OVERDUE_NS: u64 = 1_000_000;
/// The most permits that there can be.
pub const PERMITS_MAX: u64 = u64::MAX >> 1;

/// The flag: somebody waits.
const WAITED_FOR: u64 = 1;
/// One permit.
const ONE: u64 = 2;

/// See the module.
#[derive(Debug)]
pub struct Permits<D> {
    word: AtomicU64,
    fair: bool,
    line: Mutex<WaitQueue<Entry<D>>>,
}

#[derive(Debug)]
struct Entry<D> {
    seat: Arc<Seat<(), D>>,
    since_ns: u64,
    /// It has been woken to try again, and has not tried yet.
    nudged: bool,
}

/// Who has to be woken.
#[derive(Debug)]
#[must_use = "those who were answered or nudged have to be woken"]
pub struct Wakes<D>(pub Vec<Woken<D>>);

/// One of them.
#[derive(Debug)]
pub struct Woken<D> {
    /// Where it sits.
    pub seat: Arc<Seat<(), D>>,
    /// If it was merely nudged: where it stands. One that cannot be woken has to be taken out by this.
    pub nudged: Option<Ticket>,
}

/// How it went to take a permit.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "one who waits has to leave again"]
pub enum Taken {
    /// It is ours.
    Now,
    /// We wait, here.
    Waits(Ticket),
}

/// There would be more permits than there can be.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl<D> Permits<D> {
    /// `free` permits; first come, first served if `fair`.
    #[must_use]
    pub fn new(free: u64, fair: bool) -> Self {
        Self { word: AtomicU64::new(free.min(PERMITS_MAX) * ONE), fair, line: Mutex::new(WaitQueue::new()) }
    }

    /// How many are free.
    #[inline]
    pub fn free(&self) -> u64 {
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// Whether somebody waits.
    #[inline]
    pub fn is_waited_for(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WAITED_FOR != 0
    }

    /// Takes everybody out of the line: whoever waited is not there any more, as in the child of a fork. `free`: so
    /// many permits are free then, as if it were new; None: as many as before.
    #[must_use = "seats are dropped outside"]
    pub fn forget_everybody(&self, free: Option<u64>) -> Vec<Arc<Seat<(), D>>> {
        let mut line = lock(&self.line);
        let gone = line.drain().into_iter().map(|entry| entry.seat).collect();
        self.lower_flag(&line);
        if let Some(free) = free {
            self.word.store(free.min(PERMITS_MAX) * ONE, Ordering::Release);
        }
        gone
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        lock(&self.line).len()
    }

    /// Takes a permit if one is free, and, where it is a matter of fairness, nobody waits.
    #[inline]
    pub fn try_take(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= ONE && !(self.fair && word & WAITED_FOR != 0) {
            match self.word.compare_exchange_weak(word, word - ONE, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes a permit, or stands in line for one.
    pub fn take(&self, seat: &Arc<Seat<(), D>>, now_ns: u64) -> Taken {
        let mut line = lock(&self.line);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let free = word >= ONE && (line.is_empty() || !self.fair);
            let next = if free { word - ONE } else { word | WAITED_FOR };
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if free => return Taken::Now,
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        Taken::Waits(line.push(Entry { seat: Arc::clone(seat), since_ns: now_ns, nudged: false }))
    }

    /// One who was woken: has it got its permit? If not, it goes on waiting where it stood.
    pub fn retake(&self, ticket: Ticket, seat: &Seat<(), D>) -> bool {
        let mut line = lock(&self.line);
        if seat.take().is_some() {
            return true;
        }
        if let Some(entry) = line.get_mut(ticket) {
            entry.nudged = false;
        }
        let taken = self.take_free();
        if taken {
            self.leave(&mut line, ticket);
        }
        taken
    }

    /// One who waits gives up. What it had been given meanwhile goes to the next, as does its nudge.
    pub fn give_up(&self, ticket: Ticket, seat: &Seat<(), D>, now_ns: u64) -> Wakes<D> {
        let mut wakes = Wakes(Vec::new());
        let mut line = lock(&self.line);
        let given_up = seat.give_up();
        self.leave(&mut line, ticket);
        if given_up == GivenUp::Answered(()) {
            self.put_back_one(&mut line, now_ns, &mut wakes);
        } else if self.free() > 0 {
            self.nudge_one(&mut line, &mut wakes);
        }
        wakes
    }

    /// Gives `count` permits back, or more than there were, up to `limit` free ones.
    ///
    /// # Errors
    /// `TooMany`, and nothing is given back, if there would be more free ones than `limit`.
    #[inline]
    pub fn give_back(&self, count: u64, limit: u64, now_ns: impl FnOnce() -> u64) -> Result<Wakes<D>, TooMany> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WAITED_FOR == 0 {
            let free = (word / ONE).checked_add(count).filter(|free| *free <= limit.min(PERMITS_MAX)).ok_or(TooMany)?;
            match self.word.compare_exchange_weak(word, free * ONE, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(Wakes(Vec::new())),
                Err(now) => word = now,
            }
        }
        self.give_back_to_those_who_wait(count, limit, now_ns())
    }

    #[cold]
    fn give_back_to_those_who_wait(&self, count: u64, limit: u64, now_ns: u64) -> Result<Wakes<D>, TooMany> {
        let mut wakes = Wakes(Vec::new());
        let mut line = lock(&self.line);
        if self.free().checked_add(count).is_none_or(|free| free > limit.min(PERMITS_MAX)) {
            return Err(TooMany);
        }
        for _ in 0..count {
            if line.is_empty() {
                self.word.fetch_add(ONE, Ordering::Release);
            } else {
                self.put_back_one(&mut line, now_ns, &mut wakes);
            }
        }
        self.lower_flag(&line);
        Ok(wakes)
    }

    /// One permit comes back while the mutex is held.
    fn put_back_one(&self, line: &mut MutexGuard<'_, WaitQueue<Entry<D>>>, now_ns: u64, wakes: &mut Wakes<D>) {
        while let Some(first) = line.first() {
            let due = |entry: &Entry<D>| self.fair || now_ns.saturating_sub(entry.since_ns) >= OVERDUE_NS;
            if !line.get(first).is_some_and(due) {
                break;
            }
            let Some(entry) = line.remove(first) else { break };
            if entry.seat.try_fill((), |()| ()).is_ok() {
                wakes.0.push(Woken { seat: entry.seat, nudged: None });
                self.lower_flag(line);
                return;
            }
        }
        self.lower_flag(line);
        self.word.fetch_add(ONE, Ordering::Release);
        self.nudge_one(line, wakes);
    }

    /// Wakes the first who has not been nudged, if there are more free permits than nudged ones before it.
    fn nudge_one(&self, line: &mut MutexGuard<'_, WaitQueue<Entry<D>>>, wakes: &mut Wakes<D>) {
        let mut at = line.first();
        for _ in 0..self.free() {
            let Some(ticket) = at else { return };
            at = line.after(ticket);
            let Some(entry) = line.get_mut(ticket) else { return };
            if !entry.nudged {
                entry.nudged = true;
                wakes.0.push(Woken { seat: Arc::clone(&entry.seat), nudged: Some(ticket) });
                return;
            }
        }
    }

    /// Takes a free permit, whoever waits.
    fn take_free(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= ONE {
            match self.word.compare_exchange_weak(word, word - ONE, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    fn leave(&self, line: &mut MutexGuard<'_, WaitQueue<Entry<D>>>, ticket: Ticket) {
        drop(line.remove(ticket));
        self.lower_flag(line);
    }

    /// Nobody waits any more.
    fn lower_flag(&self, line: &MutexGuard<'_, WaitQueue<Entry<D>>>) {
        if line.is_empty() {
            self.word.fetch_and(!WAITED_FOR, Ordering::Relaxed);
        }
    }
}
