//! The hot methods of the primitives as plain C functions: `async with lock` looks `__aenter__` and `__aexit__` up and
//! calls them, and PyO3's own wrappers would cost as much as what they do.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Object, add, definition, returned, truth};
use crate::names;
use crate::sync::{Condition, Event, Lock, Op, Semaphore, Subject, SyncCall};

/// None, for a method that has been called for its effect.
#[inline]
fn nothing(py: Python<'_>, outcome: PyResult<()>) -> Object {
    returned(py, outcome.map(|()| py.None().into_bound(py)))
}

/// What is returned to `async with`: a coroutine of ours; or asyncio's, which calls `acquire` and `release`, where a
/// derived class has its own.
#[inline]
fn entered<'py>(py: Python<'py>, subject: Option<Subject<'py>>, owner: &Bound<'py, PyAny>, op: Op) -> Object {
    if let Some(subject) = subject {
        return returned(py, SyncCall::create(py, op, subject));
    }
    let call = || {
        let mixin = names::context_manager_mixin(py)?;
        match op {
            Op::Enter => mixin.call_method1(intern!(py, "__aenter__"), (owner,)),
            _ => mixin.call_method1(intern!(py, "__aexit__"), (owner, py.None(), py.None(), py.None())),
        }
    };
    returned(py, call())
}

/// `__aexit__` is called with what the body has raised, which makes no difference.
#[cold]
fn wrong_exit(py: Python<'_>, count: ffi::Py_ssize_t) -> Object {
    let message = format!("__aexit__() takes 3 positional arguments but {count} were given");
    returned(py, Err(PyTypeError::new_err(message)))
}

/// The lock of a condition that is all ours; else the method is asyncio's to look up.
#[inline]
fn lock_of<'py>(py: Python<'py>, condition: &Bound<'py, Condition>) -> Option<Bound<'py, Lock>> {
    condition.get().plain_lock(py)
}

/// `condition.acquire()` and such where the lock is somebody else's.
#[cold]
fn by_name<'py>(condition: &Bound<'py, Condition>, method: &str) -> PyResult<Bound<'py, PyAny>> {
    condition.getattr("_lock")?.call_method0(method)
}

