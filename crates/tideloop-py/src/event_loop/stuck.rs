//! What the deadlock detector does before a loop goes to sleep.

use std::cell::Cell;
use std::time::Duration;

use pyo3::prelude::*;
use tideloop_sys::clock::now_ns;
use tideloop_sys::poll::Timeout as Wait;

use super::EventLoop;
use crate::{names, observe};

/// A loop looks at all who wait for locks at most this often.
const LOOKS_APART_NS: u64 = 50_000_000;
/// … and spends no more than this part of its time on that.
const LOOKS_SHARE: u64 = 10;

/// A loop that only other threads can wake looks again after this time: they may be stuck by then, too.
const DOUBT: Duration = Duration::from_millis(500);

thread_local! {
    static NEXT_LOOK_NS: Cell<u64> = const { Cell::new(0) };
}

/// The loop is about to sleep: looks for deadlocks that no wait for a lock has closed, and whether anything is left
/// that could wake it. How long it may sleep.
///
/// # Errors
/// `DeadlockError`, where it would sleep for ever.
#[inline]
pub(super) fn look(event_loop: &Bound<'_, EventLoop>, timeout: Wait) -> PyResult<Wait> {
    if observe::on() && timeout != Wait::Now { look_closely(event_loop, timeout) } else { Ok(timeout) }
}

#[cold]
fn look_closely(event_loop: &Bound<'_, EventLoop>, timeout: Wait) -> PyResult<Wait> {
    let py = event_loop.py();
    let this = event_loop.get();
    if observe::anybody_waits(py) {
        let begun_ns = now_ns();
        let early_ns = NEXT_LOOK_NS.get().saturating_sub(begun_ns);
        if early_ns > 0 {
            let early = Duration::from_nanos(early_ns);
            return Ok(Wait::AtMost(if let Wait::AtMost(wanted) = timeout { wanted.min(early) } else { early }));
        }
        observe::look(py)?;
        let took_ns = now_ns() - begun_ns;
        NEXT_LOOK_NS.set(now_ns() + LOOKS_APART_NS.max(took_ns * LOOKS_SHARE));
    }
    let (is_idle, has_none) = this.with_state(py, |state| {
        let has_none =
            state.registrations.is_empty() && state.unwatched.is_empty() && state.timers.earliest().is_none();
        (state.ready.is_empty() && state.to_flush.is_empty(), has_none)
    });
    if !is_idle || !this.inbox.is_empty() {
        // A report may have woken somebody.
        return Ok(Wait::Now);
    }
    if timeout == Wait::Forever && has_none {
        let error = names::stuck(py)?.call1((event_loop,))?;
        // A thread that was there before the others were counted may have left something; finalizers, too.
        if !this.with_state(py, |state| state.ready.is_empty()) || !this.inbox.is_empty() {
            return Ok(Wait::Now);
        }
        if error.is_none() {
            return Ok(Wait::AtMost(DOUBT));
        }
        names::tell_stuck(py)?.call1((&error,))?;
        return Err(PyErr::from_value(error));
    }
    Ok(timeout)
}
