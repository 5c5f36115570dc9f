//! The hot methods of shared locks as plain C functions: `with lock` costs little more than the two calls.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned, truth};
use crate::both::{BoundedSemaphore, Condition, Lock, RLock, RWLockSide, Semaphore, ready};

/// The methods of one class, which has `enter`, `enter_soon` and `release`.
macro_rules! lock_methods {
    ($module:ident: $class:ty) => {
        mod $module {
            use super::*;

            slot_functions! {
                fn enter(py, slf: Object, _unused: Object) -> Object {
                    // SAFETY: the method of this class.
                    let lock = unsafe { argument::<$class>(py, slf) };
                    match <$class>::enter(&lock) {
                        Ok(()) => truth(py, true),
                        Err(error) => raised(py, error),
                    }
                } or ptr::null_mut();

                fn exit(py, slf: Object, _values: *mut Object, _count: ffi::Py_ssize_t) -> Object {
                    // SAFETY: the method of this class.
                    let lock = unsafe { argument::<$class>(py, slf) };
                    nothing(py, <$class>::release(&lock))
                } or ptr::null_mut();

                fn release(py, slf: Object, _unused: Object) -> Object {
                    // SAFETY: the method of this class.
                    let lock = unsafe { argument::<$class>(py, slf) };
                    nothing(py, <$class>::release(&lock))
                } or ptr::null_mut();

                fn enter_soon(py, slf: Object, _unused: Object) -> Object {
                    // SAFETY: the method of this class.
                    let lock = unsafe { argument::<$class>(py, slf) };
                    returned(py, <$class>::enter_soon(&lock))
                } or ptr::null_mut();

                fn exit_soon(py, slf: Object, _values: *mut Object, _count: ffi::Py_ssize_t) -> Object {
                    // SAFETY: the method of this class.
                    let lock = unsafe { argument::<$class>(py, slf) };
                    returned(py, <$class>::release(&lock).and_then(|()| ready(py)))
                } or ptr::null_mut();
            }

            /// All of them; `release` as it is given, or the one above.
            pub fn methods(
                given: Option<ffi::PyMethodDefPointer>,
                flags: i32,
                help: &'static CStr,
            ) -> Vec<ffi::PyMethodDef> {
                use ffi::PyMethodDefPointer as Call;
                let exits = ffi::METH_FASTCALL;
                let release = given.unwrap_or(Call { PyCFunction: release });
                vec![
                    definition(c"__enter__", Call { PyCFunction: enter }, ffi::METH_NOARGS, ENTER),
                    definition(c"__exit__", Call { PyCFunctionFast: exit }, exits, EXIT),
                    definition(c"release", release, flags, help),
                    definition(c"__aenter__", Call { PyCFunction: enter_soon }, ffi::METH_NOARGS, ENTER_SOON),
                    definition(c"__aexit__", Call { PyCFunctionFast: exit_soon }, exits, EXIT_SOON),
                ]
            }
        }
    };
}

lock_methods!(lock: Lock);
lock_methods!(rlock: RLock);
lock_methods!(condition: Condition);
lock_methods!(semaphore: Semaphore);
lock_methods!(side: RWLockSide);

slot_functions! {
    fn release_permits(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let semaphore = unsafe { argument::<Semaphore>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        nothing(py, count_of(&arguments).and_then(|count| Semaphore::release_many(&semaphore, count)))
    } or ptr::null_mut();
}

/// The argument of `release(n=1)`.
fn count_of(arguments: &Arguments<'_, '_>) -> PyResult<i64> {
    match arguments.positional() {
        [] if !arguments.are_named() => return Ok(1),
        [count] if !arguments.are_named() => return arguments.own(count).extract(),
        _ => {}
    }
    let mut named = arguments.keywords();
    match (arguments.positional(), named.next(), named.next()) {
        ([], Some((name, count)), None) if name.eq(intern!(arguments.py(), "n"))? => count.extract(),
        _ => Err(PyTypeError::new_err("release() takes one argument, n")),
    }
}

#[cold]
fn raised(py: Python<'_>, error: PyErr) -> Object {
    error.restore(py);
    ptr::null_mut()
}

/// None, for a method that has been called for its effect.
#[inline]
fn nothing(py: Python<'_>, outcome: PyResult<()>) -> Object {
    match outcome {
        Ok(()) => py.None().into_ptr(),
        Err(error) => raised(py, error),
    }
}

/// Adds the methods.
pub fn install(py: Python<'_>) -> PyResult<()> {
    add(&py.get_type::<Lock>(), lock::methods(None, ffi::METH_NOARGS, RELEASE_LOCK))?;
    add(&py.get_type::<RLock>(), rlock::methods(None, ffi::METH_NOARGS, RELEASE_RLOCK))?;
    add(&py.get_type::<Condition>(), condition::methods(None, ffi::METH_NOARGS, RELEASE_CONDITION))?;
    add(&py.get_type::<RWLockSide>(), side::methods(None, ffi::METH_NOARGS, RELEASE_SIDE))?;
    let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: release_permits };
    let takes_keywords = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    for class in [py.get_type::<Semaphore>(), py.get_type::<BoundedSemaphore>()] {
        add(&class, semaphore::methods(Some(call), takes_keywords, RELEASE_SEMAPHORE))?;
    }
    Ok(())
}

const RELEASE_LOCK: &CStr = c"release($self, /)\n--\n\n\
    Release the lock, whoever holds it; RuntimeError where nobody does. Corresponds to `threading.Lock.release`.";
const RELEASE_RLOCK: &CStr = c"release($self, /)\n--\n\n\
    Release the lock once; RuntimeError where whoever calls does not hold it. Corresponds to \
    `threading.RLock.release`.";
const RELEASE_CONDITION: &CStr = c"release($self, /)\n--\n\n\
    Release the lock: see there. Corresponds to `threading.Condition.release`.";
const RELEASE_SIDE: &CStr = c"release($self, /)\n--\n\n\
    Release this side of the lock once; RuntimeError where whoever calls does not hold it.";
const RELEASE_SEMAPHORE: &CStr = c"release($self, /, n=1)\n--\n\n\
    Give *n* permits back; ValueError where a BoundedSemaphore would have more than at first. Corresponds to \
    `threading.Semaphore.release`.";
const ENTER: &CStr = c"__enter__($self, /)\n--\n\nTake the lock, blocking the thread until it is free.";
const EXIT: &CStr = c"__exit__($self, kind, error, traceback, /)\n--\n\nRelease the lock.";
const ENTER_SOON: &CStr = c"__aenter__($self, /)\n--\n\nTake the lock; the task waits until it is free.";
const EXIT_SOON: &CStr = c"__aexit__($self, kind, error, traceback, /)\n--\n\nRelease the lock.";
