//! Raw type slots and allocation that PyO3 does not offer (DESIGN §10.5, §10.7, §10.8).
//!
//! Objects of the classes that implement [`Slotted`] are allocated untracked, filled, and only then shown to the
//! collector: PyO3's own path lets the interpreter track an object whose contents are not written yet, and on 3.11
//! and 3.12 also makes an instance dictionary for each, wanted or not.

pub mod attributes;
pub mod both_locks;
pub mod both_queues;
pub mod buffers;
pub mod bytes;
pub mod calls;
pub mod classes;
pub mod coroutine;
#[cfg(not(Py_3_14))]
pub mod entries;
pub mod finalizer;
pub mod functions;
pub mod gathering;
pub mod handles;
pub mod loop_methods;
pub mod loop_slot;
mod memory;
pub mod methods;
pub mod openssl;
pub mod primitives;
pub mod queues;
pub mod ready;
pub mod roster;
pub mod running;
pub mod signature;
pub mod sites;
pub mod sock_calls;
pub mod sockets;
pub mod stream_methods;
pub mod stream_reads;
pub mod task_groups;
pub mod timeouts;

use std::ptr;

use pyo3::ffi;
use pyo3::impl_::pyclass::PyClassImpl;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// A class whose contents lie at a known distance from the start of the object.
pub trait Slotted: pyo3::PyClass {
    /// Bytes from the start of the object to its contents.
    const OFFSET: usize;
}

/// [`Slotted::OFFSET`] of a class that extends nothing.
pub const OFFSET_OF_ROOT: usize = size_of::<ffi::PyObject>();

/// [`Slotted::OFFSET`] of a class that extends `Base`.
pub const fn offset_after<Base: PyClassImpl>() -> usize {
    size_of::<<Base as PyClassImpl>::Layout>()
}

/// Memory for an instance of `class`, zeroed but for its head, and not tracked.
///
/// # Safety
/// `class` is a live heap type that the collector may track, made by this crate or derived from one that was.
pub unsafe fn allocate_untracked(py: Python<'_>, class: *mut ffi::PyTypeObject) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: the caller vouches for the class.
    let object = unsafe { ffi::PyType_GenericAlloc(class, 0) };
    if object.is_null() {
        return Err(PyErr::fetch(py));
    }
    // SAFETY: GenericAlloc has just tracked this object, and nothing ran since.
    unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
    Ok(object)
}

/// Writes the contents of class `T` into `object`.
///
/// # Safety
/// `object` is an untracked instance of `T` or of a class derived from it, whose `T` part is not written yet.
pub unsafe fn write_contents<T: Slotted>(object: *mut ffi::PyObject, value: T) {
    // SAFETY: the offset lies inside the object, as `verify` has checked for this class.
    let place = unsafe { object.byte_add(T::OFFSET) };
    // SAFETY: the place is allocated, aligned for `T` and holds nothing that would have to be dropped.
    unsafe { ptr::write(place.cast::<T>(), value) };
}

/// Shows a finished object to the collector and hands it out.
///
/// # Safety
/// `object` is an owned, untracked, completely written instance of `T`.
pub unsafe fn track<T: pyo3::PyClass>(py: Python<'_>, object: *mut ffi::PyObject) -> Bound<'_, T> {
    // SAFETY: the object is not tracked yet.
    unsafe { ffi::PyObject_GC_Track(object.cast()) };
    // SAFETY: the caller hands over the only reference.
    let object = unsafe { Bound::from_owned_ptr(py, object) };
    // SAFETY: the caller vouches for the class.
    unsafe { object.cast_into_unchecked() }
}

/// A new instance of exactly `T`, which extends nothing.
#[inline]
pub fn create<T: Slotted>(py: Python<'_>, value: T) -> PyResult<Bound<'_, T>> {
    // SAFETY: the type object of a class of this crate.
    let object = unsafe { allocate_untracked(py, T::type_object_raw(py)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<T>(object, value) };
    // SAFETY: `T` extends nothing, so it is written completely.
    Ok(unsafe { track(py, object) })
}

/// A new instance of `class`, a Python class that derives from `T` first of all and keeps its `__new__`.
#[inline]
pub fn create_derived<'py, T: Slotted>(class: &Bound<'py, PyType>, value: T) -> PyResult<Bound<'py, T>> {
    let py = class.py();
    debug_assert!(class.is_subclass_of::<T>().unwrap_or(false));
    // SAFETY: derived from a class of this crate.
    let object = unsafe { allocate_untracked(py, class.as_type_ptr()) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<T>(object, value) };
    // SAFETY: `T` extends nothing, and what the derived class adds is valid when it is zero.
    Ok(unsafe { track(py, object) })
}

/// Checks, once at import, that the contents of an object lie where [`Slotted::OFFSET`] says.
pub fn verify<T: Slotted<Frozen = pyo3::pyclass::boolean_struct::True> + Sync>(object: &Bound<'_, T>) -> bool {
    let start = object.as_ptr() as usize;
    ptr::from_ref(object.get()) as usize - start == T::OFFSET
}

/// `contextvars.copy_context()`.
#[inline]
pub fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: attached; the call returns a new reference or NULL with an exception.
    let context = unsafe { ffi::PyContext_CopyCurrent() };
    // SAFETY: as above.
    unsafe { Bound::from_owned_ptr_or_err(py, context) }
}

