//! The search for cycles among those who wait.
//!
//! It asks Python what tasks wait for, so that things may change while it runs. But nobody in a cycle can move: what is
//! found is looked at once more, and counts if every wait in it is still the same one.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefMethods;
use tideloop_core::wait_graph::{Because, Cycle, Party, Surroundings, Wait, blockers_of, cycle_through};

use super::found::{self, Member};
use super::held::{HELD, Tag, Tagged, task_that_holds};
use super::party::{is_task, task_party, thread_party};
use super::takes_a_victim;
use super::waits::{Detail, KNOWN, doom_one_of, shown_wait};
use crate::event_loop::EventLoop;
use crate::names;

/// The cycle through a party, if there is one that cannot end by itself and has not been reported. `runs`: the party is
/// the one that asks, and so is not parked yet.
pub(super) fn search(py: Python<'_>, start: Party, runs: bool) -> Option<Vec<Member>> {
    let mut around = Around { py, tasks: HashMap::new(), running: runs.then_some(start) };
    let cycle = cycle_through(start, &mut around)?;
    if !is_new(py, &cycle) {
        return None;
    }
    let members = cycle.iter().map(|(party, because)| around.member(*party, *because)).collect::<Option<Vec<_>>>()?;
    // What ends a wait is looked for between two looks at who waits: whoever is in both is in none of what has ended.
    if something_ends(py, &members).unwrap_or(true) || !around.holds_still(&cycle) {
        return None;
    }
    mark_reported(py, &cycle).then_some(members)
}

/// Whether a timeout will end what a task in the cycle does, or a timer let go of something that is waited for. A task whose
/// loop stands still in the cycle has no timeouts.
fn something_ends(py: Python<'_>, members: &[Member]) -> PyResult<bool> {
    let stands = |thread: Party| members.iter().any(|member| member.party == thread);
    let tasks = members.iter().filter_map(|member| member.task.as_ref());
    let loop_thread = |task: &Py<PyAny>| needs_of(task.bind(py)).ok()?.1;
    let tasks: Vec<_> = tasks.filter(|task| !loop_thread(task).is_some_and(stands)).collect();
    let waits = members.iter().filter_map(|member| shown_wait(py, member.serial?));
    let wanted: Vec<_> = waits.map(|(object, ..)| object).collect();
    names::something_ends(py)?.call1((tasks, wanted))?.extract()
}

/// What a task needs to go on, besides locks: the task that it awaits, and the thread that runs its loop, without which no
/// timeout of it ends anything either.
fn needs_of<'py>(task: &Bound<'py, PyAny>) -> PyResult<(Option<Bound<'py, PyAny>>, Option<Party>)> {
    let answer = names::task_needs(task.py())?.call1((task,))?;
    let (awaited, thread, scheduler): (Option<Bound<'py, PyAny>>, Option<u64>, Bound<'py, PyAny>) = answer.extract()?;
    Ok((awaited, thread_that_runs(thread, &scheduler)))
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

/// Whether a loop of ours that the task belongs to has not looked yet at what other threads have left: perhaps that
/// cancels it.
fn has_mail(task: &Bound<'_, PyAny>) -> bool {
    let event_loop = task.call_method0(intern!(task.py(), "get_loop"));
    event_loop.is_ok_and(|event_loop| EventLoop::of(&event_loop).is_some_and(|ours| ours.get().has_mail()))
}

/// Who has been given this and has not run since, so that the tag does not name it.
fn given(py: Python<'_>, tag: &Arc<dyn Tagged>) -> Vec<(Party, bool)> {
    let waits = KNOWN.with(py, |known| {
        let of_tag = known.details.values().filter(|detail| Arc::ptr_eq(&detail.tag, tag));
        of_tag.map(|detail| (detail.party, Arc::clone(&detail.seat))).collect::<Vec<_>>()
    });
    waits.into_iter().filter(|(_, seat)| !seat.is_open()).map(|(party, _)| (party, false)).collect()
}

/// Whether one of the waits of a cycle is part of no earlier report.
fn is_new(py: Python<'_>, cycle: &Cycle) -> bool {
    KNOWN.with(py, |known| {
        let mut details = waits_of(cycle).filter_map(|wait| known.details.get(&wait.serial));
        details.any(|detail| !detail.reported)
    })
}

/// Marks the waits of a cycle; whether one of them is part of no earlier report.
fn mark_reported(py: Python<'_>, cycle: &Cycle) -> bool {
    KNOWN.with(py, |known| {
        let mut is_new = false;
        for wait in waits_of(cycle) {
            if let Some(detail) = known.details.get_mut(&wait.serial) {
                is_new |= !std::mem::replace(&mut detail.reported, true);
            }
        }
        is_new
    })
}

fn waits_of(cycle: &Cycle) -> impl Iterator<Item = Wait> {
    cycle.iter().filter_map(|(_, because)| match because {
        Because::Waits(wait) => Some(*wait),
        Because::Needs => None,
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
        let (awaited, thread) = needs_of(task)?;
        let mut needs: Vec<Party> = thread.into_iter().collect();
        if let Some(awaited) = awaited {
            needs.push(task_party(&awaited));
            self.tasks.insert(task_party(&awaited), awaited);
        }
        Ok(needs)
    }

    fn is_parked(&self, task: &Bound<'py, PyAny>) -> bool {
        if has_mail(task) {
            return false;
        }
        let answer = names::task_is_parked(self.py).and_then(|asks| asks.call1((task,))?.is_truthy());
        answer.unwrap_or(false)
    }

    /// Whether all is as it was when the cycle was found.
    fn holds_still(&mut self, cycle: &Cycle) -> bool {
        let nexts = cycle.iter().skip(1).chain(cycle.first());
        cycle.iter().zip(nexts).all(|(&(party, because), &(next, _))| self.blockers(party).contains(&(next, because)))
    }

    fn member(&mut self, party: Party, because: Because) -> Option<Member> {
        let task = if is_task(party) { Some(self.task(party)?.unbind()) } else { None };
        let serial = match because {
            Because::Waits(wait) => Some(wait.serial),
            Because::Needs => None,
        };
        Some(Member { party, task, serial })
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

/// Looks for cycles among all who wait, and reports new ones.
#[pyfunction]
pub fn look(py: Python<'_>) -> PyResult<()> {
    for party in KNOWN.with(py, |known| known.waits.parties()) {
        if let Some(members) = search(py, party, false)
            && let Some(error) = found::report(py, &members, takes_a_victim())?
        {
            doom_one_of(py, &members, error);
        }
    }
    Ok(())
}
