//! Memory of the native classes: reuse of freed objects, and what every deallocator does.

use std::cell::UnsafeCell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Slotted, allocate_untracked};

/// Freed objects that each class keeps for reuse; 256 tasks are 44 KiB.
const OBJECTS_KEPT_MAX: usize = 256;

/// Futures and tasks that end inside each other's end; the next one has to wait. A chain of a hundred thousand tasks,
/// each waiting for the next, would overflow the stack.
const ENDS_NESTED_MAX: usize = 64;

/// The last part of a deallocator, to be called when there is room on the stack.
pub type End = unsafe fn(Python<'_>, *mut ffi::PyObject);

/// Objects whose end was put off.
pub struct Ends(UnsafeCell<PutOff>);

struct PutOff {
    nested: usize,
    waiting: Vec<(*mut ffi::PyObject, End)>,
}

// SAFETY: only reached by attached threads, of which there is one at a time: the module declares `gil_used`.
unsafe impl Sync for Ends {}

impl Ends {
    /// None yet.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(PutOff { nested: 0, waiting: Vec::new() }))
    }

    /// Calls `end(object)` now, or when the ends that are under way have come to theirs.
    ///
    /// # Safety
    /// Attached; `end` may be called for this object, which nobody else can reach.
    #[inline]
    pub unsafe fn reach(&self, py: Python<'_>, object: *mut ffi::PyObject, end: End) {
        let state = self.0.get();
        // SAFETY: attached, and over before Python can run, as each use below.
        let nested = unsafe { (*state).nested };
        if nested >= ENDS_NESTED_MAX {
            // SAFETY: as above.
            let waiting = unsafe { &mut (*state).waiting };
            waiting.push((object, end));
            return;
        }
        // SAFETY: as above.
        unsafe { (*state).nested = nested + 1 };
        // SAFETY: the caller vouches for it.
        unsafe { end(py, object) };
        if nested == 0 {
            // SAFETY: whoever put them off has vouched for them.
            unsafe { self.catch_up(py) };
        }
        // SAFETY: as above.
        unsafe { (*state).nested -= 1 };
    }

    /// Sees to those that were put off, one after another: the stack does not grow with their number.
    ///
    /// # Safety
    /// As for [`Self::reach`], of all that wait.
    #[inline]
    unsafe fn catch_up(&self, py: Python<'_>) {
        loop {
            // SAFETY: attached, and over before Python can run.
            let waiting = unsafe { &mut (*self.0.get()).waiting };
            let Some((object, end)) = waiting.pop() else { return };
            // SAFETY: the caller vouches for it.
            unsafe { end(py, object) };
        }
    }
}

/// Freed objects of one exact class, waiting to be used again.
pub struct Pool(UnsafeCell<Freed>);

struct Freed {
    objects: [*mut ffi::PyObject; OBJECTS_KEPT_MAX],
    len: usize,
}

// SAFETY: only reached by attached threads, of which there is one at a time: the module declares `gil_used`.
unsafe impl Sync for Pool {}

impl Pool {
    /// A pool without objects.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Freed { objects: [ptr::null_mut(); OBJECTS_KEPT_MAX], len: 0 }))
    }

    #[inline]
    fn pop(&self, _py: Python<'_>) -> Option<*mut ffi::PyObject> {
        // SAFETY: attached, and nothing below lets another thread or this function in.
        let freed = unsafe { &mut *self.0.get() };
        freed.len = freed.len.checked_sub(1)?;
        freed.objects.get(freed.len).copied()
    }

    /// Keeps the object, unless the pool is full.
    ///
    /// # Safety
    /// Attached; the object is empty, untracked, of this pool's class and belongs to nobody.
    #[inline]
    unsafe fn push(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: as in `pop`.
        let freed = unsafe { &mut *self.0.get() };
        let Some(place) = freed.objects.get_mut(freed.len) else { return false };
        *place = object;
        freed.len += 1;
        true
    }
}

