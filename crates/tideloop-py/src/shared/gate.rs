//! The lock around a collection: re-entrant per thread, waited for without the interpreter lock.
//!
//! A collection calls `__hash__` and `__eq__` of its elements, which may be Python: they may take their time, let other
//! threads run, and use the same collection again. So this is the one lock under which Python is called and elements
//! may be dropped. What is guaranteed is between threads: while one is inside, no other is. A thread that comes again
//! from inside is let in, as by `threading.RLock`.

use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::prelude::*;
use tideloop_core::monitor::Monitor;

use super::thread as number;

/// How long a wait lasts before it looks for signals, so that Ctrl+C ends it. Somebody waits this long only while another
/// thread is inside, whose Python code takes its time.
const SIGNALS_LOOKED_FOR_EVERY: Duration = Duration::from_millis(50);

/// The lock.
pub struct Gate(Monitor<Thread>);

/// Somebody is inside, until this is dropped.
#[must_use = "who is inside leaves when this is dropped"]
pub struct Inside<'a> {
    gate: &'a Gate,
    me: u64,
}

impl Gate {
    /// A lock that is free.
    pub fn new() -> Self {
        Self(Monitor::new())
    }

    /// Enters; an exception of a signal handler ends the wait.
    #[inline]
    pub fn enter(&self, py: Python<'_>) -> PyResult<Inside<'_>> {
        let me = number::current();
        if !self.0.try_enter(me) {
            self.wait(py, me, true)?;
        }
        Ok(Inside { gate: self, me })
    }

    /// Enters, whatever signals come: for what must be cleared away.
    pub fn enter_surely(&self, py: Python<'_>) -> Inside<'_> {
        let me = number::current();
        if !self.0.try_enter(me) {
            // Only a signal could end it.
            let _ = self.wait(py, me, false);
        }
        Inside { gate: self, me }
    }

    /// Whether this thread is inside.
    pub fn is_inside(&self) -> bool {
        self.0.is_inside(number::current())
    }

    #[cold]
    fn wait(&self, py: Python<'_>, me: u64, interruptible: bool) -> PyResult<()> {
        let mut again = false;
        while !self.0.enter_or_queue(me, thread::current, again, number::is_gone) {
            py.detach(|| thread::park_timeout(SIGNALS_LOOKED_FOR_EVERY));
            again = true;
            if interruptible && let Err(error) = py.check_signals() {
                wake(self.0.withdraw(me));
                return Err(error);
            }
        }
        Ok(())
    }
}

fn wake(waiter: Option<Thread>) {
    if let Some(waiter) = waiter {
        waiter.unpark();
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        wake(self.gate.0.leave(self.me));
    }
}
