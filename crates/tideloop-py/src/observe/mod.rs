//! `tideloop.observe`: who holds what and who waits for what, noted while detection is on, so that a deadlock is found
//! when it closes. What is found becomes readable in `tideloop._deadlocks`.
//!
//! | file | what it holds |
//! |---|---|
//! | `party.rs` | who runs: the thread, or the task in it |
//! | `held.rs` | [`Tag`], the field of a primitive that says who holds it |
//! | `waits.rs` | [`Watching`], a wait that is looked at |
//! | `search.rs` | the search for cycles |
//! | `found.rs` | a cycle as Python gets it |
//!
//! What an owner-tracked primitive does: it has a [`Tag`] beside its state, calls `taken` after it has been taken and
//! `left` before it is given back; its waits give a [`Watched`] when they are asked for one.
//!
//! Everything here is reached by attached threads, one at a time (`gil_used`).

mod found;
mod held;
mod party;
mod search;
mod waits;

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

pub use held::{Displaced, OwnTag, Tag, Tagged, task_ended, task_gone};
pub use party::{By, is_root};
pub use search::look;
pub use waits::{Sits, Watched, Watching, anybody_waits};

static ON: AtomicBool = AtomicBool::new(false);
static VICTIM: AtomicBool = AtomicBool::new(false);

/// Whether deadlocks are looked for.
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether one of those in a cycle gets an error.
fn takes_a_victim() -> bool {
    VICTIM.load(Ordering::Relaxed)
}

/// Begins to look for deadlocks, or ends it and forgets everything.
#[pyfunction]
fn watch(py: Python<'_>, on: bool, victim: bool) {
    ON.store(on, Ordering::Relaxed);
    VICTIM.store(victim, Ordering::Relaxed);
    if !on {
        held::forget_all(py);
    }
}

/// Whether deadlocks are looked for, and whether one of those in a cycle gets an error.
#[pyfunction]
fn watches() -> (bool, bool) {
    (on(), takes_a_victim())
}

/// Adds the functions, under a private name.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let observe = PyModule::new(py, "tideloop._native._observe")?;
    observe.setattr("watch", wrap_pyfunction!(watch, &observe)?)?;
    observe.setattr("watches", wrap_pyfunction!(watches, &observe)?)?;
    observe.setattr("thread_ended", wrap_pyfunction!(held::thread_ended, &observe)?)?;
    observe.setattr("forget_other_threads", wrap_pyfunction!(held::forget_other_threads, &observe)?)?;
    observe.setattr("task_ended", wrap_pyfunction!(held::foreign_task_ended, &observe)?)?;
    observe.setattr("holdings", wrap_pyfunction!(held::holdings, &observe)?)?;
    observe.setattr("stands_between", wrap_pyfunction!(crate::slots::sites::stands_between, &observe)?)?;
    observe.setattr("waits", wrap_pyfunction!(waits::waits, &observe)?)?;
    observe.setattr("waiting_threads", wrap_pyfunction!(waits::waiting_threads, &observe)?)?;
    observe.setattr("story", wrap_pyfunction!(waits::story, &observe)?)?;
    observe.setattr("waiting", wrap_pyfunction!(waits::waiting, &observe)?)?;
    observe.setattr("busy", wrap_pyfunction!(waits::busy, &observe)?)?;
    observe.setattr("look", wrap_pyfunction!(search::look, &observe)?)?;
    module.setattr("_observe", observe)
}