/// Runs `f` inside `context`, as `context.run(f)` does; `RuntimeError` where somebody is inside it already, and
/// `TypeError` where it is no context.
#[inline]
pub fn in_context<R>(context: &Bound<'_, PyAny>, f: impl FnOnce() -> R) -> PyResult<R> {
    struct Leave<'a, 'py>(&'a Bound<'py, PyAny>);
    impl Drop for Leave<'_, '_> {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: this context was entered below, and what ran in between has left its own.
            if unsafe { ffi::PyContext_Exit(self.0.as_ptr()) } != 0 {
                crate::error::unraisable(self.0.py(), PyErr::fetch(self.0.py()), Some(self.0));
            }
        }
    }
    // SAFETY: attached; anything but a context is refused with an exception.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(context.py()));
    }
    let leave = Leave(context);
    let result = f();
    drop(leave);
    Ok(result)
}

/// Runs `f` in a copy of `context`, or right here where there is none. For what user code calls into from anywhere, also
/// from inside that very context, which cannot be entered twice.
pub fn in_copy_of<R>(py: Python<'_>, context: Option<&Py<PyAny>>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    match context {
        Some(context) => in_context(&context.bind(py).call_method0(pyo3::intern!(py, "copy"))?, f)?,
        None => f(),
    }
}

/// Gives `f` the memory behind a writable, contiguous buffer object; `f` runs no Python. `BufferError` or `TypeError`
/// for any other object.
pub fn with_writable_buffer<R>(object: &Bound<'_, PyAny>, f: impl FnOnce(&mut [u8]) -> R) -> PyResult<R> {
    struct Release(ffi::Py_buffer);
    impl Drop for Release {
        fn drop(&mut self) {
            // SAFETY: the view was filled below and is released once.
            unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
        }
    }
    let mut view = ffi::Py_buffer::new();
    // SAFETY: attached; without a format or shape being asked for, the exporter gives plain contiguous bytes.
    if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_WRITABLE) } != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    let view = Release(view);
    let length = usize::try_from(view.0.len).unwrap_or(0);
    if length == 0 {
        return Ok(f(&mut []));
    }
    // SAFETY: the exporter keeps `length` writable bytes at `buf` until the release. Nobody else touches them: only an
    // attached thread may, and this one does not run Python before `f` is done.
    let memory = unsafe { std::slice::from_raw_parts_mut(view.0.buf.cast::<u8>(), length) };
    Ok(f(memory))
}

/// The identifier of this thread, as `threading.get_ident()` gives it.
#[inline]
pub fn thread_ident(_py: Python<'_>) -> u64 {
    // SAFETY: no arguments, no failure.
    unsafe { ffi::PyThread_get_thread_ident() as u64 }
}

/// Runs what may call itself again and again, a level deeper: `RecursionError` where the interpreter draws the line.
pub fn one_level_deeper<R>(py: Python<'_>, run: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    // SAFETY: attached; the text lives for ever.
    if unsafe { ffi::Py_EnterRecursiveCall(c" while cancelling what a task waits for".as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let outcome = run();
    // SAFETY: the level was entered above.
    unsafe { ffi::Py_LeaveRecursiveCall() };
    outcome
}

/// Whether any other thread has a thread state, and so may be waiting for the interpreter lock.
#[inline]
pub fn other_threads_exist(_py: Python<'_>) -> bool {
    // SAFETY: attached, so there is a current interpreter.
    let interpreter = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: the interpreter is alive.
    let first = unsafe { ffi::PyInterpreterState_ThreadHead(interpreter) };
    // SAFETY: our own thread state is in the list, so it is not empty; one is unlinked only by an attached thread.
    !unsafe { ffi::PyThreadState_Next(first) }.is_null()
}

/// Runs the Python-level handlers of signals that have arrived, in the main thread.
#[inline]
pub fn check_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}
