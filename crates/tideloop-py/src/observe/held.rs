//! Who holds what, and where it was taken.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use tideloop_core::wait_graph::{Head, Holding, Holdings, Party};

use super::on;
use super::party::{By, Caller, GONE, caller, forget_this_thread, is_task, task_party, this_thread};
use crate::cell::Cell;
use crate::error::unraisable;
use crate::names;
use crate::slots::roster::upgrade;
use crate::slots::sites::{ShownSite, Site};
use crate::task::Task;

/// What is remembered of one who holds something.
pub(super) struct Mark {
    /// The address of the primitive, which leaves by `Tag::dropped` before it dies.
    object: usize,
    /// The task, if it is not ours.
    keep: Option<Py<PyAny>>,
    site: Site,
}

pub(super) static HELD: Cell<Holdings<Mark>> = Cell::new(Holdings::new());

/// In an owner-tracked primitive: who holds it, as far as that is known. Off, it says "nobody" and costs one load.
#[derive(Default)]
pub struct Tag {
    head: AtomicU64,
}

/// What may have a [`Tag`].
pub trait Tagged: Send + Sync {
    fn tag(&self) -> Option<&Tag>;
}

/// A tag by itself.
#[derive(Default)]
pub struct OwnTag(pub Tag);

impl Tagged for OwnTag {
    fn tag(&self) -> Option<&Tag> {
        Some(&self.0)
    }
}

/// What has to be dropped when the primitive is in order again.
#[must_use = "drop it when nothing can go wrong any more"]
pub struct Displaced {
    _marks: Vec<Holding<Mark>>,
    _mark: Option<Holding<Mark>>,
}

impl Tag {
    /// One that nobody holds.
    pub const fn new() -> Self {
        Self { head: AtomicU64::new(0) }
    }

    /// The caller has taken `object`, for itself alone.
    #[inline]
    pub fn taken(&self, object: &Bound<'_, PyAny>, by: By) {
        if on() {
            self.note(object, by, false);
        }
    }

    /// The caller has taken a share of `object`, as readers do.
    #[inline]
    pub fn shared(&self, object: &Bound<'_, PyAny>, by: By) {
        if on() {
            self.note(object, by, true);
        }
    }

    /// Whoever holds it alone is about to let go.
    #[inline]
    pub fn left(&self, py: Python<'_>) -> Option<Displaced> {
        if self.head.load(Ordering::Relaxed) == 0 { None } else { Some(self.forget(py)) }
    }

    /// The caller is about to give its share back.
    #[inline]
    pub fn left_share(&self, py: Python<'_>, by: By) -> Option<Displaced> {
        if self.head.load(Ordering::Relaxed) == 0 { None } else { Some(self.forget_share(py, by)) }
    }

    /// The caller, if it holds it, does so for somebody else.
    #[cold]
    pub fn disown(&self, py: Python<'_>) {
        let party = caller(py, By::Awaiting).party;
        let first = HELD.with(py, |held| held.holders(self.head()).next().map(|holding| holding.party));
        if first == Some(party) {
            drop(self.left(py));
        }
    }

    /// The primitive dies.
    #[inline]
    pub fn dropped(&self) {
        if self.head.load(Ordering::Relaxed) != 0 {
            Python::attach(|py| {
                let marks = HELD.with(py, |held| held.leave_all(self.head()));
                self.head.store(0, Ordering::Relaxed);
                drop(marks);
            });
        }
    }

    pub(super) fn head(&self) -> Head {
        Head::from_u64(self.head.load(Ordering::Relaxed))
    }

    fn note(&self, object: &Bound<'_, PyAny>, by: By, shared: bool) {
        let py = object.py();
        let site = Site::here(py);
        if site.for_others {
            if !shared {
                drop(self.left(py));
            }
            return;
        }
        let Caller { party, keep } = caller(py, by);
        if let Some(task) = &keep {
            watch_foreign(py, task);
        }
        let mark = Mark { object: object.as_ptr() as usize, keep, site };
        let (head, displaced) = HELD.with(py, |held| {
            let before = self.head();
            let is_free = shared || before == Head::default();
            let (head, displaced) = if is_free { (before, None) } else { held.leave(before) };
            (held.enter(head, party, shared, mark), displaced)
        });
        self.head.store(head.to_u64(), Ordering::Relaxed);
        drop(displaced);
    }

    fn forget(&self, py: Python<'_>) -> Displaced {
        let (head, mark) = HELD.with(py, |held| held.leave(self.head()));
        self.head.store(head.to_u64(), Ordering::Relaxed);
        Displaced { _marks: Vec::new(), _mark: mark }
    }

