//! The raw slots of the future that `gather` returns, and the memory it lives in.

use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use super::classes::{ENDS, GATHERING, future_await, future_finalize, slot_functions};
use super::memory::{self, Pool};
use super::{track, write_contents};
use crate::compose::Gathering;
use crate::task::Future;

static GATHERINGS: Pool = Pool::new();

/// A new `Gathering`.
#[inline]
pub fn new_gathering(py: Python<'_>, future: Future, gathering: Gathering) -> PyResult<Bound<'_, Gathering>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &GATHERINGS, GATHERING.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Future>(object, future) };
    // SAFETY: as above; the parts do not overlap.
    unsafe { write_contents::<Gathering>(object, gathering) };
    // SAFETY: written completely.
    Ok(unsafe { track(py, object) })
}

/// The last part of its deallocation.
///
/// # Safety
/// A detached instance of `Gathering`.
unsafe fn end_gathering(py: Python<'_>, object: *mut ffi::PyObject) {
    // SAFETY: an instance of this class.
    let gathering = unsafe { memory::contents::<Gathering>(object) };
    // SAFETY: dropped once, here.
    unsafe { &mut *gathering }.release(py);
    // SAFETY: as above.
    let future = unsafe { memory::contents::<Future>(object) };
    // SAFETY: as above.
    unsafe { &mut *future }.release(py);
    // SAFETY: emptied.
    unsafe { memory::free(object, Some(&GATHERINGS)) };
}

slot_functions! {
    /// `tp_dealloc`; nothing derives from the class.
    fn gathering_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let future = unsafe { memory::contents::<Future>(object) };
        // SAFETY: nobody else can reach the object.
        let silent = unsafe { &*future }.dies_silently();
        // SAFETY: the object is whole.
        if !silent && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
            return;
        }
        // SAFETY: the object is on its way out.
        unsafe { memory::detach::<Future>(object) };
        // SAFETY: nobody can reach it any more.
        unsafe { ENDS.reach(py, object, end_gathering) };
    } or ();
}

/// Puts the functions into the type. Before this no instance exists.
pub fn install(py: Python<'_>) {
    let class = Gathering::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    slots.tp_dealloc = Some(gathering_dealloc);
    slots.tp_finalize = Some(future_finalize);
    slots.tp_iter = Some(future_await);
    // SAFETY: a heap type has room for these slots.
    unsafe { &mut *slots.tp_as_async }.am_await = Some(future_await);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
    GATHERING.store(class, Ordering::Relaxed);
}
