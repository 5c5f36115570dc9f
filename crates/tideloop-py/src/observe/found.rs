//! A cycle as Python gets it.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use tideloop_core::wait_graph::Party;

use super::held::holdings_of;
use super::waits::ShownWait;
use crate::error::unraisable;
use crate::names;

/// One of a cycle.
pub struct Member {
    pub party: Party,
    /// None: it is a thread.
    pub task: Option<Py<PyAny>>,
    /// The number of its wait, and the wait. None: it needs the next member itself.
    pub serial: Option<u64>,
    pub wait: Option<ShownWait>,
}

/// A cycle: each member cannot go on without the next, and the last not without the first.
pub struct Spotted {
    pub members: Vec<Member>,
    /// It has not been reported before.
    pub is_new: bool,
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

/// Reports a cycle: the error for its victim, if it is to have one.
pub fn report(py: Python<'_>, spotted: &Spotted, victim: bool) -> PyResult<Option<PyErr>> {
    if REPORTING.replace(true) {
        return Ok(None);
    }
    REPORTS.fetch_add(1, Ordering::Relaxed);
    let told = tell(py, spotted, victim);
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

fn tell<'py>(py: Python<'py>, spotted: &Spotted, victim: bool) -> PyResult<Bound<'py, PyAny>> {
    let members: Vec<_> = spotted
        .members
        .iter()
        .map(|member| {
            let task = member.task.as_ref().map(|task| task.clone_ref(py));
            let wait = member.wait.as_ref().map(|(object, site, since_ns)| {
                let site = site.as_ref().map(|(code, offset)| (code.clone_ref(py), *offset));
                (object.clone_ref(py), site, *since_ns)
            });
            (member.party.0, task, holdings_of(py, member.party), wait)
        })
        .collect();
    names::deadlock_found(py)?.call1((members, victim))
}
