//! Who runs: a thread, or a task in it.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tideloop_core::wait_graph::Party;

use crate::error::unraisable;
use crate::names;
use crate::slots::running::{native_running_loop, running_loop_or_none};
use crate::slots::thread_ident;
use crate::task::{Task, current};

/// One whose end has been noted: it is nobody any more.
pub const GONE: Party = Party(0);

/// Who runs.
pub struct Caller {
    pub party: Party,
    /// A task that is not ours is kept alive by what it holds: nobody else would tell us when it dies.
    pub keep: Option<Py<PyAny>>,
}

/// How a primitive is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By a plain call, which any code may make.
    Calling,
    /// By an `await`: a task does that.
    Awaiting,
}

thread_local! {
    /// Whether Python's half knows this thread.
    static KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// A thread: its identifier, made odd.
pub fn thread_party(ident: u64) -> Party {
    Party(ident | 1)
}

/// A task: its address, which is even.
pub fn task_party(task: &Bound<'_, PyAny>) -> Party {
    Party(task.as_ptr() as u64)
}

/// Whether it is a task, and not a thread.
pub fn is_task(party: Party) -> bool {
    party != GONE && party.0 & 1 == 0
}

/// This thread, whatever runs in it.
#[inline]
pub fn this_thread(py: Python<'_>) -> Party {
    if !KNOWN.get() {
        introduce(py);
    }
    thread_party(thread_ident(py))
}

/// Tells Python's half of this thread, so that its end is noticed.
#[cold]
fn introduce(py: Python<'_>) {
    KNOWN.set(true);
    if let Err(error) = names::thread_seen(py).and_then(Bound::call0) {
        unraisable(py, error, None);
    }
}

/// This thread ends, or is detached from the interpreter.
pub fn forget_this_thread() {
    KNOWN.set(false);
}

/// Who calls.
#[inline]
pub fn caller(py: Python<'_>, by: By) -> Caller {
    let native = native_running_loop(py);
    if let Some(native) = &native {
        let address = native.get().current.address(py);
        if address != 0 {
            return Caller { party: Party(address as u64), keep: None };
        }
    } else if by == By::Calling {
        // A task of somebody else's loop that blocks holds what it takes as its thread: to ask costs a call. So less is
        // found, and nothing wrong.
        return Caller { party: this_thread(py), keep: None };
    }
    let event_loop = running_loop_or_none(py).ok().flatten();
    let task = event_loop.map_or_else(|| task_of_trio(py), |running| current::task_on(&running).ok().flatten());
    let Some(task) = task else { return Caller { party: this_thread(py), keep: None } };
    let party = task_party(&task);
    let keep = (!task.is_instance_of::<Task>()).then(|| task.unbind());
    Caller { party, keep }
}

/// What runs tasks in this thread: an event loop, or trio's runner.
pub fn running_scheduler(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let event_loop = names::get_running_loop_or_none(py).and_then(Bound::call0).ok()?;
    if event_loop.is_none() { task_of_trio(py)?.getattr(intern!(py, "_runner")).ok() } else { Some(event_loop) }
}

/// The task of trio that runs in this thread.
fn task_of_trio(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let modules = names::sys_modules(py).ok()?.cast::<PyDict>().ok()?;
    let lowlevel = modules.get_item(intern!(py, "trio.lowlevel")).ok()??;
    lowlevel.call_method0(intern!(py, "current_task")).ok()
}

/// Whether a coroutine is all that the current task does.
pub fn is_root(coroutine: &Bound<'_, PyAny>) -> bool {
    let py = coroutine.py();
    let event_loop = running_loop_or_none(py).ok().flatten();
    let task = event_loop.and_then(|event_loop| current::task_on(&event_loop).ok().flatten());
    let root = task.and_then(|task| task.call_method0(intern!(py, "get_coro")).ok());
    root.is_some_and(|root| root.is(coroutine))
}
