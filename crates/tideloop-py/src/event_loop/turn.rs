//! One turn of the loop after another (DESIGN §3, §10.1-§10.3).
//!
//! A turn looks at the kernel if it is time to, appends what became ready (events, then due timers, then the inbox)
//! to the ready queue, runs exactly what was there when it began to run, and flushes what was written meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tideloop_core::registrations::Token;
use tideloop_sys::poll::{Events, Timeout as Wait};
use tideloop_sys::{clock, ticks};

use super::io::{TOKEN_SIGNALS, TOKEN_TIMER, TOKEN_WAKE};
use super::stuck;
use super::timer::{self, TIMERS_APART_NS};
use super::{Entry, EventLoop, Handle, Readiness};
use crate::compose::{self, DoneCallback, Timeout, Watcher};
use crate::error::{leaves_the_loop, os_error};
use crate::transports::SocketTransport;
use crate::{names, slots, task, threads};

/// While work is ready the kernel is asked at most this often: a system call in every turn costs 200-300 ns.
const POLL_INTERVAL_US: u64 = 50;
/// … but at least every so many turns, so that a program of long turns still sees its descriptors.
const POLL_TURNS_MAX: u32 = 64;
/// Whether it is time to is looked at every so many turns, as long as turns are short and no timer is pending:
/// reading the counter costs 8 ns, a twentieth of a short turn.
const TURNS_PER_LOOK: u32 = 4;
/// While work stays ready, other threads get the interpreter lock this often.
const HANDOVER_INTERVAL_US: u64 = 1_000;
/// A wait that ends sooner was none: the next one asks the kernel first without releasing the interpreter lock.
const SHORT_WAIT_US: u64 = 10;
/// How long the loop really blocks for that: another thread needs the time to wake up and take the lock.
const HANDOVER_BLOCK: Duration = Duration::from_micros(100);

/// What a running loop remembers from turn to turn.
struct Turn<'a, 'py> {
    event_loop: &'a Bound<'py, EventLoop>,
    events: Events,
    /// Memory for the transports to flush, empty.
    flushed: Vec<Py<SocketTransport>>,
    /// In ticks, as are the others without a unit in their name.
    polled_at: u64,
    poll_interval: u64,
    handover_interval: u64,
    turns_since_poll: u32,
    looked_at: u64,
    turns_to_look: u32,
    handed_over_at: u64,
    others: clock::OthersCpu,
    short_wait: u64,
    waits_are_short: bool,
    /// A moment as clock and counter have it, to tell without a system call that no timer can be due.
    seen_ns: u64,
    seen_ticks: u64,
    /// The deadline that the timer descriptor is armed for, or for the first step towards it. Unknown at first: another
    /// run may have left it armed.
    armed_ns: Option<u64>,
    disarmed: bool,
    /// When timers were found to be due the last time.
    expired_ns: u64,
}

