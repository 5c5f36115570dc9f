//! `Job`: one call that a pool has to make, and where what comes of it goes.
//!
//! A job is *queued* until a worker takes it, then it *runs*, then it is *done*. While it is queued, whoever waits for
//! it may give up: it is *dead* then, holds nothing any more, and the worker that comes across it passes on. A call that
//! runs cannot be stopped; if nobody wants its result any more its token is cancelled, which it may ask for.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_sys::ticks;

use super::future::{Change, ThreadFuture};
use super::wake::Wake;
use super::{CancelToken, Core};
use crate::cell::{Cell, Slot};
use crate::error::unraisable;
use crate::event_loop::EventLoop;
use crate::slots::{self, Slotted, calls};
use crate::task::Future;
use crate::{names, slots::OFFSET_OF_ROOT};

const QUEUED: u8 = 0;
const RUNS: u8 = 1;
const DONE: u8 = 2;
const DEAD: u8 = 3;

/// What a pool is asked to do.
pub struct Wanted<'a, 'py> {
    pub function: &'a Bound<'py, PyAny>,
    pub arguments: &'a Bound<'py, PyTuple>,
    pub keywords: Option<&'a Bound<'py, PyDict>>,
    pub context: Option<&'a Bound<'py, PyAny>>,
    pub priority: i64,
    pub token: Option<&'a Bound<'py, CancelToken>>,
}

pub(super) struct JobState {
    function: Slot,
    arguments: Slot<PyTuple>,
    keywords: Slot<PyDict>,
    context: Slot,
    token: Slot<CancelToken>,
    /// A `ThreadFuture`, or a future of an event loop of ours.
    target: Slot,
    core: Slot<Core>,
    /// In ticks.
    queued_at: u64,
}

/// One call.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Job {
    /// Beside the cell, because the queue's owner looks at it from inside of its own.
    phase: AtomicU8,
    state: Cell<JobState>,
}

impl Slotted for Job {
    const OFFSET: usize = OFFSET_OF_ROOT;
}

thread_local! {
    /// The job that runs in this thread.
    static RUNNING: RefCell<Option<Py<Job>>> = const { RefCell::new(None) };
}

/// How the call went.
enum Outcome {
    Returned(Py<PyAny>),
    Raised(Py<PyAny>),
}

/// What a job held, for dropping outside of its cell.
type Contents = (Option<Py<PyAny>>, Option<Py<PyTuple>>, Option<Py<PyDict>>, Option<Py<PyAny>>);

impl JobState {
    fn take_call(&mut self) -> Contents {
        (self.function.take(), self.arguments.take(), self.keywords.take(), self.context.take())
    }

    fn take_rest(&mut self) -> impl Sized + use<> {
        (self.token.take(), self.target.take(), self.core.take())
    }
}

impl Job {
    pub fn blank() -> Self {
        let state = JobState {
            function: Slot::EMPTY,
            arguments: Slot::EMPTY,
            keywords: Slot::EMPTY,
            context: Slot::EMPTY,
            token: Slot::EMPTY,
            target: Slot::EMPTY,
            core: Slot::EMPTY,
            queued_at: 0,
        };
        Self { phase: AtomicU8::new(QUEUED), state: Cell::new(state) }
    }

