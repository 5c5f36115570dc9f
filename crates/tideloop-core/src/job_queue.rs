//! The jobs that wait for a worker: the most urgent first, and of equals the one that came first.
//!
//! Nearly all jobs have the usual urgency, so those are in a plain queue of their own. A job that nobody wants any more
//! stays where it is until it is its turn, because finding it would take a walk; whoever owns the queue counts such
//! jobs ([`JobQueue::note_dead`]) and sweeps when they are the larger half.

use std::collections::{BTreeMap, VecDeque};

/// The urgency of jobs that say nothing; lower numbers come first.
pub const USUAL_PRIORITY: i64 = 0;
/// Dead jobs that are not worth a sweep.
const DEAD_KEPT_MAX: usize = 64;

/// Jobs in the order in which they are to be done.
#[derive(Debug)]
pub struct JobQueue<T> {
    usual: VecDeque<T>,
    others: BTreeMap<i64, VecDeque<T>>,
    len: usize,
    dead: usize,
}

impl<T> Default for JobQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> JobQueue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { usual: VecDeque::new(), others: BTreeMap::new(), len: 0, dead: 0 }
    }

    /// The number of jobs, dead ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no job, not even a dead one.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of jobs that somebody wants.
    #[must_use]
    pub const fn alive(&self) -> usize {
        self.len - self.dead
    }

    /// Put a job behind its equals.
    pub fn push(&mut self, priority: i64, job: T) {
        self.len += 1;
        if priority == USUAL_PRIORITY {
            self.usual.push_back(job);
        } else {
            self.others.entry(priority).or_default().push_back(job);
        }
    }

    /// Take the next job.
    pub fn pop(&mut self) -> Option<T> {
        let job = match self.others.first_key_value() {
            None => self.usual.pop_front(),
            Some((priority, _)) if *priority > USUAL_PRIORITY && !self.usual.is_empty() => self.usual.pop_front(),
            Some(_) => self.pop_other(),
        };
        if job.is_some() {
            self.len -= 1;
        }
        job
    }

    fn pop_other(&mut self) -> Option<T> {
        let mut equals = self.others.first_entry()?;
        let job = equals.get_mut().pop_front();
        if equals.get().is_empty() {
            equals.remove();
        }
        job
    }

    /// A job in the queue has died. `true`: it is time to sweep.
    #[must_use = "when this is true the caller should sweep"]
    pub const fn note_dead(&mut self) -> bool {
        self.dead += 1;
        self.dead > DEAD_KEPT_MAX && self.dead > self.len / 2
    }

    /// One that was counted as dead has been popped.
    pub const fn note_dead_popped(&mut self) {
        self.dead = self.dead.saturating_sub(1);
    }

    /// Take all jobs out for which `is_dead` holds, in no particular order.
    #[must_use = "whoever owns the jobs drops them"]
    pub fn sweep(&mut self, mut is_dead: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for jobs in std::iter::once(&mut self.usual).chain(self.others.values_mut()) {
            let (dead, alive): (Vec<_>, VecDeque<_>) = sort(std::mem::take(jobs), &mut is_dead);
            removed.extend(dead);
            *jobs = alive;
        }
        self.others.retain(|_, jobs| !jobs.is_empty());
        self.len -= removed.len();
        self.dead = 0;
        removed
    }

    /// Take all jobs out, in their order.
    #[must_use = "whoever owns the jobs drops them"]
    pub fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// The jobs, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.usual.iter().chain(self.others.values().flatten())
    }
}

fn sort<T>(jobs: VecDeque<T>, is_dead: &mut impl FnMut(&T) -> bool) -> (Vec<T>, VecDeque<T>) {
    let (mut dead, mut alive) = (Vec::new(), VecDeque::new());
    for job in jobs {
        if is_dead(&job) { dead.push(job) } else { alive.push_back(job) }
    }
    (dead, alive)
}
