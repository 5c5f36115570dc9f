//! The hot methods of shared queues as plain C functions.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned};
use super::signature::Signature;
use crate::both::{LifoQueue, Manner, PriorityQueue, Queue};

const GET_SIGNATURE: Signature<2> = Signature { parameters: ["block", "timeout"], required: 0 };
const PUT_SIGNATURE: Signature<3> = Signature { parameters: ["item", "block", "timeout"], required: 1 };
const ITEM: Signature<1> = Signature { parameters: ["item"], required: 1 };

#[inline]
fn get_from<'py>(queue: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    if arguments.are_none() {
        return Queue::get(queue, Manner::AsUsual(None));
    }
    let [block, timeout] = GET_SIGNATURE.bind("Queue.get", arguments)?;
    Queue::get(queue, Manner::of(block.as_ref(), timeout.as_ref())?)
}

#[inline]
fn put_from<'py>(queue: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    if let Some(item) = arguments.only() {
        return Queue::put(queue, item, Manner::AsUsual(None));
    }
    let [item, block, timeout] = PUT_SIGNATURE.bind("Queue.put", arguments)?;
    let item = item.unwrap_or_else(|| arguments.none());
    Queue::put(queue, item, Manner::of(block.as_ref(), timeout.as_ref())?)
}

#[inline]
fn put_nowait_from<'py>(queue: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let item = match arguments.only() {
        Some(item) => item,
        None => {
            let [item] = ITEM.bind("Queue.put_nowait", arguments)?;
            item.unwrap_or_else(|| arguments.none())
        }
    };
    Queue::put_now(queue, item).map(|()| arguments.none())
}

slot_functions! {
    fn put(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, put_from(&queue, &arguments))
    } or ptr::null_mut();

    fn put_nowait(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, put_nowait_from(&queue, &arguments))
    } or ptr::null_mut();

    fn get(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, get_from(&queue, &arguments))
    } or ptr::null_mut();

    fn get_nowait(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        returned(py, Queue::get_now(&queue))
    } or ptr::null_mut();

    fn task_done(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let queue = unsafe { argument::<Queue>(py, slf) };
        returned(py, Queue::finish_one(&queue).map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();
}

const PUT: &CStr =
    c"put($self, /, item, block=None, timeout=None)\n--\n\nPut an item into the queue. A thread waits until \
    there is room, at most `timeout` seconds; a task awaits what is returned. `block` False: do not wait; True: block, \
    also in a task. Raises Full where there was no room, and ShutDown. Corresponds to `queue.Queue.put` and \
    `asyncio.Queue.put`.";
const PUT_NOWAIT: &CStr =
    c"put_nowait($self, /, item)\n--\n\nPut an item into the queue: Full where there is no room, \
    ShutDown where it is shut down. Corresponds to `queue.Queue.put_nowait`.";
const GET: &CStr = c"get($self, /, block=None, timeout=None)\n--\n\nRemove and return the next item. A thread waits \
    until there is one, at most `timeout` seconds; a task awaits what is returned. `block` False: do not wait; True: \
    block, also in a task. Raises Empty where there was none, and ShutDown where none will come. Corresponds to \
    `queue.Queue.get` and `asyncio.Queue.get`.";
const GET_NOWAIT: &CStr = c"get_nowait($self, /)\n--\n\nRemove and return the next item: Empty where there is none, \
    ShutDown where none will come. Corresponds to `queue.Queue.get_nowait`.";
const TASK_DONE: &CStr =
    c"task_done($self, /)\n--\n\nSay that the work on an item that was got is complete; `join` goes \
    on when that has been said of all. ValueError if called more often than items were put. Corresponds to \
    `queue.Queue.task_done`.";

fn add_to(class: &Bound<'_, PyType>) -> PyResult<()> {
    use ffi::PyMethodDefPointer as Call;
    let fast = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    let none = ffi::METH_NOARGS;
    let definitions = vec![
        definition(c"put", Call { PyCFunctionFastWithKeywords: put }, fast, PUT),
        definition(c"put_nowait", Call { PyCFunctionFastWithKeywords: put_nowait }, fast, PUT_NOWAIT),
        definition(c"get", Call { PyCFunctionFastWithKeywords: get }, fast, GET),
        definition(c"get_nowait", Call { PyCFunction: get_nowait }, none, GET_NOWAIT),
        definition(c"task_done", Call { PyCFunction: task_done }, none, TASK_DONE),
    ];
    add(class, definitions)
}

/// Adds the methods. (To each class: the interpreter's specialised calls want the class that defines a method to be the
/// object's own.)
pub fn install(py: Python<'_>) -> PyResult<()> {
    add_to(&py.get_type::<Queue>())?;
    add_to(&py.get_type::<LifoQueue>())?;
    add_to(&py.get_type::<PriorityQueue>())
}
