//! Which native loop runs in this thread, known without asking asyncio.

use std::cell::Cell;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::loop_slot::LoopRef;
use crate::event_loop::EventLoop;
use crate::names;

thread_local! {
    static RUNNING: Cell<*mut ffi::PyObject> = const { Cell::new(ptr::null_mut()) };
}

/// A loop begins to run in this thread; whoever runs it keeps it alive.
pub fn enter(event_loop: &Bound<'_, EventLoop>) {
    RUNNING.set(event_loop.as_ptr());
}

/// No loop of ours runs in this thread any more.
pub fn leave() {
    RUNNING.set(ptr::null_mut());
}

/// The loop that runs in this thread, if it is one of ours.
#[inline]
pub fn native_running_loop(py: Python<'_>) -> Option<Bound<'_, EventLoop>> {
    // SAFETY: whoever runs the loop has a reference to it until `leave`.
    let running = unsafe { Bound::from_borrowed_ptr_or_opt(py, RUNNING.get()) }?;
    // SAFETY: `enter` was given a loop of this class.
    Some(unsafe { running.cast_into_unchecked() })
}

/// The loop that runs in this thread, if one does. Corresponds to `asyncio._get_running_loop`.
#[inline]
pub fn running_loop_or_none(py: Python<'_>) -> PyResult<Option<LoopRef<'_>>> {
    if !RUNNING.get().is_null() {
        return running_loop(py).map(Some);
    }
    let running = names::get_running_loop_or_none(py)?.call0()?;
    Ok((!running.is_none()).then(|| LoopRef::to(&running)))
}

/// The loop that runs in this thread: `RuntimeError` where none does. Corresponds to `asyncio.get_running_loop`.
#[inline]
pub fn running_loop(py: Python<'_>) -> PyResult<LoopRef<'_>> {
    let running = RUNNING.get();
    if running.is_null() {
        return Ok(LoopRef::to(&names::get_running_loop(py)?.call0()?));
    }
    // SAFETY: whoever runs the loop has a reference to it until `leave`.
    let running = unsafe { Bound::from_borrowed_ptr(py, running) };
    // SAFETY: `enter` was given a loop of this class.
    Ok(LoopRef::to_native(unsafe { running.cast_unchecked() }))
}
