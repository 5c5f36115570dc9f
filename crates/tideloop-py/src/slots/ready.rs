//! The raw slots of what is done at once: to await it costs three calls of nothing.

use pyo3::ffi;
use pyo3::prelude::*;

use super::methods::Object;
use crate::both::Ready;

unsafe extern "C" fn itself(object: Object) -> Object {
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// How 3.11 and tasks step it.
unsafe extern "C" fn send(_object: Object, _value: Object, result: *mut Object) -> ffi::PySendResult {
    // SAFETY: the interpreter's own None.
    let none = unsafe { ffi::Py_None() };
    // SAFETY: a live object.
    unsafe { ffi::Py_INCREF(none) };
    // SAFETY: the caller's place for the result.
    unsafe { result.write(none) };
    ffi::PySendResult::PYGEN_RETURN
}

/// How 3.12 and later await it: NULL without an exception is StopIteration(None).
unsafe extern "C" fn next(_object: Object) -> Object {
    std::ptr::null_mut()
}

/// Puts the slots into the class.
pub fn install(py: Python<'_>) {
    let class = <Ready as pyo3::PyTypeInfo>::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    slots.tp_iter = Some(itself);
    slots.tp_iternext = Some(next);
    // SAFETY: a heap type has room for these slots.
    let awaitable = unsafe { &mut *slots.tp_as_async };
    awaitable.am_await = Some(itself);
    awaitable.am_send = Some(send);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
}