/// Runs turns until `stop`, or until `KeyboardInterrupt` or `SystemExit` leaves one.
pub(super) fn run_turns(event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
    let py = event_loop.py();
    let now = ticks::now();
    let mut turn = Turn {
        event_loop,
        events: Events::new(),
        flushed: Vec::new(),
        polled_at: now,
        poll_interval: POLL_INTERVAL_US * ticks::per_us(),
        handover_interval: HANDOVER_INTERVAL_US * ticks::per_us(),
        turns_since_poll: POLL_TURNS_MAX,
        looked_at: now,
        turns_to_look: 1,
        handed_over_at: now,
        others: clock::OthersCpu::new(),
        short_wait: SHORT_WAIT_US * ticks::per_us(),
        waits_are_short: false,
        seen_ns: clock::now_ns(),
        seen_ticks: now,
        armed_ns: None,
        disarmed: false,
        expired_ns: 0,
    };
    let outcome = loop {
        match turn.once() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    task::current::settle(py, event_loop);
    outcome
}

impl Turn<'_, '_> {
    /// One turn; whether it was the last.
    #[inline]
    fn once(&mut self) -> PyResult<bool> {
        let py = self.event_loop.py();
        let this = self.event_loop.get();
        let (idle, stopping, closed, earliest) = this.with_state(py, |state| {
            let idle = state.ready.is_empty() && state.to_flush.is_empty();
            (idle, state.stopping, state.closed, state.timers.earliest())
        });
        if closed {
            return Err(PyRuntimeError::new_err("Event loop is closed"));
        }
        this.check_not_inherited(py)?;
        self.look_around(idle, stopping, earliest)?;
        slots::check_signals(py)?;
        let outcome = self.run_ready();
        let (written, stopping) = this.with_state(py, |state| {
            let spare = &mut self.flushed;
            let written =
                (!state.to_flush.is_empty()).then(|| std::mem::replace(&mut state.to_flush, std::mem::take(spare)));
            (written, state.stopping)
        });
        if let Some(written) = written {
            self.flush(written)?;
        }
        outcome.map(|()| stopping)
    }

    /// Brings into the ready queue what has become ready: waits for it where there is nothing else to do.
    #[inline]
    fn look_around(&mut self, idle: bool, stopping: bool, earliest: Option<u64>) -> PyResult<()> {
        let py = self.event_loop.py();
        let event_loop = self.event_loop;
        let this = event_loop.get();
        self.turns_since_poll += 1;
        if idle && !stopping && this.inbox.is_empty() {
            self.park(earliest)?;
            self.expire_timers();
        } else {
            self.turns_to_look = self.turns_to_look.saturating_sub(1);
            if self.turns_to_look == 0 || stopping || earliest.is_some() {
                self.look_at_the_time(stopping)?;
            }
            if earliest.is_some() {
                self.expire_timers();
            }
        }
        while let Some(arrival) = this.take_from_inbox(py) {
            this.push(py, arrival.into_entry());
        }
        Ok(())
    }

    /// Work is ready: asks the kernel all the same, and gives other threads a chance, when it is time to.
    fn look_at_the_time(&mut self, stopping: bool) -> PyResult<()> {
        let now = ticks::now();
        let short_turns = now.wrapping_sub(self.looked_at) < self.poll_interval / TURNS_PER_LOOK as u64;
        self.turns_to_look = if short_turns { TURNS_PER_LOOK } else { 1 };
        self.looked_at = now;
        let due = now.wrapping_sub(self.polled_at) >= self.poll_interval;
        if due || stopping || self.turns_since_poll >= POLL_TURNS_MAX {
            self.poll(Wait::Now)?;
        }
        self.hand_over(now);
        Ok(())
    }

    /// Gives other threads the interpreter lock, if it is time to and one of them has run since the last time: one
    /// that wants the lock has woken up to ask for it. A brief release would starve them: the waiter wakes, finds the
    /// lock taken and starts its 5 ms anew, so the loop blocks for as long as waking up takes.
    #[inline]
    fn hand_over(&mut self, now: u64) {
        if now.wrapping_sub(self.handed_over_at) >= self.handover_interval {
            self.hand_over_if_wanted();
        }
    }

    #[cold]
    fn hand_over_if_wanted(&mut self) {
        let py = self.event_loop.py();
        if slots::other_threads_exist(py) && self.others.have_run() {
            task::current::settle(py, self.event_loop);
            py.detach(|| tideloop_sys::threads::yield_for(HANDOVER_BLOCK));
        }
        self.handed_over_at = ticks::now();
    }

    /// Waits until a descriptor, a timer or another thread has something.
    fn park(&mut self, earliest: Option<u64>) -> PyResult<()> {
        let py = self.event_loop.py();
        task::current::settle(py, self.event_loop);
        if let Some(due_ns) = self.event_loop.get().clock.simulated_due_ns() {
            return self.park_simulated(earliest, due_ns);
        }
        let timeout = stuck::look(self.event_loop, self.time_to_wait(earliest)?)?;
        let event_loop = self.event_loop;
        let inbox = &event_loop.get().inbox;
        if timeout == Wait::Now || self.waits_are_short {
            // A busy server: something is there already, and a release of the interpreter lock would be brief.
            let found = self.poll(Wait::Now)?;
            if timeout == Wait::Now || found > 0 {
                self.hand_over(self.polled_at);
                return Ok(());
            }
        }
        if !inbox.prepare_to_park() {
            return self.poll(Wait::Now).map(|_| ());
        }
        let start = ticks::now();
        let outcome = self.poll(timeout);
        inbox.unpark();
        let waited = self.polled_at.wrapping_sub(start);
        self.waits_are_short = waited < self.short_wait;
        if !self.waits_are_short {
            self.handed_over_at = self.polled_at;
        }
        // What the wake-up makes ready runs now; the turn after it asks the kernel again.
        (self.turns_since_poll, self.turns_to_look) = (POLL_TURNS_MAX, 1);
        outcome.map(|_| ())
    }

    /// `park` on a simulated clock: takes what the kernel has, and lets time pass only if that was nothing.
    #[cold]
    fn park_simulated(&mut self, earliest: Option<u64>, due_ns: u64) -> PyResult<()> {
        let found = self.poll(Wait::Now)?;
        if found > 0 || earliest.is_some_and(|earliest| earliest <= due_ns) {
            return Ok(());
        }
        EventLoop::advance_simulated_clock(self.event_loop, earliest)
    }

    /// How long to wait, with the timer descriptor armed for the earliest deadline: a poll's own time-out is late
    /// by a thousandth of the wait, a timer descriptor by 0.05 ms whatever it is.
    fn time_to_wait(&mut self, earliest: Option<u64>) -> PyResult<Wait> {
        let py = self.event_loop.py();
        let kernel = self.event_loop.get().kernel(py)?;
        let Some(deadline) = earliest else {
            if !self.disarmed {
                kernel.timer.disarm().map_err(|error| os_error(py, &error))?;
                (self.disarmed, self.armed_ns) = (true, None);
            }
            return Ok(Wait::Forever);
        };
        let now = clock::now_ns();
        if deadline <= now {
            return Ok(Wait::Now);
        }
        let deadline = deadline.max(self.expired_ns + TIMERS_APART_NS);
        if self.armed_ns != Some(deadline) {
            let wake_ns = timer::first_step_to(deadline, now);
            kernel.timer.arm(wake_ns).map_err(|error| os_error(py, &error))?;
            (self.disarmed, self.armed_ns) = (false, Some(deadline));
        }
        Ok(Wait::Forever)
    }

    /// Asks the kernel, and turns its events into entries; how many events there were. Detached from the interpreter
    /// where it may block.
    fn poll(&mut self, timeout: Wait) -> PyResult<usize> {
        let py = self.event_loop.py();
        let event_loop = self.event_loop;
        let this = event_loop.get();
        let kernel = this.kernel(py)?;
        let events = &mut self.events;
        let outcome = match timeout {
            Wait::Now => kernel.poller.wait(events, timeout),
            _ => py.detach(|| kernel.poller.wait(events, timeout)),
        };
        self.polled_at = ticks::now();
        self.turns_since_poll = 0;
        match outcome {
            Ok(()) => {}
            // A signal: its Python handler runs in this turn.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(os_error(py, &error)),
        }
        for event in self.events.iter() {
            match event.token {
                TOKEN_WAKE => kernel.wake.drain(),
                // Expired: what it is armed for next is settled before the next wait.
                TOKEN_TIMER => (self.armed_ns, self.disarmed) = (None, false),
                TOKEN_SIGNALS => this.push(py, Entry::Signals),
                token => {
                    let readiness = Readiness { readable: event.readable, writable: event.writable };
                    this.io_event(py, Token::from_u64(token), readiness);
                }
            }
        }
        Ok(self.events.len())
    }

    /// Moves due timers to the ready queue. The clock is read only if the counter says that one may be due.
    fn expire_timers(&mut self) {
        let py = self.event_loop.py();
        let event_loop = self.event_loop;
        let this = event_loop.get();
        let Some(deadline) = this.with_state(py, |state| state.timers.earliest()) else { return };
        let due_ns = if let Some(simulated) = this.clock.simulated_due_ns() {
            simulated
        } else {
            let elapsed = ticks::now().wrapping_sub(self.seen_ticks);
            if deadline > self.seen_ns && elapsed < ticks::at_most_in(deadline - self.seen_ns) {
                return;
            }
            (self.seen_ns, self.seen_ticks) = (clock::now_ns(), ticks::now());
            self.seen_ns
        };
        while let Some(timer) = this.with_state(py, |state| state.timers.pop_due(due_ns)) {
            self.expired_ns = due_ns;
            this.push(py, timer.into_entry(py));
        }
    }

    /// Runs what is ready now; what it makes ready waits for the next turn.
    fn run_ready(&self) -> PyResult<()> {
        let py = self.event_loop.py();
        let mut left = self.event_loop.get().with_state(py, |state| state.ready.len());
        while left > 0 {
            // A panic is a bug of ours; it is reported like a callback's exception and the loop goes on.
            match catch_unwind(AssertUnwindSafe(|| self.run_some(&mut left))) {
                Ok(outcome) => return outcome,
                Err(panic) => self.report_panic(&*panic)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn run_some(&self, left: &mut usize) -> PyResult<()> {
        let py = self.event_loop.py();
        let event_loop = self.event_loop;
        let this = event_loop.get();
        while *left > 0 {
            *left -= 1;
            let (entry, debug) = this.with_state(py, |state| (state.ready.pop(), state.debug));
            // A callback may have closed the loop, or emptied the queue by hand.
            let Some(entry) = entry else { return Ok(()) };
            if debug {
                self.run_timed(entry)?;
            } else {
                self.run_entry(entry)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn run_entry(&self, entry: Entry) -> PyResult<()> {
        let event_loop = self.event_loop;
        let py = event_loop.py();
        match entry {
            Entry::Step(task) => return task::run_step(py, event_loop, task),
            Entry::Wake(task, future) => return task::run_wakeup(py, event_loop, task, future),
            _ => task::current::settle(py, event_loop),
        }
        match entry {
            Entry::Handle(handle) => Handle::run(handle.bind(py)),
            Entry::Call { callback, argument, context } => self.call(&callback, &argument, &context),
            Entry::Watched(watcher, object, future) => self.tell(watcher, &object, &future),
            Entry::Release(future) => compose::release(future.bind(py)),
            Entry::Knock(knock) => knock.arrive(py),
            Entry::Returned(future, result) => threads::settle(future.bind(py), result.into_bound(py), false),
            Entry::Raised(future, exception) => threads::settle(future.bind(py), exception.into_bound(py), true),
            Entry::Expire(timeout, arming) => self.expire(&timeout, arming),
            Entry::Io(token, readiness) => EventLoop::io_dispatch(event_loop, token, readiness),
            Entry::Signals => EventLoop::receive_signals(event_loop),
            Entry::Step(_) | Entry::Wake(..) => Ok(()),
        }
    }

    /// Calls a future's callback. Only if it fails is there a handle, for the report.
    fn call(&self, callback: &Py<PyAny>, argument: &Py<PyAny>, context: &Py<PyAny>) -> PyResult<()> {
        let py = self.event_loop.py();
        let outcome = slots::in_context(context.bind(py), || callback.bind(py).call1((argument,)));
        let error = match outcome {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) | Err(error) => error,
        };
        self.report(callback.bind(py), &PyTuple::new(py, [argument])?, Some(context.bind(py)), error)
    }

    /// Has a timeout cancel its task.
    fn expire(&self, timeout: &Py<Timeout>, arming: u32) -> PyResult<()> {
        let py = self.event_loop.py();
        let timeout = timeout.bind(py);
        match Timeout::expire(timeout, arming) {
            Ok(()) => Ok(()),
            Err(error) => {
                let callback = timeout.getattr(intern!(py, "_on_timeout"))?;
                self.report(&callback, &PyTuple::empty(py), None, error)
            }
        }
    }

    /// Hands what a callback without a handle raised to the exception handler.
    #[cold]
    fn report(
        &self,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        error: PyErr,
    ) -> PyResult<()> {
        let handle = Handle::create(self.event_loop, callback, args, context, false)?;
        Handle::report(handle.bind(self.event_loop.py()), error)
    }

    /// Tells one of our own objects that a future is done.
    #[inline]
    fn tell(&self, watcher: Watcher, object: &Py<PyAny>, future: &Py<PyAny>) -> PyResult<()> {
        let py = self.event_loop.py();
        let (object, future) = (object.bind(py), future.bind(py));
        let Err(error) = watcher.tell(object, future) else { return Ok(()) };
        self.report(DoneCallback::of(watcher, object)?.as_any(), &PyTuple::new(py, [future])?, None, error)
    }

    /// Debug mode: reports an entry that took too long.
    #[cold]
    fn run_timed(&self, entry: Entry) -> PyResult<()> {
        let py = self.event_loop.py();
        let subject = entry.subject(self.event_loop);
        self.set_current_handle(&entry);
        let start = clock::now_ns();
        let outcome = self.run_entry(entry);
        let seconds = (clock::now_ns() - start) as f64 / 1e9;
        drop(self.event_loop.get().with_state(py, |state| state.current_handle.take()));
        let limit = self.event_loop.get().with_state(py, |state| state.slow_callback_seconds);
        if let (Some(subject), true) = (subject, seconds >= limit) {
            let subject = subject.bind(py);
            let shown = match subject.cast::<Handle>() {
                Ok(handle) => names::format_handle(py)?.call1((handle,))?,
                Err(_) => subject.repr()?.into_any(),
            };
            let text = intern!(py, "Executing %s took %.3f seconds");
            names::logger(py)?.call_method1(intern!(py, "warning"), (text, shown, seconds))?;
        }
        outcome
    }

    /// Notes the handle that runs: the exception handler tells where it was made.
    fn set_current_handle(&self, entry: &Entry) {
        let py = self.event_loop.py();
        let Entry::Handle(handle) = entry else { return };
        let handle = handle.clone_ref(py);
        drop(self.event_loop.get().with_state(py, |state| state.current_handle.replace(Some(handle))));
    }

    /// Sends what was written in this turn.
    fn flush(&mut self, mut written: Vec<Py<SocketTransport>>) -> PyResult<()> {
        let py = self.event_loop.py();
        for transport in written.drain(..) {
            SocketTransport::flush(transport.bind(py))?;
        }
        self.flushed = written;
        Ok(())
    }

    #[cold]
    fn report_panic(&self, panic: &(dyn std::any::Any + Send)) -> PyResult<()> {
        let py = self.event_loop.py();
        let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => *text,
            (_, Some(text)) => text.as_str(),
            _ => "unknown panic",
        };
        let context = PyDict::new(py);
        context.set_item("message", "Internal error in the event loop (please report it)")?;
        context.set_item("exception", PyRuntimeError::new_err(text.to_owned()))?;
        match self.event_loop.call_method1(intern!(py, "call_exception_handler"), (context,)) {
            Err(error) if leaves_the_loop(py, &error) => Err(error),
            Err(error) => {
                crate::error::unraisable(py, error, Some(self.event_loop));
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }
}
