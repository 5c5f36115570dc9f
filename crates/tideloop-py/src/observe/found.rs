//! A cycle as Python gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use tideloop_core::wait_graph::Party;

use super::held::{ShownHolding, holdings_of};
use super::waits::{ShownWait, shown_wait};
use crate::error::unraisable;
use crate::names;

/// One of a cycle.
pub struct Member {
    pub party: Party,
    /// None: it is a thread.
    pub task: Option<Py<PyAny>>,
    /// The number of its wait. None: it needs the next member itself.
    pub serial: Option<u64>,
}

thread_local! {
    /// What a report calls may wait for locks, too; that is not looked at.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// How many threads report one.
static REPORTS: AtomicUsize = AtomicUsize::new(0);

/// Whether a cycle is being reported.
pub fn reporting() -> bool {
    REPORTS.load(Ordering::Relaxed) > 0
}

/// Reports a cycle, in which each member cannot go on without the next, and the last not without the first: the error for
/// its victim, if it is to have one.
pub fn report(py: Python<'_>, members: &[Member], victim: bool) -> PyResult<Option<PyErr>> {
    if REPORTING.replace(true) {
        return Ok(None);
    }
    REPORTS.fetch_add(1, Ordering::Relaxed);
    let told = tell(py, members, victim);
    REPORTS.fetch_sub(1, Ordering::Relaxed);
    REPORTING.set(false);
    match told {
        Ok(error) if victim => Ok(Some(PyErr::from_value(error))),
        Ok(_) => Ok(None),
        Err(error) if crate::error::leaves_the_loop(py, &error) => Err(error),
        Err(error) => {
            unraisable(py, error, None);
            Ok(None)
        }
    }
}

/// One as Python gets it: its number, the task, what it holds, what it waits for.
pub type ShownMember = (u64, Option<Py<PyAny>>, Vec<ShownHolding>, Option<ShownWait>);

impl Member {
    /// As Python gets it.
    pub fn shown(&self, py: Python<'_>) -> ShownMember {
        let task = self.task.as_ref().map(|task| task.clone_ref(py));
        let wait = self.serial.and_then(|serial| shown_wait(py, serial));
        (self.party.0, task, holdings_of(py, self.party), wait)
    }
}

fn tell<'py>(py: Python<'py>, members: &[Member], victim: bool) -> PyResult<Bound<'py, PyAny>> {
    let members: Vec<_> = members.iter().map(|member| member.shown(py)).collect();
    names::deadlock_found(py)?.call1((members, victim))
}
