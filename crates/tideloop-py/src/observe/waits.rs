//! Who waits for what.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use tideloop_core::both::seat::Seat;
use tideloop_core::wait_graph::{Party, Resource, Waits};
use tideloop_sys::clock::now_ns;

use super::found::{self, Member, ShownMember};
use super::held::Tagged;
use super::party::{By, caller, is_task, running_scheduler, task_party, this_thread};
use super::search::search;
use super::{on, takes_a_victim};
use crate::both::{Door, Pending};
use crate::cell::Cell;
use crate::slots::sites::{ShownSite, Site};

/// Where one waits, as far as the detector has to know.
pub trait Sits: Send + Sync {
    /// It has not been answered, and has not left.
    fn is_open(&self) -> bool;

    /// It is a thread's that sleeps, and that nobody has woken.
    fn is_slept_in(&self) -> bool;

    /// Wakes it: it looks again.
    fn knock(&self, py: Python<'_>);
}

impl<A: Send> Sits for Seat<A, Arc<Door>> {
    fn is_open(&self) -> bool {
        Self::is_open(self)
    }

    fn is_slept_in(&self) -> bool {
        self.door.is_slept_at()
    }

    fn knock(&self, py: Python<'_>) {
        self.door.knock(py);
    }
}

/// A wait for something that is owner-tracked.
pub struct Watched<'py> {
    /// The primitive.
    pub object: Bound<'py, PyAny>,
    pub tag: Arc<dyn Tagged>,
    pub seat: Arc<dyn Sits>,
    /// It wants a share, as readers do.
    pub shared: bool,
    /// It can end in an error.
    pub may_leave: bool,
}

/// What is remembered of a wait.
pub(super) struct Detail {
    pub party: Party,
    object: Py<PyWeakrefReference>,
    pub task: Option<Py<PyWeakrefReference>>,
    /// What runs tasks in the thread that waits: an event loop, trio's runner.
    pub scheduler: Option<Py<PyAny>>,
    pub tag: Arc<dyn Tagged>,
    pub seat: Arc<dyn Sits>,
    site: Site,
    since_ns: u64,
    /// It is for a share of the object.
    shared: bool,
    /// It is part of a deadlock that has been reported.
    pub reported: bool,
    may_leave: bool,
    /// It has been told to end, and is about to.
    ends: bool,
    /// It is the victim of a deadlock, and ends in this when it looks again.
    doom: Option<PyErr>,
}

#[derive(Default)]
pub(super) struct Known {
    pub waits: Waits,
    pub details: HashMap<u64, Detail>,
}

pub(super) static KNOWN: LazyLock<Cell<Known>> = LazyLock::new(|| Cell::new(Known::default()));

/// A wait that is known, until this is dropped.
struct Watch {
    party: Party,
    serial: u64,
}

/// What the detector does for one who waits, as long as that lasts.
pub struct Watching {
    watch: Option<Watch>,
    /// It is the thread that waits, whatever runs in it; else the task.
    by_thread: bool,
    limited: bool,
    may_leave: bool,
    /// Since when it waits; 0: it has not begun.
    since_ns: u64,
    /// How long a thread sleeps before it looks again.
    pause: Duration,
}

/// A thread that waits looks again after this time, then after twice as long, and so on up to the longest: what closes
/// a cycle need not be a wait for a lock.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

impl Watching {
    /// For a thread that blocks.
    pub const fn thread() -> Self {
        Self::by(true)
    }

    /// For a task that awaits.
    pub const fn task() -> Self {
        Self::by(false)
    }

    const fn by(by_thread: bool) -> Self {
        Self { watch: None, by_thread, limited: false, may_leave: false, since_ns: 0, pause: PAUSE_FIRST }
    }

    /// Looks whether the wait is part of a cycle, which is reported if it is a new one. To be called before each sleep.
    ///
    /// # Errors
    /// `DeadlockError`, if there is one and this wait is to be its victim.
    #[inline]
    pub fn look(&mut self, py: Python<'_>, pending: &dyn Pending, limited: bool) -> PyResult<()> {
        if on() {
            return self.look_closely(py, pending, limited);
        }
        self.pause();
        Ok(())
    }

