//! The raw slots of `sync::EntryCall` and `sync::Entrance`, which make `async with lock` cheap up to 3.13.

use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::PyType;

use super::OFFSET_OF_ROOT;
use super::classes::{argument, slot_functions};
use super::methods::{Object, returned};
use crate::names;
use crate::sync::{Condition, Entrance, EntryCall, EntryKind as Kind, Lock, Op, Semaphore, Subject};

/// How an `EntryCall` is called.
pub const CALL: ffi::vectorcallfunc = entry_call;

slot_functions! {
    /// `tp_descr_get` of `Entrance`.
    fn entrance_get(py, slf: Object, instance: Object, _owner: Object) -> Object {
        if instance.is_null() {
            // SAFETY: a live object.
            unsafe { ffi::Py_INCREF(slf) };
            return slf;
        }
        // SAFETY: the slot of this class.
        let entrance = unsafe { argument::<Entrance>(py, slf) };
        // SAFETY: an object that has this descriptor in its class, or whatever was given to `__get__`.
        let instance = unsafe { argument::<PyAny>(py, instance) };
        returned(py, bind(&entrance, &instance))
    } or ptr::null_mut();

    /// The vectorcall of `EntryCall`: without arguments, or with the three of `__aexit__`.
    fn entry_call(py, slf: Object, _values: *const Object, count: usize, names: Object) -> Object {
        // SAFETY: the slot of this class.
        let entry = unsafe { argument::<EntryCall>(py, slf) };
        let count = count & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
        if count != entry.get().arguments(py) || !names.is_null() {
            return wrong_count(py, entry.get().arguments(py), count);
        }
        returned(py, EntryCall::call(&entry).map(Bound::into_any))
    } or ptr::null_mut();
}

/// Whether there is one reference to the object: that of whoever calls it.
#[inline]
pub fn is_held_once(entry: &Bound<'_, EntryCall>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::Py_REFCNT(entry.as_ptr()) == 1 }
}

#[cold]
fn wrong_count(py: Python<'_>, wanted: usize, given: usize) -> Object {
    let message = format!("takes {wanted} positional arguments but {given} were given");
    returned(py, Err(PyTypeError::new_err(message)))
}

/// `lock.__aenter__`, or `lock.__aexit__`: ours, or asyncio's where the class has an `acquire` or `release` of its own.
#[inline]
pub fn bind<'py>(entrance: &Bound<'py, Entrance>, instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = instance.py();
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(instance.as_ptr()) };
    // A class in the package is plain: nobody has to ask.
    let subject = match entrance.get().kind_of(class as usize) {
        // SAFETY: the class is one that derives from this, as `put_into` was told.
        Some(Kind::Lock) => Some(Subject::from(unsafe { instance.cast_unchecked::<Lock>() })),
        // SAFETY: as above.
        Some(Kind::Semaphore) => Some(Subject::from(unsafe { instance.cast_unchecked::<Semaphore>() })),
        // SAFETY: as above.
        Some(Kind::Condition) => lock_of(unsafe { instance.cast_unchecked::<Condition>() }),
        None => subject_of(instance)?,
    };
    match subject {
        Some(subject) => EntryCall::create(py, entrance.get().op(), subject).map(Bound::into_any),
        None => stock(entrance, instance),
    }
}

fn lock_of<'py>(condition: &Bound<'py, Condition>) -> Option<Subject<'py>> {
    condition.get().plain_lock(condition.py()).map(|lock| Subject::from(&lock))
}

/// The same for an instance of a derived class.
fn subject_of<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Option<Subject<'py>>> {
    if let Ok(lock) = instance.cast::<Lock>() {
        return Ok(Lock::is_plain(lock).then(|| lock.into()));
    }
    if let Ok(semaphore) = instance.cast::<Semaphore>() {
        return Ok(Semaphore::is_plain(semaphore).then(|| semaphore.into()));
    }
    Ok(lock_of(instance.cast::<Condition>()?))
}

#[cold]
fn stock<'py>(entrance: &Bound<'py, Entrance>, instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = instance.py();
    let name = if entrance.get().op() == Op::Enter { intern!(py, "__aenter__") } else { intern!(py, "__aexit__") };
    names::context_manager_mixin(py)?.getattr(name)?.call_method1(intern!(py, "__get__"), (instance,))
}

/// Puts both methods into a class.
///
/// # Safety
/// It derives from the native class of that kind, and lives for ever.
pub unsafe fn put_into(class: &Bound<'_, PyType>, kind: Kind) -> PyResult<()> {
    let py = class.py();
    class.setattr("__aenter__", Py::new(py, Entrance::new(Op::Enter, class, kind))?)?;
    class.setattr("__aexit__", Py::new(py, Entrance::new(Op::Exit, class, kind))?)
}

/// Puts the functions above into the types. Before this no instance exists but one of `EntryCall`, to try it out.
pub fn install(py: Python<'_>) {
    let entrance = Entrance::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    unsafe { &mut *entrance }.tp_descr_get = Some(entrance_get);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(entrance) };
    let call = EntryCall::type_object_raw(py);
    // SAFETY: as above.
    let slots = unsafe { &mut *call };
    slots.tp_call = Some(ffi::PyVectorcall_Call);
    slots.tp_vectorcall_offset = (OFFSET_OF_ROOT + EntryCall::CALLED_BY) as ffi::Py_ssize_t;
    slots.tp_flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
    // SAFETY: as above.
    unsafe { ffi::PyType_Modified(call) };
}
