//! The hot methods of `Queue` as plain C functions, and what the class of a queue is.
//!
//! They are put into the Python class that derives from the native one: the interpreter's specialised calls want the
//! class that defines a method to be the object's own.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned};
use super::sock_calls::Signature;
use crate::sync::{Queue, QueueCall};

/// Which class the queue is of, and in which state of that: another number for every class, and a new one after a
/// change of the class or of one that it derives from. 0: nobody knows.
#[inline]
pub fn class_version(queue: &Bound<'_, Queue>) -> u64 {
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(queue.as_ptr()) };
    // SAFETY: which keeps its class alive.
    u64::from(unsafe { (*class).tp_version_tag })
}

const ITEM: Signature<1> = Signature { parameters: ["item"], required: 1 };

/// The one argument of `put` and `put_nowait`.
#[inline]
fn item<'py>(function: &str, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    if let Some(item) = arguments.only() {
        return Ok(item);
    }
    let [item] = ITEM.bind(function, arguments)?;
    Ok(item.unwrap_or_else(|| arguments.none()))
}

slot_functions! {
    fn put(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, item("Queue.put", &arguments).and_then(|item| QueueCall::put(&queue, item)))
    } or ptr::null_mut();

    fn put_nowait(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let outcome = item("Queue.put_nowait", &arguments).and_then(|item| Queue::put_nowait(&queue, &item));
        returned(py, outcome.map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();

    fn get(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        returned(py, QueueCall::get(&queue))
    } or ptr::null_mut();

    fn get_nowait(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        returned(py, Queue::get_nowait(&queue))
    } or ptr::null_mut();

    fn task_done(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        returned(py, Queue::task_done(&queue).map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();
}

const PUT: &CStr = c"put($self, /, item)\n--\n\nPut `item` into the queue; awaitable, waits for room where the queue \
    is full. Raises QueueShutDown where it is shut down. Corresponds to `asyncio.Queue.put`.";
const PUT_NOWAIT: &CStr = c"put_nowait($self, /, item)\n--\n\nPut `item` into the queue; QueueFull where there is no \
    room, QueueShutDown where it is shut down. Corresponds to `asyncio.Queue.put_nowait`.";
const GET: &CStr =
    c"get($self, /)\n--\n\nRemove and return the next item; awaitable, waits for one where the queue is \
    empty. Raises QueueShutDown where it is empty and shut down. Corresponds to `asyncio.Queue.get`.";
const GET_NOWAIT: &CStr = c"get_nowait($self, /)\n--\n\nRemove and return the next item; QueueEmpty where there is \
    none, QueueShutDown where it is shut down as well. Corresponds to `asyncio.Queue.get_nowait`.";
const TASK_DONE: &CStr = c"task_done($self, /)\n--\n\nSay that the work on an item that was got is complete; `join` \
    goes on when that has been said of all. Raises ValueError if called more often than items were put. Corresponds \
    to `asyncio.Queue.task_done`.";

/// Puts the functions above into the class that derives from the native one.
pub fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    use ffi::PyMethodDefPointer as Call;
    let fast = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    let none = ffi::METH_NOARGS;
    if !class.is_subclass_of::<Queue>()? {
        return Err(pyo3::exceptions::PyTypeError::new_err("a class that derives from the native queue is needed"));
    }
    let definitions = vec![
        definition(c"put", Call { PyCFunctionFastWithKeywords: put }, fast, PUT),
        definition(c"put_nowait", Call { PyCFunctionFastWithKeywords: put_nowait }, fast, PUT_NOWAIT),
        definition(c"get", Call { PyCFunction: get }, none, GET),
        definition(c"get_nowait", Call { PyCFunction: get_nowait }, none, GET_NOWAIT),
        definition(c"task_done", Call { PyCFunction: task_done }, none, TASK_DONE),
    ];
    add(class, definitions)
}
