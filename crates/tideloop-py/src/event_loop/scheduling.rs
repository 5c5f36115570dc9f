//! Putting callbacks on the loop: soon, later, and from other threads.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::clock::NANOSECONDS;
use super::{Arrival, Entry, EventLoop, Handle, Timer, TimerHandle};
use crate::{names, slots};

/// The first nanosecond of the monotonic clock at which a timer for `when` seconds may fire. One nanosecond is
/// added because the product may have been rounded down, and a timer never fires early.
pub(super) fn deadline_ns(when: f64) -> u64 {
    // A float that is too large, infinity too, becomes u64::MAX: never. A negative one becomes 0: at once.
    ((when * NANOSECONDS).ceil() as u64).saturating_add(1)
}

impl EventLoop {
    /// `call_soon`, from Rust.
    #[inline]
    pub fn call_soon_native(
        slf: &Bound<'_, Self>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Handle>> {
        let py = slf.py();
        let this = slf.get();
        let debug = this.usable_and_debug(py)?;
        if debug {
            Self::check_call(slf, callback, "call_soon", true)?;
        }
        let handle = Handle::create(slf, callback, args, context, debug)?;
        this.push(py, Entry::Handle(handle.clone_ref(py)));
        Ok(handle)
    }

    /// `call_soon_threadsafe`, from Rust.
    ///
    /// From the loop's own thread it is `call_soon`: through the inbox it would fall behind a later one.
    pub fn call_soon_threadsafe_native(
        slf: &Bound<'_, Self>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Handle>> {
        let py = slf.py();
        let this = slf.get();
        let debug = this.usable_and_debug(py)?;
        if debug {
            Self::check_call(slf, callback, "call_soon_threadsafe", false)?;
        }
        let thread = this.with_state(py, |state| state.thread);
        if thread.is_none_or(|thread| thread == slots::thread_ident(py)) {
            let handle = Handle::create(slf, callback, args, context, debug)?;
            handle.get().make_threadsafe(py);
            this.push(py, Entry::Handle(handle.clone_ref(py)));
            return Ok(handle);
        }
        let handle = Handle::create_hidden(slf, callback, args, context, debug)?;
        handle.get().make_threadsafe(py);
        if this.inbox.push(Arrival::Handle(handle.clone_ref(py))) {
            this.kernel(py)?.wake.wake();
        }
        Ok(handle)
    }

    /// `call_at`, from Rust; `when` in seconds. `method` is what the user called, for messages.
    pub fn call_at_native(
        slf: &Bound<'_, Self>,
        when: f64,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        method: &str,
    ) -> PyResult<Py<TimerHandle>> {
        let py = slf.py();
        let debug = slf.get().usable_and_debug(py)?;
        if debug {
            Self::check_call(slf, callback, method, true)?;
        }
        let timer = TimerHandle::create(slf, when, callback, args, context, debug)?;
        let in_heap = Timer::Handle(timer.clone_ref(py));
        let key = slf.get().with_state(py, |state| state.timers.insert(deadline_ns(when), in_heap));
        timer.get().set_key(py, Some(key));
        Ok(timer)
    }

    /// Whether other threads have left something that the loop has not looked at yet.
    pub fn has_mail(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Takes the oldest thing out of the inbox.
    #[inline]
    pub(super) fn take_from_inbox(&self, py: Python<'_>) -> Option<Arrival> {
        // Asking whether it is empty is cheaper than trying to pop.
        if self.inbox.is_empty() {
            return None;
        }
        let arrival = self.inbox.try_pop()?;
        if let Arrival::Handle(handle) = &arrival {
            slots::handles::show(handle.bind(py));
        }
        Some(arrival)
    }

    /// asyncio's checks of debug mode: the callback is callable and no coroutine function, the thread is the loop's.
    #[cold]
    pub(super) fn check_call(
        slf: &Bound<'_, Self>,
        callback: &Bound<'_, PyAny>,
        method: &str,
        own_thread: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let checks = names::base_event_loop(py)?;
        if own_thread {
            checks.call_method1(intern!(py, "_check_thread"), (slf,))?;
        }
        checks.call_method1(intern!(py, "_check_callback"), (slf, callback, method))?;
        Ok(())
    }
}

/// A number of seconds. `None` is a mistake that asyncio names; NaN compares with nothing and would never be due.
pub(super) fn seconds(value: &Bound<'_, PyAny>, none: &'static str, name: &str) -> PyResult<f64> {
    if value.is_none() {
        return Err(PyTypeError::new_err(none));
    }
    let seconds: f64 = value.extract()?;
    if seconds.is_nan() {
        return Err(PyValueError::new_err(format!("{name} must not be NaN")));
    }
    Ok(seconds)
}
