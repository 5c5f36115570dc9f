//! What locks and semaphores are in Python: permits, and waits for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::permits::{Permits, Taken, TooMany, Wakes};
use tideloop_core::both::seat::Seat;
use tideloop_core::wait_queue::Ticket;
use tideloop_sys::clock::now_ns;

use super::door::Door;
use super::pending::Pending;
use crate::cell::Cell;
use crate::event_loop::fork_generation;
use crate::observe::{By, Displaced, Sits, Tag, Tagged, Watched};
use crate::task::WaitReason;

/// Permits for threads and tasks.
pub struct Shared(Arc<Guarded>);

struct Guarded {
    permits: Permits<Arc<Door>>,
    /// Since which fork nobody of another process is in line.
    fork_generation: AtomicU64,
    /// Who holds the one permit, where permits have owners.
    tag: Option<Tag>,
}

impl Tagged for Guarded {
    fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }
}

impl Guarded {
    /// The permits, with nobody in line who is not of this process.
    #[inline]
    fn permits(&self) -> &Permits<Arc<Door>> {
        if self.permits.is_waited_for() && self.fork_generation.load(Ordering::Relaxed) != fork_generation() {
            self.forget_others();
        }
        &self.permits
    }

    /// In the child of a fork, where whoever waited does not exist. Nobody was inside when it was made: that takes the
    /// interpreter lock.
    #[cold]
    fn forget_others(&self) {
        self.fork_generation.store(fork_generation(), Ordering::Relaxed);
        drop(self.permits.forget_everybody(None));
    }

    /// One begins to wait.
    fn take(&self, seat: &Arc<Seat<(), Arc<Door>>>) -> Taken {
        let permits = self.permits();
        // Whoever waits from here on is of this process.
        self.fork_generation.store(fork_generation(), Ordering::Relaxed);
        permits.take(seat, now_ns())
    }
}

impl Shared {
    pub fn new(free: u64, fair: bool) -> Self {
        let fork_generation = AtomicU64::new(fork_generation());
        Self(Arc::new(Guarded { permits: Permits::new(free, fair), fork_generation, tag: None }))
    }

    /// One permit, which has an owner.
    pub fn owned(fair: bool) -> Self {
        let fork_generation = AtomicU64::new(fork_generation());
        Self(Arc::new(Guarded { permits: Permits::new(1, fair), fork_generation, tag: Some(Tag::new()) }))
    }

    /// Takes one if that needs no waiting.
    #[inline]
    pub fn try_take(&self) -> bool {
        self.0.permits().try_take()
    }

    /// The same for one that has an owner: the caller, as the holder of `object`.
    #[inline]
    pub fn try_take_as(&self, object: &Bound<'_, PyAny>, by: By) -> bool {
        let taken = self.try_take();
        if taken && let Some(tag) = &self.0.tag {
            tag.taken(object, by);
        }
        taken
    }

    /// Its owner is about to give it back.
    #[inline]
    pub fn left(&self, py: Python<'_>) -> Option<Displaced> {
        self.0.tag.as_ref()?.left(py)
    }

    /// The object dies.
    #[inline]
    pub fn dropped(&self) {
        if let Some(tag) = &self.0.tag {
            tag.dropped();
        }
    }

    /// Gives some back: `TooMany` if more than `limit` would be free.
    #[inline]
    pub fn give_back(&self, py: Python<'_>, count: u64, limit: u64) -> Result<(), TooMany> {
        let permits = self.0.permits();
        let wakes = permits.give_back(count, limit, now_ns)?;
        if !wakes.0.is_empty() {
            wake(py, permits, wakes);
        }
        Ok(())
    }

    pub fn free(&self) -> u64 {
        self.0.permits.free()
    }

    pub fn waiting(&self) -> usize {
        self.0.permits().waiting()
    }

    /// As new: nobody holds one, and nobody waits. For a child of `fork()`, where those who did do not exist.
    pub fn reset(&self, free: u64) {
        drop(self.0.permits.forget_everybody(Some(free)));
    }

    /// A wait for one.
    pub fn wait(
        &self,
        owner: &Bound<'_, PyAny>,
        qualname: &'static str,
        reason: WaitReason,
        answer: bool,
    ) -> PermitWait {
        PermitWait {
            permits: Arc::clone(&self.0),
            owner: owner.clone().unbind(),
            qualname,
            reason,
            answer,
            standing: Cell::new(None),
        }
    }
}

