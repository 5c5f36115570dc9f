//! The hot methods of `EventLoop` as plain C functions; `slots/methods.rs` says why.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyTuple};

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned, truth};
use crate::event_loop::EventLoop;
use crate::task;

slot_functions! {
    fn create_future(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        returned(py, task::create_future(py, &event_loop).map(Bound::into_any))
    } or ptr::null_mut();

    fn get_debug(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        truth(py, event_loop.get().debug(py))
    } or ptr::null_mut();

    fn time(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        PyFloat::new(py, event_loop.get().time()).into_any().into_ptr()
    } or ptr::null_mut();

    fn create_task(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, task_from(&event_loop, &arguments))
    } or ptr::null_mut();

    fn call_soon(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, soon(&event_loop, &arguments))
    } or ptr::null_mut();

    fn call_soon_threadsafe(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, soon_threadsafe(&event_loop, &arguments))
    } or ptr::null_mut();

    fn call_later(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let event_loop = unsafe { argument::<EventLoop>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, later(&event_loop, &arguments))
    } or ptr::null_mut();
}

/// `create_task(coro, *, name=None, context=None, **kwargs)`.
fn task_from<'py>(event_loop: &Bound<'py, EventLoop>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let (mut coro, mut name, mut context, mut others) = (None, None, None, None);
    match arguments.positional() {
        [] => {}
        [given] => coro = Some(arguments.own(given)),
        more => {
            let message = format!("create_task() takes 1 positional argument but {} were given", more.len());
            return Err(PyTypeError::new_err(message));
        }
    }
    for (keyword, value) in arguments.keywords() {
        if keyword.eq(intern!(py, "name"))? {
            name = Some(value);
        } else if keyword.eq(intern!(py, "context"))? {
            context = Some(value);
        } else if coro.is_none() && keyword.eq(intern!(py, "coro"))? {
            coro = Some(value);
        } else {
            others.get_or_insert_with(|| PyDict::new(py)).set_item(keyword, value)?;
        }
    }
    let Some(coro) = coro else {
        return Err(PyTypeError::new_err("create_task() missing 1 required positional argument: 'coro'"));
    };
    EventLoop::create_task_native(event_loop, &coro, name.as_ref(), context.as_ref(), others.as_ref())
}

/// `call_soon(callback, *args, context=None)`.
fn soon<'py>(event_loop: &Bound<'py, EventLoop>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let [callback, rest @ ..] = arguments.positional() else {
        return Err(PyTypeError::new_err("call_soon() missing 1 required positional argument: 'callback'"));
    };
    let args = PyTuple::new(py, rest.iter().map(|value| arguments.own(value)))?;
    let context = arguments.only_context("call_soon")?;
    let handle = EventLoop::call_soon_native(event_loop, &arguments.own(callback), &args, context.as_ref())?;
    Ok(handle.into_bound(py).into_any())
}

/// `call_soon_threadsafe(callback, *args, context=None)`.
fn soon_threadsafe<'py>(
    event_loop: &Bound<'py, EventLoop>,
    arguments: &Arguments<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let [callback, rest @ ..] = arguments.positional() else {
        let message = "call_soon_threadsafe() missing 1 required positional argument: 'callback'";
        return Err(PyTypeError::new_err(message));
    };
    let args = PyTuple::new(py, rest.iter().map(|value| arguments.own(value)))?;
    let context = arguments.only_context("call_soon_threadsafe")?;
    let callback = arguments.own(callback);
    let handle = EventLoop::call_soon_threadsafe_native(event_loop, &callback, &args, context.as_ref())?;
    Ok(handle.into_bound(py).into_any())
}

/// `call_later(delay, callback, *args, context=None)`.
fn later<'py>(event_loop: &Bound<'py, EventLoop>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let [delay, callback, rest @ ..] = arguments.positional() else {
        return Err(PyTypeError::new_err("call_later() missing required positional arguments: 'delay' and 'callback'"));
    };
    let args = PyTuple::new(py, rest.iter().map(|value| arguments.own(value)))?;
    let context = arguments.only_context("call_later")?;
    let (delay, callback) = (arguments.own(delay), arguments.own(callback));
    let timer = EventLoop::call_later_native(event_loop, &delay, &callback, &args, context.as_ref())?;
    Ok(timer.into_bound(py).into_any())
}

const CREATE_FUTURE: &CStr = c"create_future($self, /)\n--\n\nA future of this loop. Corresponds to \
    `loop.create_future`.";
const GET_DEBUG: &CStr = c"get_debug($self, /)\n--\n\nWhether debug mode is on. Corresponds to `loop.get_debug`.";
const TIME: &CStr = c"time($self, /)\n--\n\nSeconds on the loop's monotonic clock. Corresponds to `loop.time`.";
const CREATE_TASK: &CStr = c"create_task($self, /, coro, *, name=None, context=None, **kwargs)\n--\n\nSchedule a \
    coroutine and return its task. Corresponds to `loop.create_task`.";
const CALL_SOON: &CStr = c"call_soon($self, /, callback, *args, context=None)\n--\n\nArrange for `callback(*args)` in \
    the next turn; returns its handle. Corresponds to `loop.call_soon`.";
const CALL_SOON_THREADSAFE: &CStr =
    c"call_soon_threadsafe($self, /, callback, *args, context=None)\n--\n\n`call_soon` \
    from any thread; wakes the loop if it waits. Corresponds to `loop.call_soon_threadsafe`.";
const CALL_LATER: &CStr = c"call_later($self, /, delay, callback, *args, context=None)\n--\n\nArrange for \
    `callback(*args)` after `delay` seconds, never earlier. Corresponds to `loop.call_later`.";

/// Adds the methods to the class.
pub fn install(py: Python<'_>) -> PyResult<()> {
    use ffi::PyMethodDefPointer as Call;
    let (none, fast) = (ffi::METH_NOARGS, ffi::METH_FASTCALL | ffi::METH_KEYWORDS);
    let fastcall = |call| Call { PyCFunctionFastWithKeywords: call };
    let methods = vec![
        definition(c"create_future", Call { PyCFunction: create_future }, none, CREATE_FUTURE),
        definition(c"get_debug", Call { PyCFunction: get_debug }, none, GET_DEBUG),
        definition(c"time", Call { PyCFunction: time }, none, TIME),
        definition(c"create_task", fastcall(create_task), fast, CREATE_TASK),
        definition(c"call_soon", fastcall(call_soon), fast, CALL_SOON),
        definition(c"call_soon_threadsafe", fastcall(call_soon_threadsafe), fast, CALL_SOON_THREADSAFE),
        definition(c"call_later", fastcall(call_later), fast, CALL_LATER),
    ];
    add(&py.get_type::<EventLoop>(), methods)
}