    #[cold]
    fn look_closely(&mut self, py: Python<'_>, pending: &dyn Pending, limited: bool) -> PyResult<()> {
        if self.watch.is_none() || self.limited != limited {
            drop(self.watch.take());
            let Some(watched) = pending.watched(py) else { return Ok(()) };
            (self.limited, self.may_leave) = (limited, watched.may_leave);
            if self.since_ns == 0 {
                self.since_ns = now_ns();
            }
            self.watch = Watch::begin(py, self.by_thread, watched, limited, self.since_ns)?;
        } else {
            self.pause = (self.pause * 2).min(PAUSE_LONGEST);
        }
        let Some(watch) = &self.watch else { return Ok(()) };
        if let Some(doom) = KNOWN.with(py, |known| known.details.get_mut(&watch.serial)?.doom.take()) {
            self.end(py);
            return Err(doom);
        }
        let Some(members) = search(py, watch.party, true) else { return Ok(()) };
        match found::report(py, &members, takes_a_victim())? {
            Some(error) if self.may_leave => {
                self.end(py);
                Err(error)
            }
            Some(error) => {
                doom_one_of(py, &members, error);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that the wait is about to end in an error.
    fn end(&self, py: Python<'_>) {
        let Some(watch) = &self.watch else { return };
        KNOWN.with(py, |known| {
            if let Some(detail) = known.details.get_mut(&watch.serial) {
                detail.ends = true;
            }
        });
    }

    /// How long a thread may sleep, of what is `left`.
    #[inline]
    pub fn longest(&self, left: Option<Duration>) -> Option<Duration> {
        if self.watch.is_none() || self.limited {
            left
        } else {
            Some(left.map_or(self.pause, |left| left.min(self.pause)))
        }
    }

    /// Nothing is known of the wait, until the next look.
    #[inline]
    pub fn pause(&mut self) {
        drop(self.watch.take());
    }
}

impl Watch {
    fn begin(
        py: Python<'_>,
        by_thread: bool,
        watched: Watched<'_>,
        limited: bool,
        since_ns: u64,
    ) -> PyResult<Option<Self>> {
        let (party, task, scheduler) = if by_thread {
            (this_thread(py), None, running_scheduler(py).map(Bound::unbind))
        } else {
            let Some(task) = current_task(py) else { return Ok(None) };
            (task_party(&task), Some(PyWeakrefReference::new(&task)?.unbind()), None)
        };
        let Watched { object, tag, seat, shared, may_leave } = watched;
        let resource = Resource(Arc::as_ptr(&tag).cast::<()>() as u64);
        let (object, site) = (PyWeakrefReference::new(&object)?.unbind(), Site::here(py));
        let detail = Detail {
            party,
            object,
            task,
            scheduler,
            tag,
            seat,
            site,
            since_ns,
            shared,
            reported: false,
            may_leave,
            ends: false,
            doom: None,
        };
        let (serial, displaced) = KNOWN.with(py, |known| {
            let serial = known.waits.begin(party, resource, shared, limited);
            (serial, known.details.insert(serial, detail))
        });
        drop(displaced);
        Ok(Some(Self { party, serial }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        Python::attach(|py| {
            let detail = KNOWN.with(py, |known| {
                known.waits.end(self.party, self.serial);
                known.details.remove(&self.serial)
            });
            drop(detail);
        });
    }
}

/// Makes one of a cycle its victim: the first whose wait can end in an error.
pub(super) fn doom_one_of(py: Python<'_>, members: &[Member], error: PyErr) {
    let mut doom = Some(error);
    let seat = KNOWN.with(py, |known| {
        let mut serials = members.iter().filter_map(|member| member.serial);
        let serial = serials.find(|serial| known.details.get(serial).is_some_and(|wait| wait.may_leave))?;
        let detail = known.details.get_mut(&serial)?;
        std::mem::swap(&mut detail.doom, &mut doom);
        Some(Arc::clone(&detail.seat))
    });
    drop(doom);
    if let Some(seat) = seat {
        seat.knock(py);
    }
}

fn current_task(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let caller = caller(py, By::Awaiting);
    match caller.keep {
        Some(task) => Some(task.into_bound(py)),
        None if is_task(caller.party) => crate::slots::roster::upgrade(py, caller.party.0 as usize as *mut _),
        None => None,
    }
}

/// A wait as Python gets it: the primitive, where, since when, and whether for a share of it.
pub(super) type ShownWait = (Py<PyAny>, Option<ShownSite>, u64, bool);

pub(super) fn shown_wait(py: Python<'_>, serial: u64) -> Option<ShownWait> {
    let (object, site, since_ns, shared) = KNOWN.with(py, |known| {
        let detail = known.details.get(&serial)?;
        Some((detail.object.clone_ref(py), detail.site.shown(py), detail.since_ns, detail.shared))
    })?;
    Some((object.bind(py).upgrade()?.unbind(), site, since_ns, shared))
}

/// What is known of a task: its number, what it holds, and the last thing that it waits for.
#[pyfunction]
pub(super) fn story(task: &Bound<'_, PyAny>) -> ShownMember {
    let py = task.py();
    let party = task_party(task);
    Member { party, task: Some(task.clone().unbind()), serial: last_wait(py, party) }.shown(py)
}

/// What is known of the threads that wait.
#[pyfunction]
pub(super) fn waiting(py: Python<'_>) -> Vec<ShownMember> {
    let threads = KNOWN.with(py, |known| known.waits.parties()).into_iter().filter(|party| !is_task(*party));
    let members = threads.map(|party| Member { party, task: None, serial: last_wait(py, party) });
    members.map(|member| member.shown(py)).collect()
}

fn last_wait(py: Python<'_>, party: Party) -> Option<u64> {
    KNOWN.with(py, |known| known.waits.of(party).last().map(|wait| wait.serial))
}

/// In the child of a fork: other threads are not there, nor do they wait.
pub(super) fn forget_other_threads(py: Python<'_>, this: Party) {
    let gone = KNOWN.with(py, |known| {
        let others = known.waits.parties().into_iter().filter(|party| !is_task(*party) && *party != this);
        let serials = others.flat_map(|party| known.waits.of(party).iter().map(move |wait| (party, wait.serial)));
        let serials: Vec<_> = serials.collect();
        for (party, serial) in &serials {
            known.waits.end(*party, *serial);
        }
        serials.iter().filter_map(|(_, serial)| known.details.remove(serial)).collect::<Vec<_>>()
    });
    drop(gone);
}

/// How many waits are looked at: for tests.
#[pyfunction]
pub(super) fn waits(py: Python<'_>) -> usize {
    KNOWN.with(py, |known| known.details.len())
}

/// How many threads wait without a limit, have not been answered, and are asleep.
#[pyfunction]
pub(super) fn waiting_threads(py: Python<'_>) -> usize {
    let seats: Vec<Arc<dyn Sits>> = KNOWN.with(py, |known| {
        let threads = known.waits.parties().into_iter().filter(|party| !is_task(*party));
        let last = threads.filter_map(|party| known.waits.of(party).last().copied()).filter(|wait| !wait.limited);
        last.filter_map(|wait| known.details.get(&wait.serial).map(|detail| Arc::clone(&detail.seat))).collect()
    });
    seats.iter().filter(|seat| seat.is_open() && seat.is_slept_in()).count()
}

/// Whether a deadlock is being dealt with: reported, or ended at the cost of one who is in it.
#[pyfunction]
pub(super) fn busy(py: Python<'_>) -> bool {
    found::reporting()
        || KNOWN.with(py, |known| known.details.values().any(|detail| detail.ends || detail.doom.is_some()))
}

/// Whether anybody waits for something owner-tracked.
pub fn anybody_waits(py: Python<'_>) -> bool {
    KNOWN.with(py, |known| !known.waits.is_empty())
}
