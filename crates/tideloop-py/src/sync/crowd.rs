//! Who waits for a primitive: futures in a wait queue, and the loop that all of them belong to.
//!
//! A waiter leaves by itself, when its coroutine goes on; waking it only finishes its future, as asyncio does. So it is
//! in the queue for a while after it was woken or cancelled, and whoever comes meanwhile queues up behind it. What a
//! program has put into `_waiters` is asked by name whether it is done; everything of ours is a native future.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::wait_queue::{Ticket, WaitQueue};

use crate::cell::{Cell, Slot};
use crate::coroutine::waiter;
use crate::slots::classes::exact_future;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::slots::running::running_loop;
use crate::task::{Future, WaitReason};

struct Waiting {
    queue: WaitQueue<Slot>,
    /// The loop that the primitive belongs to since somebody had to wait.
    event_loop: LoopSlot,
}

/// Two flags of a primitive that are as cheap as can be: most primitives have no other state.
pub struct Flags {
    /// A lock is locked, an event is set.
    on: AtomicBool,
    /// The class has our methods.
    plain: AtomicBool,
}

/// The waiters of one primitive; one pointer without memory until somebody waits. The flags lie in its padding.
pub struct Crowd(Cell<Option<Box<Waiting>>, Flags>);

const _: () = assert!(size_of::<Crowd>() == 16);

impl Crowd {
    /// Nobody.
    pub const fn new(plain: bool) -> Self {
        let flags = Flags { on: AtomicBool::new(false), plain: AtomicBool::new(plain) };
        Self(Cell::with_beside(None, flags))
    }

    /// Whether the lock is locked, or the event set.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.beside().on.load(Ordering::Relaxed)
    }

    /// Locks or unlocks the lock, or sets or clears the event: how it was before.
    #[inline]
    pub fn switch(&self, _py: Python<'_>, on: bool) -> bool {
        let flag = &self.0.beside().on;
        let before = flag.load(Ordering::Relaxed);
        flag.store(on, Ordering::Relaxed);
        before
    }

    /// Whether nobody has overridden what `async with` and conditions use.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.0.beside().plain.load(Ordering::Relaxed)
    }

    /// How many wait, or are about to go on.
    #[inline]
    pub fn len(&self, py: Python<'_>) -> usize {
        self.0.with(py, |waiting| waiting.as_ref().map_or(0, |waiting| waiting.queue.len()))
    }

    /// Whether nobody does.
    #[inline]
    pub fn is_empty(&self, py: Python<'_>) -> bool {
        self.len(py) == 0
    }

    /// The running loop, which `owner` belongs to from now on; `RuntimeError` where it belongs to another.
    fn bind<'py>(&self, owner: &Bound<'py, PyAny>) -> PyResult<LoopRef<'py>> {
        let running = running_loop(owner.py())?;
        let address = running.as_any().as_ptr() as usize;
        let same = self.0.with(owner.py(), |waiting| {
            let slot = &mut waiting.get_or_insert_with(Waiting::nobody).event_loop;
            if slot.is_some() {
                return slot.address() == address;
            }
            *slot = LoopSlot::holding(&running);
            true
        });
        if same {
            return Ok(running);
        }
        Err(PyRuntimeError::new_err(format!("{} is bound to a different event loop", owner.repr()?)))
    }

    /// A future of the loop that `owner`, whose crowd this is, belongs to; it shows that `object` is waited for.
    pub fn future<'py>(
        &self,
        owner: &Bound<'py, PyAny>,
        (reason, object): (WaitReason, &Bound<'py, PyAny>),
    ) -> PyResult<Bound<'py, Future>> {
        waiter(owner.py(), &self.bind(owner)?, reason, object)
    }

    /// Queues up.
    #[inline]
    pub fn enter(&self, waiter: &Bound<'_, PyAny>) -> Ticket {
        let slot = Slot::holding(waiter.clone().unbind());
        self.0.with(waiter.py(), |waiting| waiting.get_or_insert_with(Waiting::nobody).queue.push(slot))
    }

    /// Makes a future and queues up with it.
    #[inline]
    pub fn join<'py>(&self, owner: &Bound<'py, PyAny>, reason: WaitReason) -> PyResult<(Ticket, Bound<'py, Future>)> {
        let future = self.future(owner, (reason, owner))?;
        Ok((self.enter(future.as_any()), future))
    }

    /// Leaves the queue.
    #[inline]
    pub fn leave(&self, py: Python<'_>, ticket: Ticket) {
        let left = self.0.with(py, |waiting| waiting.as_mut()?.queue.remove(ticket));
        if let Some(waiter) = left.and_then(|mut slot| slot.take()) {
            waiter.drop_ref(py);
        }
    }

    /// The one that came next after `previous`, or the first one.
    #[inline]
    fn next<'py>(&self, py: Python<'py>, previous: Option<Ticket>) -> Option<(Ticket, Bound<'py, PyAny>)> {
        self.0.with(py, |waiting| {
            let queue = &waiting.as_ref()?.queue;
            let ticket = match previous {
                Some(ticket) => queue.after(ticket)?,
                None => queue.first()?,
            };
            Some((ticket, queue.get(ticket)?.cloned(py)?.into_bound(py)))
        })
    }

    /// Whether all who are in the queue were cancelled.
    #[inline]
    pub fn all_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        let mut previous = None;
        while let Some((ticket, waiter)) = self.next(py, previous) {
            if !is_cancelled(&waiter)? {
                return Ok(false);
            }
            previous = Some(ticket);
        }
        Ok(true)
    }

    /// Wakes the first one, if it has not been woken or cancelled already.
    #[inline]
    pub fn wake_first(&self, py: Python<'_>) -> PyResult<()> {
        match self.next(py, None) {
            Some((_, waiter)) => wake_if_pending(&waiter, true).map(drop),
            None => Ok(()),
        }
    }

    /// The first one who has not been woken or cancelled, after `previous` if given.
    #[inline]
    pub fn pending<'py>(
        &self,
        py: Python<'py>,
        mut previous: Option<Ticket>,
    ) -> PyResult<Option<(Ticket, Bound<'py, PyAny>)>> {
        while let Some((ticket, waiter)) = self.next(py, previous) {
            if !is_done(&waiter)? {
                return Ok(Some((ticket, waiter)));
            }
            previous = Some(ticket);
        }
        Ok(None)
    }

    /// Wakes the first `count` who have not been woken or cancelled, each with the result `value`.
    #[inline]
    pub fn wake(&self, py: Python<'_>, count: usize, value: bool) -> PyResult<()> {
        let mut previous = None;
        let mut left = count;
        while left > 0 {
            let Some((ticket, waiter)) = self.next(py, previous) else { break };
            if wake_if_pending(&waiter, value)? {
                left -= 1;
            }
            previous = Some(ticket);
        }
        Ok(())
    }

    /// Everyone, in order.
    pub fn all<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let cloned = self.0.with(py, |waiting| {
            let waiting = waiting.as_ref()?;
            Some(waiting.queue.iter().filter_map(|slot| slot.cloned(py)).collect::<Vec<_>>())
        });
        cloned.into_iter().flatten().map(|waiter| waiter.into_bound(py)).collect()
    }

    /// Removes the first waiter that is this very object; whether there was one.
    pub fn discard(&self, object: &Bound<'_, PyAny>) -> bool {
        let mut previous = None;
        while let Some((ticket, waiter)) = self.next(object.py(), previous) {
            if waiter.is(object) {
                self.leave(object.py(), ticket);
                return true;
            }
            previous = Some(ticket);
        }
        false
    }

    /// The loop, if somebody has waited: `_loop`.
    pub fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.with(py, |waiting| waiting.as_ref()?.event_loop.get(py)).map(LoopRef::into_any)
    }

    /// Assigns `_loop`.
    pub fn set_event_loop(&self, event_loop: &Bound<'_, PyAny>) {
        let mut slot = match event_loop.is_none() {
            true => LoopSlot::EMPTY,
            false => LoopSlot::holding(&LoopRef::to(event_loop)),
        };
        self.0.with(event_loop.py(), |waiting| {
            std::mem::swap(&mut waiting.get_or_insert_with(Waiting::nobody).event_loop, &mut slot);
        });
        drop(slot.take());
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |waiting: &Option<Box<Waiting>>| {
            let Some(waiting) = waiting else { return Ok(()) };
            waiting.event_loop.visit(visit)?;
            waiting.queue.iter().try_for_each(|slot| slot.visit(visit))
        };
        self.0.during_gc(visit_all).unwrap_or(Ok(()))
    }

    /// Lets everybody go, and the loop.
    pub fn clear(&self, py: Python<'_>) {
        drop(self.0.with(py, Option::take));
    }
}

