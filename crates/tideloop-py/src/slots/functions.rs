//! Functions of the module that are called often, as plain C functions; `slots/methods.rs` says why.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::classes::slot_functions;
use super::loop_slot::LoopRef;
use super::methods::{Arguments, Object, definition, returned};
use super::signature::Signature;
use crate::compose;

macro_rules! functions {
    ($($name:ident: $body:path, $help:literal;)*) => {
        slot_functions! {$(
            fn $name(py, _module: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
                // SAFETY: the arguments that this function was called with.
                let arguments = unsafe { Arguments::new(py, values, count, names) };
                returned(py, $body(&arguments))
            } or ptr::null_mut();
        )*}

        fn definitions() -> Vec<ffi::PyMethodDef> {
            use ffi::PyMethodDefPointer as Call;
            let fast = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
            vec![$({
                const HELP: &CStr = $help;
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                definition(NAME, Call { PyCFunctionFastWithKeywords: $name }, fast, HELP)
            }),*]
        }
    };
}

functions! {
    sleep: sleep_from,
        c"sleep(delay, result=None)\n--\n\nSuspend the caller for `delay` seconds, or for one turn of the loop where that is not positive, and return `result`. TypeError where it is no number, ValueError for NaN. Corresponds to `asyncio.sleep`.";
    wait_for: wait_for_from,
        c"wait_for(fut, timeout)\n--\n\nWait for an awaitable, for at most `timeout` seconds (None: as long as it takes), and return its result. When the time is over it is cancelled, and TimeoutError is raised. Corresponds to `asyncio.wait_for`.";
    shield: shield_from,
        c"shield(arg)\n--\n\nA future with the outcome of an awaitable, which goes on when the future is cancelled. TypeError for what is not awaitable. Corresponds to `asyncio.shield`.";
    ensure_future: ensure_future_from,
        c"ensure_future(coro_or_future, *, loop=None)\n--\n\nA future as it is, a task for a coroutine or another awaitable. TypeError for anything else, ValueError for a future of another loop than the one given. Corresponds to `asyncio.ensure_future`.";
    create_task: create_task_from,
        c"create_task(coro, *, name=None, context=None, **kwargs)\n--\n\nSchedule a coroutine in the running loop and return its task. RuntimeError where no loop runs, TypeError for what is not a coroutine. Corresponds to `asyncio.create_task`.";
    timeout: timeout_from,
        c"timeout(delay)\n--\n\nAn asynchronous context manager that cancels what takes longer than `delay` seconds (None: nothing) and raises TimeoutError instead. RuntimeError where no loop runs. Corresponds to `asyncio.timeout`.";
    timeout_at: timeout_at_from,
        c"timeout_at(when)\n--\n\nLike timeout(), with a time on the loop's clock in seconds, or None. Corresponds to `asyncio.timeout_at`.";
}

/// The value of a parameter without a default, which is there.
#[inline]
fn given(value: Option<Bound<'_, PyAny>>) -> PyResult<Bound<'_, PyAny>> {
    value.ok_or_else(|| PyTypeError::new_err("an argument is missing"))
}

#[inline]
fn sleep_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<2> = Signature { parameters: ["delay", "result"], required: 1 };
    let [delay, result] = SIGNATURE.bind("sleep", arguments)?;
    compose::sleep(given(delay)?, result)
}

#[inline]
fn wait_for_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<2> = Signature { parameters: ["fut", "timeout"], required: 2 };
    let [awaitable, timeout] = SIGNATURE.bind("wait_for", arguments)?;
    compose::wait_for(given(awaitable)?, given(timeout)?)
}

#[inline]
fn shield_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<1> = Signature { parameters: ["arg"], required: 1 };
    let [awaitable] = SIGNATURE.bind("shield", arguments)?;
    compose::shield(&given(awaitable)?)
}

#[inline]
fn ensure_future_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<2> = Signature { parameters: ["coro_or_future", "loop"], required: 1 };
    let [awaitable, event_loop] = SIGNATURE.bind_positional("ensure_future", arguments, 1)?;
    let event_loop = event_loop.filter(|event_loop| !event_loop.is_none()).map(|event_loop| LoopRef::to(&event_loop));
    compose::ensure_future(&given(awaitable)?, event_loop.as_ref())
}

/// `create_task(coro, *, name=None, context=None)`, from 3.14 on with further keywords for the task.
#[inline]
fn create_task_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    if cfg!(Py_3_14) && arguments.are_named() {
        return create_task_with(arguments);
    }
    const SIGNATURE: Signature<3> = Signature { parameters: ["coro", "name", "context"], required: 1 };
    let [coro, name, context] = SIGNATURE.bind_positional("create_task", arguments, 1)?;
    compose::create_task(&given(coro)?, name.as_ref(), context.as_ref(), None)
}

fn create_task_with<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = arguments.py();
    let mut coro = arguments.positional().first().map(|coro| arguments.own(coro));
    let (mut name, mut context, mut others) = (None, None, None);
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
    let (Some(coro), true) = (coro, arguments.positional().len() <= 1) else {
        return Err(PyTypeError::new_err("create_task() takes exactly 1 positional argument: 'coro'"));
    };
    compose::create_task(&coro, name.as_ref(), context.as_ref(), others.as_ref())
}

#[inline]
fn timeout_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<1> = Signature { parameters: ["delay"], required: 1 };
    let [delay] = SIGNATURE.bind("timeout", arguments)?;
    compose::timeout(&given(delay)?)
}

fn timeout_at_from<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    const SIGNATURE: Signature<1> = Signature { parameters: ["when"], required: 1 };
    let [when] = SIGNATURE.bind("timeout_at", arguments)?;
    compose::timeout_at(&given(when)?)
}

/// Adds the functions to the module, as functions of the package.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let package = PyString::new(py, "tideloop");
    // Functions refer to their definitions for as long as the process runs.
    for function in Vec::leak(definitions()) {
        // SAFETY: the name is a literal.
        let name = unsafe { CStr::from_ptr(function.ml_name) };
        // SAFETY: a definition that lives for ever; a function of a module needs no object, and is told the name.
        let made = unsafe { ffi::PyCFunction_NewEx(function, ptr::null_mut(), package.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception.
        let made = unsafe { Bound::from_owned_ptr_or_err(py, made) }?;
        // Not in `__all__`, where `add_function` puts a name.
        module.setattr(&*name.to_string_lossy(), made)?;
    }
    Ok(())
}