    /// A job for `core` whose outcome goes to `target`.
    pub fn create<'py>(
        wanted: &Wanted<'_, 'py>,
        core: &Bound<'py, Core>,
        target: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let state = JobState {
            function: Slot::holding(wanted.function.clone().unbind()),
            arguments: Slot::holding(wanted.arguments.clone().unbind()),
            keywords: Slot::maybe(wanted.keywords.map(|keywords| keywords.clone().unbind())),
            context: Slot::maybe(wanted.context.map(|context| context.clone().unbind())),
            token: Slot::maybe(wanted.token.map(|token| token.clone().unbind())),
            target: Slot::holding(target.unbind()),
            core: Slot::holding(core.clone().unbind()),
            queued_at: ticks::now(),
        };
        slots::create(core.py(), Self { phase: AtomicU8::new(QUEUED), state: Cell::new(state) })
    }

    /// Whether it is still to be done.
    pub fn is_queued(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == QUEUED
    }

    /// Nobody waits for it any more: if it is queued it dies, and if it runs its token is cancelled.
    pub fn abandon(slf: &Bound<'_, Self>) {
        let py = slf.py();
        match slf.get().phase.load(Ordering::Relaxed) {
            QUEUED => {
                slf.get().phase.store(DEAD, Ordering::Relaxed);
                Self::leave_token(slf);
                let (call, core, rest) = slf.get().state.with(py, |state| {
                    let core = state.core.cloned(py);
                    (state.take_call(), core, state.take_rest())
                });
                if let Some(core) = core {
                    core.get().note_cancelled(py);
                    core.get().note_dead(py);
                }
                drop((call, rest));
            }
            RUNS => match Self::token(slf) {
                Ok(token) => token.get().set(py),
                Err(error) => unraisable(py, error, Some(slf)),
            },
            _ => {}
        }
    }

    /// Its token is cancelled: if it has not begun, whoever waits for it waits no longer.
    pub fn call_off(slf: &Bound<'_, Self>) {
        let target = slf.get().state.with(slf.py(), |state| state.target.cloned(slf.py()));
        if slf.get().is_queued()
            && let Some(target) = target
            && let Err(error) = cancel(target.bind(slf.py()))
        {
            unraisable(slf.py(), error, Some(slf));
        }
    }

    /// The token is not to call it off any more.
    fn leave_token(slf: &Bound<'_, Self>) {
        if let Some(token) = slf.get().state.with(slf.py(), |state| state.token.cloned(slf.py())) {
            token.get().forget(slf);
        }
    }

    /// The token, made when it is first asked for.
    fn token<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, CancelToken>> {
        let py = slf.py();
        if let Some(token) = slf.get().state.with(py, |state| state.token.cloned(py)) {
            return Ok(token.into_bound(py));
        }
        let token = Bound::new(py, CancelToken::default())?;
        let old = slf.get().state.with(py, |state| state.token.replace(Some(token.clone().unbind())));
        drop(old);
        Ok(token)
    }

    /// The token of the job that runs in this thread.
    pub fn current_token(py: Python<'_>) -> PyResult<Py<CancelToken>> {
        let job = RUNNING.with_borrow(|job| job.as_ref().map(|job| job.clone_ref(py)));
        match job {
            Some(job) => Self::token(job.bind(py)).map(Bound::unbind),
            None => Err(PyRuntimeError::new_err("no function of a thread pool runs in this thread")),
        }
    }

    /// Does it right here if it is still queued and the caller is a worker of the same pool, which has no other one to
    /// spare: who waits for a job of the pool that one works for oneself might wait for ever.
    pub fn help(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let core_of = |job: &Self| job.state.with(py, |state| state.core.cloned(py));
        let mine = RUNNING.with_borrow(|job| job.as_ref().map(|job| job.clone_ref(py)));
        let (Some(mine), Some(core)) = (mine, core_of(slf.get())) else { return Ok(()) };
        let same = core_of(mine.get()).is_some_and(|other| other.is(&core));
        if !same || !slf.get().is_queued() || core.get().has_spare_worker(py) {
            return Ok(());
        }
        // The job stays in the queue, and is passed over there: it counts as dead.
        core.get().note_dead(py);
        // In another worker it would not see the context variables of the job that waits, nor change them.
        let context = names::context_class(py)?.call0()?;
        slf.get().state.with(py, |state| {
            if state.context.is_none() {
                state.context = Slot::holding(context.unbind());
            }
        });
        Self::run(slf)?.keep();
        Ok(())
    }

    /// Calls the function and delivers what comes of it; who is to be woken by that.
    pub fn run(slf: &Bound<'_, Self>) -> PyResult<Wake> {
        let py = slf.py();
        let this = slf.get();
        if !this.is_queued() {
            return Ok(Wake::Nobody);
        }
        let (target, token, core) =
            this.state.with(py, |state| (state.target.cloned(py), state.token.cloned(py), state.core.cloned(py)));
        let (Some(target), Some(core)) = (target, core) else { return Ok(Wake::Nobody) };
        let target = target.bind(py);
        this.phase.store(RUNS, Ordering::Relaxed);
        let unwanted = token.is_some_and(|token| {
            token.get().forget(slf);
            token.get().is_cancelled()
        });
        if unwanted || !begin(target)? {
            this.phase.store(DONE, Ordering::Relaxed);
            core.get().note_cancelled(py);
            drop(this.state.with(py, |state| (state.take_call(), state.take_rest())));
            return if unwanted { cancel(target).map(|()| Wake::Nobody) } else { Ok(Wake::Nobody) };
        }
        let (call, queued_at) = this.state.with(py, |state| (state.take_call(), state.queued_at));
        let begun_at = ticks::now();
        let outer = RUNNING.replace(Some(slf.clone().unbind()));
        let outcome = make(py, call);
        let own = RUNNING.replace(outer);
        drop(own);
        this.phase.store(DONE, Ordering::Relaxed);
        let failed = matches!(outcome, Outcome::Raised(_));
        core.get().note_done(py, failed, begun_at.wrapping_sub(queued_at), ticks::now().wrapping_sub(begun_at));
        let rest = this.state.with(py, JobState::take_rest);
        drop(rest);
        deliver(target, outcome)
    }

    /// Ends a job that no worker will do: its future is cancelled, or fails with `error`.
    pub fn give_up(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let (target, core) = slf.get().state.with(py, |state| (state.target.cloned(py), state.core.cloned(py)));
        let (Some(target), Some(core)) = (target, core) else { return Ok(()) };
        slf.get().phase.store(DONE, Ordering::Relaxed);
        Self::leave_token(slf);
        core.get().note_cancelled(py);
        match error {
            Some(error) => deliver(target.bind(py), Outcome::Raised(error.clone().unbind())).map(Wake::keep),
            None => cancel(target.bind(py)),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.function.visit(visit)?;
            state.arguments.visit(visit)?;
            state.keywords.visit(visit)?;
            state.context.visit(visit)?;
            state.token.visit(visit)?;
            state.target.visit(visit)?;
            state.core.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }
}