impl Waiting {
    fn nobody() -> Box<Self> {
        Box::new(Self { queue: WaitQueue::new(), event_loop: LoopSlot::EMPTY })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.event_loop.take());
        for mut slot in self.queue.drain() {
            drop(slot.take());
        }
    }
}

#[inline]
fn is_done(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    match exact_future(waiter) {
        Some(future) => Ok(future.get().is_done(waiter.py())),
        None => waiter.call_method0(intern!(waiter.py(), "done"))?.is_truthy(),
    }
}

#[inline]
fn is_cancelled(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    match exact_future(waiter) {
        Some(future) => Ok(future.get().is_cancelled(waiter.py())),
        None => waiter.call_method0(intern!(waiter.py(), "cancelled"))?.is_truthy(),
    }
}

/// `waiter.set_result(value)`, if it is pending; whether it was.
#[inline]
fn wake_if_pending(waiter: &Bound<'_, PyAny>, value: bool) -> PyResult<bool> {
    if let Some(future) = exact_future(waiter) {
        return Future::finish_if_pending(future, PyBool::new(waiter.py(), value).to_owned().into_any());
    }
    if is_done(waiter)? {
        return Ok(false);
    }
    wake(waiter, value)?;
    Ok(true)
}

/// `waiter.set_result(value)`.
#[inline]
pub fn wake(waiter: &Bound<'_, PyAny>, value: bool) -> PyResult<()> {
    let py = waiter.py();
    let value = PyBool::new(py, value).to_owned();
    match exact_future(waiter) {
        Some(future) => Future::finish(future, value.into_any()),
        None => waiter.call_method1(intern!(py, "set_result"), (value,)).map(drop),
    }
}
