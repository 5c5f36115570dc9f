//! Who waits for what, and the search for cycles among them.
//!
//! The search asks Python what tasks wait for, so that things may change while it runs. But nobody in a cycle can move:
//! what is found is looked at once more, and counts if every wait in it is still the same one.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use tideloop_core::both::seat::Seat;
use tideloop_core::wait_graph::{Because, Cycle, Party, Resource, Surroundings, Waits, blockers_of, cycle_through};
use tideloop_sys::clock::now_ns;

use super::found::{self, Spotted};
use super::held::{HELD, Tag, Tagged, task_that_holds};
use super::party::{By, caller, is_task, running_scheduler, task_party, this_thread, thread_party};
use super::{on, takes_a_victim};
use crate::both::{Door, Pending};
use crate::cell::Cell;
use crate::names;
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
    party: Party,
    object: Py<PyWeakrefReference>,
    task: Option<Py<PyWeakrefReference>>,
    /// What runs tasks in the thread that waits: an event loop, trio's runner.
    scheduler: Option<Py<PyAny>>,
    tag: Arc<dyn Tagged>,
    seat: Arc<dyn Sits>,
    site: Site,
    since_ns: u64,
    /// It is part of a deadlock that has been reported.
    reported: bool,
    may_leave: bool,
    /// It has been told to end, and is about to.
    ends: bool,
    /// It is the victim of a deadlock, and ends in this when it looks again.
    doom: Option<PyErr>,
}

#[derive(Default)]
struct Known {
    waits: Waits,
    details: HashMap<u64, Detail>,
}