#[pymethods]
impl Job {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), |state| (state.take_call(), state.take_rest())));
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        drop((state.take_call(), state.take_rest()));
    }
}

/// The call itself. What it was given is let go before anybody is told of its end.
fn make(py: Python<'_>, (function, arguments, keywords, context): Contents) -> Outcome {
    let (Some(function), Some(arguments)) = (function, arguments) else {
        let error = PyRuntimeError::new_err("a job of a thread pool was taken apart before it began");
        return Outcome::Raised(error.into_value(py).into_any());
    };
    let call = || calls::call_or_hang(function.bind(py), arguments.bind(py), keywords.as_ref().map(|k| k.bind(py)));
    let outcome = match &context {
        Some(context) => slots::in_context(context.bind(py), call).and_then(|outcome| outcome),
        None => call(),
    };
    match outcome {
        Ok(result) => Outcome::Returned(result.unbind()),
        Err(error) => Outcome::Raised(error.into_value(py).into_any()),
    }
}

/// Whether whoever waits still wants it.
fn begin(target: &Bound<'_, PyAny>) -> PyResult<bool> {
    match target.cast::<ThreadFuture>() {
        Ok(future) => Ok(ThreadFuture::begin(future)?.unwrap_or(false)),
        Err(_) => Ok(target.cast::<Future>().is_ok_and(|future| !future.get().is_done(target.py()))),
    }
}

/// Cancels what waits for a job that will not be done.
fn cancel(target: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = target.py();
    if let Ok(future) = target.cast::<ThreadFuture>() {
        return ThreadFuture::cancel_native(future).map(drop);
    }
    let Ok(future) = target.cast::<Future>() else { return Ok(()) };
    let event_loop = future.get().event_loop(py)?;
    let cancelling = future.getattr(intern!(py, "cancel"))?;
    match event_loop.as_any().call_method1(intern!(py, "call_soon_threadsafe"), (cancelling,)) {
        // Nobody waits in a loop that is closed.
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Hands the outcome to the future: to a thread's at once, to a loop's through the loop's inbox.
fn deliver(target: &Bound<'_, PyAny>, outcome: Outcome) -> PyResult<Wake> {
    let py = target.py();
    let (outcome, failed) = match outcome {
        Outcome::Returned(result) => (result, false),
        Outcome::Raised(exception) => (exception, true),
    };
    if let Ok(future) = target.cast::<ThreadFuture>() {
        return match ThreadFuture::finish(future, outcome, failed)? {
            Change::Made(told) => ThreadFuture::tell(future, told),
            Change::Refused(_) => Ok(Wake::Nobody),
        };
    }
    let Ok(future) = target.cast::<Future>() else { return Ok(Wake::Nobody) };
    let waker = EventLoop::settle_from_thread(py, future, outcome, failed)?;
    Ok(waker.map_or(Wake::Nobody, Wake::Loop))
}

/// In the loop: completes a future with what a thread has sent, unless it is done.
pub fn settle(future: &Bound<'_, Future>, outcome: Bound<'_, PyAny>, failed: bool) -> PyResult<()> {
    let py = future.py();
    if !failed {
        return Future::finish_if_pending(future, outcome).map(drop);
    }
    if future.get().is_done(py) {
        return Ok(());
    }
    let known = outcome.cast::<PyBaseException>().is_ok_and(|exception| {
        if exception.is_instance_of::<PyStopIteration>() {
            return true;
        }
        let class = exception.get_type();
        [names::thread_cancelled_error(py), names::thread_invalid_state_error(py)]
            .into_iter()
            .flatten()
            .any(|other| class.is(other))
    });
    // concurrent.futures has classes of its own for what asyncio calls by the same name, and a future takes no StopIteration.
    let outcome = if known {
        py.import(intern!(py, "tideloop._executors"))?.call_method1(intern!(py, "asyncio_error"), (outcome,))?
    } else {
        outcome
    };
    match Future::fail(future, &outcome) {
        Ok(()) => Ok(()),
        Err(refused) => Future::fail(future, refused.value(py)),
    }
}
