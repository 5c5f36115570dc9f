//! The one kind of interior mutability in this crate (DESIGN §4.1, §10.6).
//!
//! Python may run anything whenever it is let: a call, a decref that reaches `__del__`, a comparison. So state is
//! only touched inside [`Cell::with`], whose closure calls no Python and drops no Python object. What a closure
//! replaces leaves it as a `#[must_use]` value and is dropped outside; [`Slot`], the field type for Python objects,
//! has no drop glue, so that an assignment cannot drop one by accident.
//!
//! The flag that catches re-entrance stays on in release builds: a violation is a bug of ours and panics, which
//! becomes a Python exception at the boundary, and never a second `&mut`.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// State that belongs to a Python object and is reached only while attached to the interpreter. `beside` it there is
/// room for up to seven bytes that need no guard, such as atomic flags, where the state is aligned to eight.
pub struct Cell<T, S = ()> {
    busy: std::cell::Cell<bool>,
    beside: S,
    value: UnsafeCell<T>,
}

// SAFETY: every access goes through `with` or `during_gc`, which need an attached thread. The module declares
// `gil_used`, so only one thread is attached at a time and accesses never overlap.
unsafe impl<T, S: Sync> Sync for Cell<T, S> {}
// SAFETY: as above; the value moves between threads only together with the Python object that owns it.
unsafe impl<T, S: Send> Send for Cell<T, S> {}

struct Release<'a>(&'a std::cell::Cell<bool>);

impl Drop for Release<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[cold]
#[inline(never)]
#[allow(clippy::panic)]
fn reentered() -> ! {
    panic!("tideloop: a cell was entered while it was open; please report this")
}

impl<T> Cell<T> {
    /// A cell that holds `value`.
    pub const fn new(value: T) -> Self {
        Self { busy: std::cell::Cell::new(false), beside: (), value: UnsafeCell::new(value) }
    }
}

impl<T, S> Cell<T, S> {
    /// A cell that holds `value`, and `beside` it what needs no guard.
    pub const fn with_beside(value: T, beside: S) -> Self {
        Self { busy: std::cell::Cell::new(false), beside, value: UnsafeCell::new(value) }
    }

    /// What needs no guard.
    #[inline]
    pub const fn beside(&self) -> &S {
        &self.beside
    }

    /// Gives `f` the state. `f` must not call Python, drop a Python object or enter another cell.
    #[inline]
    pub fn with<R>(&self, _py: Python<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        if self.busy.replace(true) {
            reentered();
        }
        let _release = Release(&self.busy);
        // SAFETY: the flag was clear, so no other reference to the value exists, and stays set until `f` is done.
        f(unsafe { &mut *self.value.get() })
    }

    /// For `__traverse__` alone, where no token exists: `None` while the cell is open (then the collector sees the
    /// object as reachable from outside, and leaves it alone this time).
    pub fn during_gc<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        if self.busy.get() {
            return None;
        }
        // SAFETY: the collector runs on the one attached thread and the cell is not open.
        Some(f(unsafe { &*self.value.get() }))
    }

    /// The state of an object that is being destroyed.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A field that may hold a Python object and never drops it by itself: whoever takes it out drops it outside of
/// [`Cell::with`], and the owner's `Drop` takes out all of them.
pub struct Slot<T = PyAny>(ManuallyDrop<Option<Py<T>>>);

impl<T> Slot<T> {
    /// A slot without an object.
    pub const EMPTY: Self = Self(ManuallyDrop::new(None));

    /// A slot that holds `object`.
    pub const fn holding(object: Py<T>) -> Self {
        Self(ManuallyDrop::new(Some(object)))
    }

    /// A slot that holds `object`, if there is one.
    pub const fn maybe(object: Option<Py<T>>) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// Whether an object is there.
    #[inline]
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Whether no object is there.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The object, borrowed from the slot: for identity tests and such, nothing that runs Python.
    #[inline]
    pub fn as_ref(&self) -> Option<&Py<T>> {
        self.0.as_ref()
    }

    /// A reference of one's own to the object.
    #[inline]
    pub fn cloned(&self, py: Python<'_>) -> Option<Py<T>> {
        self.0.as_ref().map(|object| object.clone_ref(py))
    }

    /// Takes the object out; the caller drops it outside of the cell.
    #[inline]
    #[must_use = "drop it outside of the cell"]
    pub fn take(&mut self) -> Option<Py<T>> {
        self.0.take()
    }

    /// Puts `object` in and hands out what was there; the caller drops it outside of the cell.
    #[inline]
    #[must_use = "drop it outside of the cell"]
    pub fn replace(&mut self, object: Option<Py<T>>) -> Option<Py<T>> {
        std::mem::replace(&mut *self.0, object)
    }

    /// Shows the object to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&*self.0)
    }
}