/// Knocks at the doors of those who have been answered or nudged. Whoever cannot be woken any more leaves, and what it
/// had been given goes on to the next.
#[cold]
fn wake(py: Python<'_>, permits: &Permits<Arc<Door>>, wakes: Wakes<Arc<Door>>) {
    // In the order of the line: they run in that order, then.
    let mut wakes = VecDeque::from(wakes.0);
    while let Some(woken) = wakes.pop_front() {
        if woken.seat.door.knock(py) {
            continue;
        }
        let more = match woken.nudged {
            Some(ticket) => permits.give_up(ticket, &woken.seat, now_ns()),
            None if woken.seat.take().is_some() => match permits.give_back(1, u64::MAX, now_ns) {
                Ok(more) => more,
                Err(TooMany) => continue,
            },
            None => continue,
        };
        wakes.extend(more.0);
    }
}

/// Where one stands in line, and sits.
type Standing = (Ticket, Arc<Seat<(), Arc<Door>>>);

/// One wait for a permit.
pub struct PermitWait {
    permits: Arc<Guarded>,
    owner: Py<PyAny>,
    qualname: &'static str,
    reason: WaitReason,
    /// Whether it returns True and False; else None, and it has no limit.
    answer: bool,
    standing: Cell<Option<Standing>>,
}

impl PermitWait {
    /// The permit has come: notes the owner. (True.)
    fn is_ours(&self, py: Python<'_>) -> bool {
        if let Some(tag) = &self.permits.tag {
            tag.taken(self.owner.bind(py), By::Awaiting);
        }
        true
    }

    fn has_it(&self, py: Python<'_>) -> Py<PyAny> {
        if self.answer { truth(py, true) } else { py.None() }
    }

    /// Takes the permit, or waits for it: whether it is taken.
    pub fn take(&self, py: Python<'_>, door: &Arc<Door>) -> bool {
        let seat = Arc::new(Seat::new(Arc::clone(door)));
        match self.permits.take(&seat) {
            Taken::Now => self.is_ours(py),
            Taken::Waits(ticket) => {
                self.standing.with(py, |standing| *standing = Some((ticket, seat)));
                false
            }
        }
    }

    /// Whether the permit has come.
    pub fn has_come(&self, py: Python<'_>) -> bool {
        let standing = self.standing.with(py, |standing| standing.clone());
        let Some((ticket, seat)) = standing else { return false };
        let has_come = self.permits.permits().retake(ticket, &seat);
        if has_come {
            drop(self.standing.with(py, Option::take));
            self.is_ours(py);
        }
        has_come
    }

    /// Leaves: whether the permit had come first, which is kept then.
    pub fn leave(&self, py: Python<'_>) -> bool {
        let Some((ticket, seat)) = self.standing.with(py, Option::take) else { return false };
        let permits = self.permits.permits();
        if permits.retake(ticket, &seat) {
            return self.is_ours(py);
        }
        wake(py, permits, permits.give_up(ticket, &seat, now_ns()));
        false
    }
}

/// True or False.
pub fn truth(py: Python<'_>, value: bool) -> Py<PyAny> {
    pyo3::types::PyBool::new(py, value).to_owned().into_any().unbind()
}

impl Pending for PermitWait {
    fn qualname(&self) -> &'static str {
        self.qualname
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        (self.reason, self.owner.bind(py).clone())
    }

    fn attempt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let taken = self.permits.permits().try_take() && self.is_ours(py);
        Ok(taken.then(|| self.has_it(py)))
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.take(py, door).then(|| self.has_it(py)))
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        Ok(self.has_come(py).then(|| self.has_it(py)))
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let has_it = self.leave(py);
        Ok(truth(py, has_it))
    }

    fn give_up(&self, py: Python<'_>) {
        let Some((ticket, seat)) = self.standing.with(py, Option::take) else { return };
        let permits = self.permits.permits();
        wake(py, permits, permits.give_up(ticket, &seat, now_ns()));
    }

    fn watched<'py>(&self, py: Python<'py>) -> Option<Watched<'py>> {
        self.permits.tag.as_ref()?;
        let (_, seat) = self.standing.with(py, |standing| standing.clone())?;
        let (tag, seat): (Arc<dyn Tagged>, Arc<dyn Sits>) = (self.permits.clone(), seat);
        Some(Watched { object: self.owner.bind(py).clone(), tag, seat, shared: false, may_leave: true })
    }

    fn disown(&self, py: Python<'_>) {
        if let Some(tag) = &self.permits.tag {
            tag.disown(py);
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)
    }
}

impl Drop for PermitWait {
    fn drop(&mut self) {
        // Whoever is dropped while it waits has been forgotten by its loop; the line must not count on it.
        if self.standing.get_mut().is_some() {
            Python::try_attach(|py| self.give_up(py));
        }
    }
}
