//! The memory of `Handle` and `TimerHandle`: one is made for every scheduled callback, so freed ones are used again.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use super::classes::slot_functions;
use super::memory::{self, Pool};
use super::{Slotted, track, write_contents};
use crate::event_loop::{Handle, TimerHandle};

static HANDLE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static TIMER_HANDLE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static HANDLES: Pool = Pool::new();
static TIMER_HANDLES: Pool = Pool::new();

/// Where a handle's list of weak references lies; compared with the type's own offset at import.
const WEAK_REFERENCES: usize = Handle::OFFSET + size_of::<Handle>();

/// A new `Handle`.
#[inline]
pub fn new_handle(py: Python<'_>, handle: Handle) -> PyResult<Bound<'_, Handle>> {
    let handle = new_hidden_handle(py, handle)?;
    show(&handle);
    Ok(handle)
}

/// A new `Handle` that the collector does not know until [`show`]: one that only the inbox refers to is no part of any
/// cycle that could be collected, and a burst of them would be looked through again and again.
#[inline]
pub fn new_hidden_handle(py: Python<'_>, handle: Handle) -> PyResult<Bound<'_, Handle>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &HANDLES, HANDLE.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Handle>(object, handle) };
    // SAFETY: the only reference. The place of the weak references behind the contents is zero.
    let object = unsafe { Bound::from_owned_ptr(py, object) };
    // SAFETY: of this class.
    Ok(unsafe { object.cast_into_unchecked() })
}

/// Shows a handle to the collector.
#[inline]
pub fn show(handle: &Bound<'_, Handle>) {
    let object = handle.as_ptr();
    // SAFETY: an object of a class that the collector knows.
    if unsafe { ffi::PyObject_GC_IsTracked(object) } == 0 {
        // SAFETY: as above, and not tracked.
        unsafe { ffi::PyObject_GC_Track(object.cast()) };
    }
}

/// A new `TimerHandle`.
#[inline]
pub fn new_timer_handle(py: Python<'_>, handle: Handle, timer: TimerHandle) -> PyResult<Bound<'_, TimerHandle>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &TIMER_HANDLES, TIMER_HANDLE.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Handle>(object, handle) };
    // SAFETY: as above; the parts do not overlap.
    unsafe { write_contents::<TimerHandle>(object, timer) };
    // SAFETY: both parts are written.
    Ok(unsafe { track(py, object) })
}

/// Ends a handle of either class, and keeps its memory in `pool`.
///
/// # Safety
/// The last reference to `object`, of exactly the class of `pool`, is gone.
#[inline]
unsafe fn end(py: Python<'_>, object: *mut ffi::PyObject, pool: &Pool) {
    // SAFETY: a class with a list of weak references there, as checked at import.
    unsafe { memory::hide(object, WEAK_REFERENCES) };
    // SAFETY: nobody else can reach the object.
    let handle = unsafe { memory::contents::<Handle>(object) };
    // SAFETY: emptied once, here. A timer has nothing beyond its handle that would have to be dropped.
    unsafe { &mut *handle }.release(py);
    // SAFETY: emptied.
    unsafe { memory::free(object, Some(pool)) };
}

slot_functions! {
    /// `tp_dealloc` of `Handle`.
    fn handle_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: the slot of this class, which has no constructor, and so no instances of derived classes.
        unsafe { end(py, object, &HANDLES) };
    } or ();

    /// `tp_dealloc` of `TimerHandle`.
    fn timer_handle_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: the slot of this class, which has no constructor, and so no instances of derived classes.
        unsafe { end(py, object, &TIMER_HANDLES) };
    } or ();
}

/// Puts the functions above into the types. Before this no instance exists.
pub fn install(py: Python<'_>) -> bool {
    let handle = Handle::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *handle };
    slots.tp_dealloc = Some(handle_dealloc);
    let known = slots.tp_weaklistoffset as usize == WEAK_REFERENCES;
    let timer = TimerHandle::type_object_raw(py);
    // SAFETY: as above.
    unsafe { &mut *timer }.tp_dealloc = Some(timer_handle_dealloc);
    HANDLE.store(handle, Ordering::Relaxed);
    TIMER_HANDLE.store(timer, Ordering::Relaxed);
    known
}

const _: () = assert!(!std::mem::needs_drop::<TimerHandle>());