slot_functions! {
    fn lock_acquire(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let lock = unsafe { argument::<Lock>(py, slf) };
        returned(py, SyncCall::create(py, Op::Acquire, (&*lock).into()))
    } or ptr::null_mut();

    fn lock_release(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let lock = unsafe { argument::<Lock>(py, slf) };
        nothing(py, Lock::give_back(&lock))
    } or ptr::null_mut();

    fn lock_locked(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let lock = unsafe { argument::<Lock>(py, slf) };
        truth(py, Lock::is_locked(&lock))
    } or ptr::null_mut();

    fn lock_enter(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let lock = unsafe { argument::<Lock>(py, slf) };
        entered(py, Lock::is_plain(&lock).then(|| (&*lock).into()), &lock, Op::Enter)
    } or ptr::null_mut();

    fn lock_exit(py, slf: Object, _values: *mut Object, count: ffi::Py_ssize_t) -> Object {
        if count != 3 {
            return wrong_exit(py, count);
        }
        // SAFETY: the method of this class.
        let lock = unsafe { argument::<Lock>(py, slf) };
        entered(py, Lock::is_plain(&lock).then(|| (&*lock).into()), &lock, Op::Exit)
    } or ptr::null_mut();

    fn semaphore_acquire(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        returned(py, SyncCall::create(py, Op::Acquire, (&*semaphore).into()))
    } or ptr::null_mut();

    fn semaphore_release(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        nothing(py, Semaphore::give_back(&semaphore))
    } or ptr::null_mut();

    fn semaphore_locked(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        returned(py, Semaphore::is_locked(&semaphore).map(|yes| pyo3::types::PyBool::new(py, yes).to_owned().into_any()))
    } or ptr::null_mut();

    fn semaphore_enter(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        entered(py, Semaphore::is_plain(&semaphore).then(|| (&*semaphore).into()), &semaphore, Op::Enter)
    } or ptr::null_mut();

    fn semaphore_exit(py, slf: Object, _values: *mut Object, count: ffi::Py_ssize_t) -> Object {
        if count != 3 {
            return wrong_exit(py, count);
        }
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        entered(py, Semaphore::is_plain(&semaphore).then(|| (&*semaphore).into()), &semaphore, Op::Exit)
    } or ptr::null_mut();

    fn event_wait(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event = unsafe { argument::<Event>(py, slf) };
        returned(py, SyncCall::create(py, Op::Wait, (&*event).into()))
    } or ptr::null_mut();

    fn event_set(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event = unsafe { argument::<Event>(py, slf) };
        nothing(py, Event::set(&event))
    } or ptr::null_mut();

    fn event_clear(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event = unsafe { argument::<Event>(py, slf) };
        Event::unset(&event);
        nothing(py, Ok(()))
    } or ptr::null_mut();

    fn event_is_set(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event = unsafe { argument::<Event>(py, slf) };
        truth(py, Event::is_set(&event))
    } or ptr::null_mut();

    fn condition_acquire(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        match lock_of(py, &condition) {
            Some(lock) => returned(py, SyncCall::create(py, Op::Acquire, (&lock).into())),
            None => returned(py, by_name(&condition, "acquire")),
        }
    } or ptr::null_mut();

    fn condition_release(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        match lock_of(py, &condition) {
            Some(lock) => nothing(py, Lock::give_back(&lock)),
            None => returned(py, by_name(&condition, "release")),
        }
    } or ptr::null_mut();

    fn condition_locked(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        match lock_of(py, &condition) {
            Some(lock) => truth(py, Lock::is_locked(&lock)),
            None => returned(py, by_name(&condition, "locked")),
        }
    } or ptr::null_mut();

    fn condition_enter(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        entered(py, lock_of(py, &condition).map(|lock| (&lock).into()), &condition, Op::Enter)
    } or ptr::null_mut();

    fn condition_exit(py, slf: Object, _values: *mut Object, count: ffi::Py_ssize_t) -> Object {
        if count != 3 {
            return wrong_exit(py, count);
        }
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        entered(py, lock_of(py, &condition).map(|lock| (&lock).into()), &condition, Op::Exit)
    } or ptr::null_mut();

    fn condition_wait(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        if lock_of(py, &condition).is_some() {
            return returned(py, SyncCall::create(py, Op::Wait, (&*condition).into()));
        }
        let stdlib = names::condition_class(py).and_then(|class| class.call_method1(intern!(py, "wait"), (&*condition,)));
        returned(py, stdlib)
    } or ptr::null_mut();

    fn condition_notify(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let condition = unsafe { argument::<Condition>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { super::methods::Arguments::new(py, values, count, names) };
        nothing(py, how_many(&arguments).and_then(|count| Condition::notify(&condition, count)))
    } or ptr::null_mut();
}

/// The argument of `notify(n=1)`.
#[inline]
fn how_many(arguments: &super::methods::Arguments<'_, '_>) -> PyResult<usize> {
    let mut count = None;
    match arguments.positional() {
        [] => {}
        [one] => count = Some(arguments.own(one)),
        more => {
            let message = format!("notify() takes from 0 to 1 positional arguments but {} were given", more.len());
            return Err(PyTypeError::new_err(message));
        }
    }
    for (name, value) in arguments.keywords() {
        if count.is_some() || !name.eq("n")? {
            return Err(PyTypeError::new_err(format!("notify() got an unexpected keyword argument '{name}'")));
        }
        count = Some(value);
    }
    let Some(count) = count else { return Ok(1) };
    match count.extract::<i64>() {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        // Some other kind of number, such as `math.inf`.
        Err(_) => Ok(count.extract::<f64>()?.ceil() as usize),
    }
}

const ACQUIRE: &CStr = c"acquire($self, /)\n--\n\nTake the lock, when it is free and one's turn; True. Corresponds to `asyncio.Lock.acquire`.";
const RELEASE: &CStr = c"release($self, /)\n--\n\nGive the lock back, and wake the next one; RuntimeError where it is not locked. Corresponds to `asyncio.Lock.release`.";
const LOCKED: &CStr = c"locked($self, /)\n--\n\nWhether somebody holds the lock. Corresponds to `asyncio.Lock.locked`.";
#[cfg(Py_3_14)]
const ENTER: &CStr = c"__aenter__($self, /)\n--\n\nacquire(), for `async with`.";
#[cfg(Py_3_14)]
const EXIT: &CStr = c"__aexit__($self, exc_type, exc, tb, /)\n--\n\nrelease(), for `async with`.";
const PERMIT: &CStr = c"acquire($self, /)\n--\n\nTake a permit, when there is one and it is one's turn; True. Corresponds to `asyncio.Semaphore.acquire`.";
const NO_PERMIT: &CStr = c"release($self, /)\n--\n\nGive a permit back, and wake the next one; a bounded semaphore raises ValueError where none was taken. Corresponds to `asyncio.Semaphore.release`.";
const NO_PERMITS: &CStr =
    c"locked($self, /)\n--\n\nWhether one would have to wait for a permit. Corresponds to `asyncio.Semaphore.locked`.";
const WAIT: &CStr = c"wait($self, /)\n--\n\nWait until the event is set; True. Corresponds to `asyncio.Event.wait`.";
const SET: &CStr = c"set($self, /)\n--\n\nSet the event: all who wait go on, and nobody waits until it is cleared. Corresponds to `asyncio.Event.set`.";
const CLEAR: &CStr =
    c"clear($self, /)\n--\n\nClear the event: whoever comes has to wait. Corresponds to `asyncio.Event.clear`.";
const IS_SET: &CStr = c"is_set($self, /)\n--\n\nWhether the event is set. Corresponds to `asyncio.Event.is_set`.";
const NOTICE: &CStr = c"wait($self, /)\n--\n\nGive the lock back, wait until notified, take the lock again; True. RuntimeError where it is not locked. Corresponds to `asyncio.Condition.wait`.";
const NOTIFY: &CStr = c"notify($self, /, n=1)\n--\n\nWake the first `n` who wait; RuntimeError where the lock is not held. Corresponds to `asyncio.Condition.notify`.";

/// A method without arguments.
const fn plain(name: &'static CStr, function: ffi::PyCFunction, help: &'static CStr) -> ffi::PyMethodDef {
    let call = ffi::PyMethodDefPointer { PyCFunction: function };
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: call, ml_flags: ffi::METH_NOARGS, ml_doc: help.as_ptr() }
}