static KNOWN: LazyLock<Cell<Known>> = LazyLock::new(|| Cell::new(Known::default()));

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
        let Some(spotted) = search(py, watch.party, true).filter(|spotted| spotted.is_new) else { return Ok(()) };
        match found::report(py, &spotted, takes_a_victim())? {
            Some(error) if self.may_leave => {
                self.end(py);
                Err(error)
            }
            Some(error) => {
                doom_one_of(py, &spotted, error);
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
fn doom_one_of(py: Python<'_>, spotted: &Spotted, error: PyErr) {
    let mut doom = Some(error);
    let seat = KNOWN.with(py, |known| {
        let mut serials = spotted.members.iter().filter_map(|member| member.serial);
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

/// The cycle through a party, if there is one that cannot end by itself. `runs`: the party is the one that asks, and so
/// is not parked yet.
fn search(py: Python<'_>, start: Party, runs: bool) -> Option<Spotted> {
    let mut around = Around { py, tasks: HashMap::new(), running: runs.then_some(start) };
    let cycle = cycle_through(start, &mut around)?;
    let members = cycle.iter().map(|(party, because)| around.member(*party, *because)).collect::<Option<Vec<_>>>()?;
    let stands = |thread: Party| members.iter().any(|member| member.party == thread);
    let mut tasks = members.iter().filter_map(|member| member.task.as_ref());
    let limited = tasks.any(|task| has_deadline(py, task) && !loop_thread(py, task).is_some_and(stands));
    if limited || !around.holds_still(&cycle) {
        return None;
    }
    Some(Spotted { is_new: mark_reported(py, &cycle), members })
}

/// The thread that runs a task's loop, without which no timeout of it ends anything.
fn loop_thread(py: Python<'_>, task: &Py<PyAny>) -> Option<Party> {
    let answer = names::task_needs(py).ok()?.call1((task,)).ok()?;
    let (_, thread, scheduler): (Py<PyAny>, Option<u64>, Bound<'_, PyAny>) = answer.extract().ok()?;
    thread_that_runs(thread, &scheduler)
}

/// The thread that runs an event loop, or trio: the loop may know it, and if that thread waits, so do we.
fn thread_that_runs(thread: Option<u64>, scheduler: &Bound<'_, PyAny>) -> Option<Party> {
    if let Some(thread) = thread {
        return Some(thread_party(thread));
    }
    KNOWN.with(scheduler.py(), |known| {
        let runs_it = |detail: &&Detail| detail.scheduler.as_ref().is_some_and(|running| running.is(scheduler));
        known.details.values().find(runs_it).map(|detail| detail.party)
    })
}

fn has_deadline(py: Python<'_>, task: &Py<PyAny>) -> bool {
    let answer = names::task_has_deadline(py).and_then(|asks| asks.call1((task,))?.is_truthy());
    answer.unwrap_or(true)
}

/// Who has been given this and has not run since, so that the tag does not name it.
fn given(py: Python<'_>, tag: &Arc<dyn Tagged>) -> Vec<(Party, bool)> {
    let waits = KNOWN.with(py, |known| {
        let of_tag = known.details.values().filter(|detail| Arc::ptr_eq(&detail.tag, tag));
        of_tag.map(|detail| (detail.party, Arc::clone(&detail.seat))).collect::<Vec<_>>()
    });
    waits.into_iter().filter(|(_, seat)| !seat.is_open()).map(|(party, _)| (party, false)).collect()
}

/// Marks the waits of a cycle; whether one of them is part of no earlier report.
fn mark_reported(py: Python<'_>, cycle: &Cycle) -> bool {
    KNOWN.with(py, |known| {
        let mut is_new = false;
        for (_, because) in cycle {
            let Because::Waits(wait) = because else { continue };
            if let Some(detail) = known.details.get_mut(&wait.serial) {
                is_new |= !std::mem::replace(&mut detail.reported, true);
            }
        }
        is_new
    })
}

/// What a search goes through.
struct Around<'py> {
    py: Python<'py>,
    /// Tasks that were met on the way.
    tasks: HashMap<Party, Bound<'py, PyAny>>,
    running: Option<Party>,
}

impl<'py> Around<'py> {
    fn task(&mut self, party: Party) -> Option<Bound<'py, PyAny>> {
        let py = self.py;
        if let Some(task) = self.tasks.get(&party) {
            return Some(task.clone());
        }
        let waiting = KNOWN.with(py, |known| {
            let wait = known.waits.of(party).first()?;
            known.details.get(&wait.serial)?.task.as_ref().map(|task| task.clone_ref(py))
        });
        let task = waiting.and_then(|task| task.bind(py).upgrade()).or_else(|| task_that_holds(py, party))?;
        self.tasks.insert(party, task.clone());
        Some(task)
    }

    /// Whom the waits of a party are for.
    fn blocked_by(&self, party: Party) -> Vec<(Party, Because)> {
        let py = self.py;
        let asked = KNOWN.with(py, |known| {
            let waits = known.waits.of(party).iter();
            waits
                .filter_map(|wait| {
                    let detail = known.details.get(&wait.serial)?;
                    Some((*wait, Arc::clone(&detail.tag), Arc::clone(&detail.seat)))
                })
                .collect::<Vec<_>>()
        });
        let mut blockers = Vec::new();
        for (wait, tag, seat) in asked {
            if !seat.is_open() {
                continue;
            }
            let Some(head) = tag.tag().map(Tag::head) else { continue };
            let mut holders: Vec<_> =
                HELD.with(py, |held| held.holders(head).map(|holding| (holding.party, holding.shared)).collect());
            if holders.is_empty() {
                holders = given(py, &tag);
            }
            let of_wait = KNOWN.with(py, |known| blockers_of(&wait, &holders, &known.waits));
            blockers.extend(of_wait.into_iter().map(|blocker| (blocker, Because::Waits(wait))));
        }
        blockers
    }

    /// Whom a task needs: the task that it awaits, the thread of its loop.
    fn needs(&mut self, task: &Bound<'py, PyAny>) -> PyResult<Vec<Party>> {
        let answer = names::task_needs(self.py)?.call1((task,))?;
        let (awaited, thread, scheduler): (Option<Bound<'py, PyAny>>, Option<u64>, Bound<'py, PyAny>) =
            answer.extract()?;
        let mut needs: Vec<Party> = thread_that_runs(thread, &scheduler).into_iter().collect();
        if let Some(awaited) = awaited {
            needs.push(task_party(&awaited));
            self.tasks.insert(task_party(&awaited), awaited);
        }
        Ok(needs)
    }

    fn is_parked(&self, task: &Bound<'py, PyAny>) -> bool {
        let answer = names::task_is_parked(self.py).and_then(|asks| asks.call1((task,))?.is_truthy());
        answer.unwrap_or(false)
    }

    /// Whether all is as it was when the cycle was found.
    fn holds_still(&self, cycle: &Cycle) -> bool {
        let nexts = cycle.iter().skip(1).chain(cycle.first());
        cycle.iter().zip(nexts).all(|((party, because), (next, _))| match because {
            Because::Waits(_) => self.blocked_by(*party).contains(&(*next, *because)),
            Because::Needs => true,
        })
    }

    fn member(&mut self, party: Party, because: Because) -> Option<found::Member> {
        let py = self.py;
        let task = if is_task(party) { Some(self.task(party)?.unbind()) } else { None };
        let serial = match because {
            Because::Waits(wait) => Some(wait.serial),
            Because::Needs => None,
        };
        Some(found::Member { party, task, serial, wait: serial.and_then(|serial| shown_wait(py, serial)) })
    }
}

impl Surroundings for Around<'_> {
    fn blockers(&mut self, party: Party) -> Vec<(Party, Because)> {
        let mut blockers = self.blocked_by(party);
        if !is_task(party) {
            return blockers;
        }
        let Some(task) = self.task(party) else { return Vec::new() };
        if self.running != Some(party) && !blockers.is_empty() && !self.is_parked(&task) {
            blockers.clear();
        }
        let needs = if self.running == Some(party) { Ok(Vec::new()) } else { self.needs(&task) };
        blockers.extend(needs.unwrap_or_default().into_iter().map(|needed| (needed, Because::Needs)));
        blockers
    }
}

/// A wait as Python gets it: the primitive, where, since when.
pub(super) type ShownWait = (Py<PyAny>, Option<ShownSite>, u64);

fn shown_wait(py: Python<'_>, serial: u64) -> Option<ShownWait> {
    let (object, site, since_ns) = KNOWN.with(py, |known| {
        let detail = known.details.get(&serial)?;
        Some((detail.object.clone_ref(py), detail.site.shown(py), detail.since_ns))
    })?;
    Some((object.bind(py).upgrade()?.unbind(), site, since_ns))
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

/// Looks for cycles among all who wait, and reports new ones.
#[pyfunction]
pub fn look(py: Python<'_>) -> PyResult<()> {
    for party in KNOWN.with(py, |known| known.waits.parties()) {
        if let Some(spotted) = search(py, party, false).filter(|spotted| spotted.is_new)
            && let Some(error) = found::report(py, &spotted, takes_a_victim())?
        {
            doom_one_of(py, &spotted, error);
        }
    }
    Ok(())
}
