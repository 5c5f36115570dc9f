//! `tp_finalize` for classes whose memory PyO3 manages (DESIGN §10.8).
//!
//! PyO3's deallocators never ask for a finalizer, and a `Drop` cannot hand the object itself to anybody. So the type
//! gets a `tp_finalize`, for the collector, and a deallocator that calls it, for a last reference that goes away.
//! A finalizer may bring its object back to life: then nothing is freed, and it will not be finalized again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;

/// A class with something to do before an object is gone. Nothing may derive from it.
pub trait Finalize: pyo3::PyClass<Frozen = True> + Sync {
    /// Where PyO3's own deallocator is kept.
    fn deallocator() -> &'static OnceLock<ffi::destructor>;

    /// Whether there is nothing to do for this object.
    fn dies_silently(&self, py: Python<'_>) -> bool;

    /// Does it. Called once at most, with the object still whole.
    fn finalize(slf: &Bound<'_, Self>);
}

/// Puts both functions into the type. Before this no instance exists.
pub fn install<T: Finalize>(py: Python<'_>) {
    let class = T::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    if let Some(original) = slots.tp_dealloc {
        if T::deallocator().set(original).is_err() {
            return;
        }
        slots.tp_dealloc = Some(dealloc::<T>);
        slots.tp_finalize = Some(finalize::<T>);
    }
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
}

/// The object, borrowed: its reference count may be zero.
///
/// # Safety
/// `object` is a whole instance of exactly `T` and outlives the borrow.
unsafe fn borrowed<'a, 'py, T: Finalize>(py: Python<'py>, object: *mut ffi::PyObject) -> Borrowed<'a, 'py, T> {
    // SAFETY: the caller vouches for the object.
    let object = unsafe { Borrowed::from_ptr(py, object) };
    // SAFETY: and for its class.
    unsafe { object.cast_unchecked() }
}

/// `tp_finalize`. A panic ends here: one that left an `extern "C"` function would abort the interpreter. There is
/// nobody to tell but the panic hook, which has told it.
unsafe extern "C" fn finalize<T: Finalize>(object: *mut ffi::PyObject) {
    let body = move || {
        // SAFETY: the interpreter finalizes on attached threads.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: the slot of this class.
        let object = unsafe { borrowed::<T>(py, object) };
        // What runs here must not lose or replace an exception that is on its way.
        let pending = PyErr::take(py);
        T::finalize(&object);
        if let Some(pending) = pending {
            pending.restore(py);
        }
    };
    let _ = catch_unwind(AssertUnwindSafe(body));
}

/// `tp_dealloc`: finalizes first.
unsafe extern "C" fn dealloc<T: Finalize>(object: *mut ffi::PyObject) {
    let silent = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the interpreter frees on attached threads.
        let py = unsafe { Python::assume_attached() };
        // SAFETY: the slot of this class; the object is whole until the original deallocator is called.
        unsafe { borrowed::<T>(py, object) }.get().dies_silently(py)
    }));
    // SAFETY: the last reference is gone. Negative: somebody has taken a new one.
    if !silent.unwrap_or(true) && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
        return;
    }
    if let Some(original) = T::deallocator().get() {
        // SAFETY: PyO3's deallocator of this class, called once.
        unsafe { original(object) };
    }
}