/// Puts `__aenter__` and `__aexit__` into a class.
#[cfg(not(Py_3_14))]
fn add_entrance(class: &Bound<'_, PyType>, _enter: ffi::PyCFunction, _exit: ffi::PyCFunctionFast) -> PyResult<()> {
    use crate::sync::EntryKind as Kind;
    let kind = if class.is_subclass_of::<Lock>()? {
        Kind::Lock
    } else if class.is_subclass_of::<Semaphore>()? {
        Kind::Semaphore
    } else {
        check::<Condition>(class)?;
        Kind::Condition
    };
    // SAFETY: as just checked; `register_primitives` keeps the class.
    unsafe { super::entries::put_into(class, kind) }
}

/// Puts `__aenter__` and `__aexit__` into a class.
#[cfg(Py_3_14)]
fn add_entrance(class: &Bound<'_, PyType>, enter: ffi::PyCFunction, exit: ffi::PyCFunctionFast) -> PyResult<()> {
    let exit = ffi::PyMethodDefPointer { PyCFunctionFast: exit };
    add(class, vec![plain(c"__aenter__", enter, ENTER), definition(c"__aexit__", exit, ffi::METH_FASTCALL, EXIT)])
}

/// `TypeError` where a class does not derive from `T`.
fn check<T: PyTypeInfo>(class: &Bound<'_, PyType>) -> PyResult<()> {
    if class.is_subclass_of::<T>()? {
        return Ok(());
    }
    Err(PyTypeError::new_err("a class that derives from the native one is needed"))
}

/// Puts the methods into the classes that derive from the native ones: the interpreter's specialised calls want the
/// class that defines a method to be the object's own.
pub fn install(
    lock: &Bound<'_, PyType>,
    event: &Bound<'_, PyType>,
    condition: &Bound<'_, PyType>,
    semaphores: [&Bound<'_, PyType>; 2],
) -> PyResult<()> {
    check::<Lock>(lock)?;
    let methods = vec![
        plain(c"acquire", lock_acquire, ACQUIRE),
        plain(c"release", lock_release, RELEASE),
        plain(c"locked", lock_locked, LOCKED),
    ];
    add(lock, methods)?;
    add_entrance(lock, lock_enter, lock_exit)?;
    check::<Event>(event)?;
    let methods = vec![
        plain(c"wait", event_wait, WAIT),
        plain(c"set", event_set, SET),
        plain(c"clear", event_clear, CLEAR),
        plain(c"is_set", event_is_set, IS_SET),
    ];
    add(event, methods)?;
    check::<Condition>(condition)?;
    let notify = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: condition_notify };
    let methods = vec![
        plain(c"acquire", condition_acquire, ACQUIRE),
        plain(c"release", condition_release, RELEASE),
        plain(c"locked", condition_locked, LOCKED),
        plain(c"wait", condition_wait, NOTICE),
        definition(c"notify", notify, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, NOTIFY),
    ];
    add(condition, methods)?;
    add_entrance(condition, condition_enter, condition_exit)?;
    for semaphore in semaphores {
        check::<Semaphore>(semaphore)?;
        let methods = vec![
            plain(c"acquire", semaphore_acquire, PERMIT),
            plain(c"release", semaphore_release, NO_PERMIT),
            plain(c"locked", semaphore_locked, NO_PERMITS),
        ];
        add(semaphore, methods)?;
        add_entrance(semaphore, semaphore_enter, semaphore_exit)?;
    }
    Ok(())
}
