//! The raw slots of coroutines written in Rust, and the memory they live in; what they do is in `coroutine/`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::calls::is_exact_coroutine;
use super::classes::{argument, raise_panic, raise_stop_iteration};
use super::memory::{self, Pool};
use super::methods::Object;
use super::{track, verify, write_contents};
use crate::coroutine::{self, NativeCoroutine, Stepped};

/// Where the objects of one class of coroutines come from.
pub struct Home {
    class: AtomicPtr<ffi::PyTypeObject>,
    pool: Pool,
}

impl Home {
    /// The home of a class that [`register`] has not seen.
    pub const fn new() -> Self {
        Self { class: AtomicPtr::new(ptr::null_mut()), pool: Pool::new() }
    }
}

/// The `am_await` of every class of coroutines here: what they are known by.
static AM_AWAIT: ffi::unaryfunc = itself;

/// Whether `object` is a coroutine of Python's own make, or one written in Rust.
#[inline]
pub fn is_plain_coroutine(object: &Bound<'_, PyAny>) -> bool {
    if is_exact_coroutine(object) {
        return true;
    }
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // SAFETY: which keeps its class alive.
    let slots = unsafe { (*class).tp_as_async };
    // SAFETY: NULL or the slots of a live type.
    let am_await = unsafe { slots.as_ref() }.and_then(|slots| slots.am_await);
    am_await.is_some_and(|am_await| ptr::fn_addr_eq(am_await, AM_AWAIT))
}

/// A new coroutine.
#[inline]
pub fn create<C: NativeCoroutine>(py: Python<'_>, value: C) -> PyResult<Bound<'_, C>> {
    let home = C::home();
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &home.pool, home.class.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<C>(object, value) };
    // SAFETY: written completely.
    Ok(unsafe { track(py, object) })
}

/// Makes the class ready for use, adds it to the module, and checks that its instances lie in memory as is assumed.
pub fn register<C: NativeCoroutine>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = C::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    slots.tp_dealloc = Some(dealloc::<C>);
    slots.tp_finalize = Some(finalize::<C>);
    slots.tp_iternext = Some(next::<C>);
    // For `yield from` in generators that `types.coroutine` has made coroutines of.
    slots.tp_iter = Some(AM_AWAIT);
    // SAFETY: a heap type has room for these slots.
    let awaitable = unsafe { &mut *slots.tp_as_async };
    awaitable.am_await = Some(AM_AWAIT);
    awaitable.am_send = Some(send::<C>);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
    C::home().class.store(class, Ordering::Relaxed);
    if !verify(&create(py, C::blank())?) {
        return Err(PyImportError::new_err("the layout of tideloop's coroutines is not what was assumed"));
    }
    // Private: not in `__all__`, where `add_class` puts a name.
    module.setattr(C::CLASS_NAME, py.get_type::<C>())
}

/// Runs the body of a slot; a panic becomes an exception, and the slot returns `failed`.
#[inline]
fn guarded<R>(failed: R, body: impl FnOnce(Python<'_>) -> R) -> R {
    let body = || {
        // SAFETY: the interpreter calls slots from attached threads alone.
        body(unsafe { Python::assume_attached() })
    };
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        raise_panic(&*panic);
        failed
    })
}

/// `tp_finalize`, for the collector and the deallocator.
unsafe extern "C" fn finalize<C: NativeCoroutine>(object: Object) {
    guarded((), |py| {
        // SAFETY: the slot of this class.
        let coroutine = unsafe { argument::<C>(py, object) };
        let pending = PyErr::take(py);
        coroutine::finalize(&*coroutine);
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}

/// `tp_dealloc`; nothing derives from the class.
unsafe extern "C" fn dealloc<C: NativeCoroutine>(object: Object) {
    guarded((), |py| {
        // SAFETY: an object of this class whose last reference is gone.
        let contents = unsafe { memory::contents::<C>(object) };
        // SAFETY: nobody else can reach the object.
        let silent = unsafe { &*contents }.life().dies_silently();
        // SAFETY: the object is whole.
        if !silent && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
            return;
        }
        // SAFETY: the object is on its way out.
        unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
        // SAFETY: nobody else can reach the object.
        let coroutine = unsafe { &*contents };
        if !silent {
            coroutine::release(py, coroutine);
        } else if C::KEEPS_AT_END {
            coroutine.clear(py);
        }
        // SAFETY: dropped once, here.
        unsafe { ptr::drop_in_place(contents) };
        // SAFETY: emptied.
        unsafe { memory::free(object, Some(&C::home().pool)) };
    });
}

/// `am_await` and `tp_iter`: it is its own iterator.
unsafe extern "C" fn itself(object: Object) -> Object {
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// `am_send`: how 3.11 and tasks step it.
unsafe extern "C" fn send<C: NativeCoroutine>(
    object: Object,
    _value: Object,
    result: *mut Object,
) -> ffi::PySendResult {
    guarded(ffi::PySendResult::PYGEN_ERROR, |py| {
        // SAFETY: the slot of this class.
        let coroutine = unsafe { argument::<C>(py, object) };
        let (object, outcome) = match coroutine::step(&*coroutine, None) {
            Ok(Stepped::Wait(future)) => (future.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Stepped::Yield(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Stepped::Return(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        // SAFETY: the caller's place for the result.
        unsafe { result.write(object) };
        outcome
    })
}

/// `tp_iternext`: how 3.12 and later await it.
unsafe extern "C" fn next<C: NativeCoroutine>(object: Object) -> Object {
    guarded(ptr::null_mut(), |py| {
        // SAFETY: the slot of this class.
        let coroutine = unsafe { argument::<C>(py, object) };
        match coroutine::step(&*coroutine, None) {
            Ok(Stepped::Wait(future)) => future.into_ptr(),
            Ok(Stepped::Yield(object)) => object.into_ptr(),
            // NULL without an exception is StopIteration(None).
            Ok(Stepped::Return(value)) => {
                if !value.is_none() {
                    raise_stop_iteration(py, &value);
                }
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    })
}