    #[cold]
    fn forget_share(&self, py: Python<'_>, by: By) -> Displaced {
        let party = caller(py, by).party;
        let (head, marks) = HELD.with(py, |held| held.leave_as(self.head(), party));
        self.head.store(head.to_u64(), Ordering::Relaxed);
        Displaced { _marks: marks, _mark: None }
    }
}

/// A task that is not ours has taken something: has its end told.
#[cold]
fn watch_foreign(py: Python<'_>, task: &Py<PyAny>) {
    if let Err(error) = names::watch_foreign_task(py).and_then(|watch| watch.call1((task,))) {
        unraisable(py, error, None);
    }
}

/// Detection ends.
pub(super) fn forget_all(py: Python<'_>) {
    drop(HELD.with(py, Holdings::clear));
}

/// A task of ours is done.
#[inline]
pub fn task_ended(task: &Bound<'_, Task>) {
    if on() {
        ended(task.py(), task_party(task.as_any()), Some(task.as_any()));
    }
}

/// The memory of a task of ours is about to be freed: it may have been pending.
#[inline]
pub fn task_gone(py: Python<'_>, address: usize) {
    if on() {
        drop(orphans(py, Party(address as u64)));
    }
}

/// A task of somebody else's is done.
#[pyfunction]
pub(super) fn foreign_task_ended(task: &Bound<'_, PyAny>) {
    ended(task.py(), task_party(task), Some(task));
}

/// This thread ends.
#[pyfunction]
pub(super) fn thread_ended(py: Python<'_>, thread: &Bound<'_, PyAny>) {
    ended(py, this_thread(py), Some(thread));
    forget_this_thread();
}

/// In the child of a fork: what other threads held is nobody's, and nobody is to blame.
#[pyfunction]
pub(super) fn forget_other_threads(py: Python<'_>) {
    let this = this_thread(py);
    HELD.with(py, |held| {
        for holding in held.iter_mut().filter(|holding| !is_task(holding.party) && holding.party != this) {
            holding.party = GONE;
        }
    });
    super::waits::forget_other_threads(py, this);
}

/// Reports what one held who has ended, and makes it nobody's.
fn ended(py: Python<'_>, party: Party, who: Option<&Bound<'_, PyAny>>) {
    let orphans = orphans(py, party);
    if orphans.is_empty() {
        return;
    }
    let told = names::ended_holding(py).and_then(|tell| tell.call1((is_task(party), who, orphans)));
    if let Err(error) = told {
        unraisable(py, error, who);
    }
}

/// A primitive as Python gets it; where it was taken, a code object and an offset; and whether with others.
pub(super) type ShownHolding = (Py<PyAny>, Option<ShownSite>, bool);

/// Makes nobody's what a party held.
fn orphans(py: Python<'_>, party: Party) -> Vec<ShownHolding> {
    if HELD.with(py, |held| held.is_empty()) {
        return Vec::new();
    }
    let shown = holdings_of(py, party);
    let mut kept = Vec::new();
    HELD.with(py, |held| {
        for holding in held.iter_mut().filter(|holding| holding.party == party) {
            holding.party = GONE;
            kept.extend(holding.detail.keep.take());
        }
    });
    drop(kept);
    shown
}

/// What a party holds.
pub(super) fn holdings_of(py: Python<'_>, party: Party) -> Vec<ShownHolding> {
    let found = HELD.with(py, |held| {
        let of_party = held.iter().filter(|holding| holding.party == party);
        let shown = of_party.map(|holding| (holding.detail.object, holding.detail.site.shown(py), holding.shared));
        shown.collect::<Vec<_>>()
    });
    let alive = |(object, site, shared): (usize, _, _)| {
        Some((upgrade(py, object as *mut pyo3::ffi::PyObject)?.unbind(), site, shared))
    };
    found.into_iter().filter_map(alive).collect()
}

/// The task that holds something under this number.
pub(super) fn task_that_holds(py: Python<'_>, party: Party) -> Option<Bound<'_, PyAny>> {
    let keep = HELD.with(py, |held| {
        held.iter()
            .find(|holding| holding.party == party)
            .map(|holding| holding.detail.keep.as_ref().map(|keep| keep.clone_ref(py)))
    })?;
    match keep {
        Some(task) => Some(task.into_bound(py)),
        // One of ours, which would have been made nobody if it had died.
        None => upgrade(py, party.0 as usize as *mut pyo3::ffi::PyObject),
    }
}

/// How many holdings are noted: for tests.
#[pyfunction]
pub(super) fn holdings(py: Python<'_>) -> usize {
    HELD.with(py, |held| held.len())
}