/// Memory for an instance of exactly `class`, untracked, with nothing behind its contents.
///
/// # Safety
/// `class` is the live heap type that `pool` belongs to.
#[inline]
pub unsafe fn allocate(py: Python<'_>, pool: &Pool, class: *mut ffi::PyTypeObject) -> PyResult<*mut ffi::PyObject> {
    let Some(object) = pool.pop(py) else {
        // SAFETY: the caller vouches for the class.
        return unsafe { allocate_untracked(py, class) };
    };
    // SAFETY: memory of an instance of this very class; gives it one reference and its class back.
    Ok(unsafe { ffi::PyObject_Init(object, class) })
}

/// The contents of class `T` in `object`.
///
/// # Safety
/// `object` is an instance of `T` or of a class derived from it.
#[inline]
pub unsafe fn contents<T: Slotted>(object: *mut ffi::PyObject) -> *mut T {
    // SAFETY: inside the object, as checked at import.
    unsafe { object.byte_add(T::OFFSET) }.cast()
}

/// Where the dictionary and the list of weak references of a class with both lie, in bytes from the object's start.
pub struct Tail {
    pub dict: usize,
    pub weak_references: usize,
}

/// See [`Tail`]; compared with the type's own offsets at import.
pub const fn tail<T: Slotted>() -> Tail {
    let dict = T::OFFSET + size_of::<T>();
    Tail { dict, weak_references: dict + size_of::<*mut ffi::PyObject>() }
}

/// Hides an object from the collector and tells its weak references, whose list lies `weak_references` bytes from its
/// start.
///
/// # Safety
/// `object` is of a class that the collector knows and that has such a list there; nobody has a reference to it.
#[inline]
pub unsafe fn hide(object: *mut ffi::PyObject, weak_references: usize) {
    // SAFETY: the caller vouches for the class.
    unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
    // SAFETY: inside the object.
    let weak_references = unsafe { object.byte_add(weak_references) }.cast::<*mut ffi::PyObject>();
    // SAFETY: NULL or a list.
    if !unsafe { weak_references.read() }.is_null() {
        // SAFETY: the object's reference count is zero, as this function wants it.
        unsafe { ffi::PyObject_ClearWeakRefs(object) };
    }
}

/// The first half of a deallocator: hides the object from the collector, tells its weak references, drops its
/// dictionary.
///
/// # Safety
/// `object` is an instance of `T`, a class with dictionary and weak references, and nobody has a reference to it.
#[inline]
pub unsafe fn detach<T: Slotted>(object: *mut ffi::PyObject) {
    let places = const { tail::<T>() };
    // SAFETY: the caller vouches for the object.
    unsafe { hide(object, places.weak_references) };
    // SAFETY: inside the object.
    let dict = unsafe { object.byte_add(places.dict) }.cast::<*mut ffi::PyObject>();
    // SAFETY: NULL or an owned dictionary.
    let old = unsafe { dict.replace(ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { ffi::Py_XDECREF(old) };
}

/// The last half: gives the memory to the pool, or back to the interpreter.
///
/// # Safety
/// Attached. `object` is untracked and emptied; with a pool it is exactly of that pool's class.
#[inline]
pub unsafe fn free(object: *mut ffi::PyObject, pool: Option<&Pool>) {
    // SAFETY: the class is alive as long as its instance holds a reference to it.
    let class = unsafe { ffi::Py_TYPE(object) };
    // An object that was finalized once would not be finalized again in its next life.
    // SAFETY: an object of a class that the collector knows.
    let reusable = pool.filter(|_| unsafe { ffi::PyObject_GC_IsFinalized(object) } == 0);
    // SAFETY: the caller vouches for the object.
    let kept = reusable.is_some_and(|pool| unsafe { pool.push(object) });
    if !kept {
        // SAFETY: a live class.
        let free = unsafe { (*class).tp_free };
        if let Some(free) = free {
            // SAFETY: memory of this class.
            unsafe { free(object.cast()) };
        }
    }
    // SAFETY: the instance's own reference to its class.
    unsafe { ffi::Py_DECREF(class.cast()) };
}
