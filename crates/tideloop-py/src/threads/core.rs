//! `Core`: what the workers of a pool share. The public pool is another object, because workers must not keep it alive:
//! a pool that nobody refers to any more closes itself, and its workers end when the queue is empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::job_queue::JobQueue;
use tideloop_sys::flag::Flag;
use tideloop_sys::ticks;

use super::job::Wanted;
use super::{CancelToken, Job, ThreadFuture};
use crate::cell::{Cell, Slot};
use crate::event_loop::EventLoop;
use crate::names;
use crate::task::{self, WaitReason};

/// The interpreter is about to end: no pool takes jobs any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// One worker, while its thread lives.
struct Member {
    /// What it sleeps on.
    flag: Arc<Flag>,
    job: Slot<Job>,
}

#[derive(Default)]
struct Figures {
    submitted: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    longest_wait: u64,
    longest_run: u64,
    workers_max: usize,
}

struct CoreState {
    queue: JobQueue<Py<Job>>,
    /// By number; None where a thread has ended, or is being started.
    members: Vec<Option<Member>>,
    /// Workers whose threads live or are being started.
    alive: usize,
    /// The numbers of those that sleep, the last one to fall asleep at the end.
    idle: Vec<usize>,
    running: usize,
    workers_max: usize,
    workers_min: usize,
    idle_max: Option<Duration>,
    closing: bool,
    /// Why no job is taken any more: a worker could not be initialized.
    broken: Option<String>,
    /// Called with a number, it starts that worker's thread.
    start: Slot,
    figures: Figures,
}

/// The half of a thread pool that its workers know.
#[pyclass(frozen, name = "ThreadPoolCore", module = "tideloop._native")]
pub struct Core {
    state: Cell<CoreState>,
}

/// What a worker does next.
pub(super) enum Next {
    Do(Py<Job>),
    Sleep(Arc<Flag>, Option<Duration>),
    End,
}

/// What a new job needs.
enum Need {
    Nothing,
    Wake(Arc<Flag>),
    Thread(usize),
}

impl CoreState {
    fn need(&mut self) -> Need {
        if let Some(number) = self.idle.pop() {
            let member = self.members.get(number).and_then(Option::as_ref);
            return member.map_or(Need::Nothing, |member| Need::Wake(Arc::clone(&member.flag)));
        }
        if self.alive >= self.workers_max {
            return Need::Nothing;
        }
        self.alive += 1;
        self.figures.workers_max = self.figures.workers_max.max(self.alive);
        Need::Thread(self.vacant_number())
    }

    /// The lowest number that no worker has.
    fn vacant_number(&mut self) -> usize {
        let vacant = self.members.iter().position(Option::is_none);
        let number = vacant.unwrap_or(self.members.len());
        let member = Member { flag: Arc::default(), job: Slot::EMPTY };
        match self.members.get_mut(number) {
            Some(place) => *place = Some(member),
            None => self.members.push(Some(member)),
        }
        number
    }

    fn flags_of_all(&self) -> Vec<Arc<Flag>> {
        self.members.iter().flatten().map(|member| Arc::clone(&member.flag)).collect()
    }
}

impl Core {
    /// Whether somebody could do another job: a worker sleeps, or a thread may be started.
    pub fn has_spare_worker(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.idle.is_empty() || state.alive < state.workers_max)
    }

    /// A job in the queue has died.
    pub fn note_dead(&self, py: Python<'_>) {
        let removed = self.state.with(py, |state| {
            if state.queue.note_dead() { state.queue.sweep(|job| !job.get().is_queued()) } else { Vec::new() }
        });
        drop(removed);
    }

    /// A job was not done because nobody wanted it, or because the pool has ended.
    pub fn note_cancelled(&self, py: Python<'_>) {
        self.state.with(py, |state| state.figures.cancelled += 1);
    }

    /// A job is done.
    pub fn note_done(&self, py: Python<'_>, failed: bool, waited: u64, ran: u64) {
        self.state.with(py, |state| {
            let figures = &mut state.figures;
            if failed {
                figures.failed += 1
            } else {
                figures.completed += 1
            }
            figures.longest_wait = figures.longest_wait.max(waited);
            figures.longest_run = figures.longest_run.max(ran);
        });
    }

    /// What worker `number` does next. `timed_out`: it has slept for as long as it may.
    pub(super) fn next(&self, py: Python<'_>, number: usize, timed_out: bool) -> Next {
        let (next, dead) = self.state.with(py, |state| {
            let mut dead = Vec::new();
            while let Some(job) = state.queue.pop() {
                if !job.get().is_queued() {
                    state.queue.note_dead_popped();
                    dead.push(job);
                    continue;
                }
                let Some(member) = state.members.get_mut(number).and_then(Option::as_mut) else {
                    // The child of a fork: this thread is the parent's worker no more.
                    state.queue.push(0, job);
                    return (Next::End, dead);
                };
                std::mem::forget(member.job.replace(Some(job.clone_ref(py))));
                state.running += 1;
                return (Next::Do(job), dead);
            }
            let too_many = timed_out && state.alive > state.workers_min && state.idle.contains(&number);
            let Some(Some(member)) = state.members.get(number) else { return (Next::End, dead) };
            if state.closing || too_many {
                state.idle.retain(|idle| *idle != number);
                return (Next::End, dead);
            }
            if !state.idle.contains(&number) {
                state.idle.push(number);
            }
            let may_shrink = state.alive > state.workers_min;
            (Next::Sleep(Arc::clone(&member.flag), state.idle_max.filter(|_| may_shrink)), dead)
        });
        drop(dead);
        next
    }

    /// Worker `number` has done its job.
    pub(super) fn job_done(&self, py: Python<'_>, number: usize) {
        let job = self.state.with(py, |state| {
            let member = state.members.get_mut(number).and_then(Option::as_mut)?;
            state.running -= 1;
            member.job.take()
        });
        drop(job);
    }

    /// Worker `number` ends, or was never started.
    pub(super) fn gone(&self, py: Python<'_>, number: usize) {
        let member = self.state.with(py, |state| {
            let member = state.members.get_mut(number).and_then(Option::take)?;
            state.alive -= 1;
            state.idle.retain(|idle| *idle != number);
            Some(member)
        });
        if let Some(mut member) = member {
            drop(member.job.take());
        }
    }

    /// The errors that `ThreadPoolExecutor.submit` raises.
    fn check_open(&self, py: Python<'_>) -> PyResult<()> {
        let (closing, broken) = self.state.with(py, |state| (state.closing, state.broken.clone()));
        if let Some(why) = broken {
            return Err(PyErr::from_value(names::broken_thread_pool(py)?.call1((why,))?));
        }
        if ENDING.load(Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("cannot schedule new futures after interpreter shutdown"));
        }
        if closing {
            return Err(PyRuntimeError::new_err("cannot schedule new futures after shutdown"));
        }
        Ok(())
    }

    /// Queues a job and sees to it that somebody does it.
    fn add(
        slf: &Bound<'_, Self>,
        job: Bound<'_, Job>,
        priority: i64,
        token: Option<&Bound<'_, CancelToken>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let queued = job.clone().unbind();
        let need = slf.get().state.with(py, |state| {
            state.queue.push(priority, queued);
            state.figures.submitted += 1;
            state.need()
        });
        if let Some(token) = token {
            token.get().watch(&job);
        }
        match need {
            Need::Nothing => Ok(()),
            Need::Wake(flag) => {
                flag.set();
                Ok(())
            }
            Need::Thread(number) => Self::start_thread(slf, &job, number),
        }
    }

    #[cold]
    fn start_thread(slf: &Bound<'_, Self>, job: &Bound<'_, Job>, number: usize) -> PyResult<()> {
        let py = slf.py();
        let start = slf.get().state.with(py, |state| state.start.cloned(py));
        let Some(start) = start else { return Ok(()) };
        let error = match start.bind(py).call1((number,)) {
            Ok(interrupt) if interrupt.is_none() => return Ok(()),
            Ok(interrupt) => return Err(PyErr::from_value(interrupt)), // the worker runs
            Err(error) => error,
        };
        slf.get().gone(py, number);
        if slf.get().state.with(py, |state| state.alive > 0) {
            // Other workers will come to it: only Ctrl+C and the like concern whoever has submitted it.
            return if error.is_instance_of::<PyException>(py) { Ok(()) } else { Err(error) };
        }
        Job::abandon(job);
        Err(error)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            for job in state.queue.iter() {
                visit.call(job)?;
            }
            for member in state.members.iter().flatten() {
                member.job.visit(visit)?;
            }
            state.start.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }

    /// Everything that it holds, for dropping outside of the cell.
    fn take_contents(state: &mut CoreState) -> impl Sized + use<> {
        let jobs: Vec<_> = state.members.iter_mut().flatten().map(|member| member.job.take()).collect();
        (state.queue.drain(), jobs, state.start.take())
    }
}

#[pymethods]
impl Core {
    #[new]
    fn new(max_workers: usize, min_workers: usize, idle_seconds: Option<f64>) -> Self {
        Self {
            state: Cell::new(CoreState {
                queue: JobQueue::new(),
                members: Vec::new(),
                alive: 0,
                idle: Vec::new(),
                running: 0,
                workers_max: max_workers,
                workers_min: min_workers,
                idle_max: idle_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                closing: false,
                broken: None,
                start: Slot::EMPTY,
                figures: Figures::default(),
            }),
        }
    }

    /// Who starts a worker's thread, given its number.
    fn set_starter(&self, py: Python<'_>, start: Py<PyAny>) {
        drop(self.state.with(py, |state| state.start.replace(Some(start))));
    }

    /// Queues a call; its future.
    #[pyo3(signature = (function, arguments, keywords, context=None, priority=0, token=None))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
        context: Option<&Bound<'py, PyAny>>,
        priority: i64,
        token: Option<&Bound<'py, CancelToken>>,
    ) -> PyResult<Bound<'py, ThreadFuture>> {
        let py = slf.py();
        slf.get().check_open(py)?;
        let wanted = Wanted { function, arguments, keywords, context, priority, token };
        let future = ThreadFuture::create(py)?;
        let job = Job::create(&wanted, slf, future.clone().into_any())?;
        future.get().belongs_to(py, job.clone().unbind());
        Self::add(slf, job, priority, token)?;
        Ok(future)
    }

    /// Queues a call whose outcome goes straight to a loop of ours; the loop's future.
    #[pyo3(signature = (event_loop, function, arguments, keywords=None, context=None, priority=0, token=None))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's")]
    fn submit_from_loop<'py>(
        slf: &Bound<'py, Self>,
        event_loop: &Bound<'py, EventLoop>,
        function: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        keywords: Option<&Bound<'py, PyDict>>,
        context: Option<&Bound<'py, PyAny>>,
        priority: i64,
        token: Option<&Bound<'py, CancelToken>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().check_open(py)?;
        let wanted = Wanted { function, arguments, keywords, context, priority, token };
        let future = task::create_future(py, event_loop)?;
        let job = Job::create(&wanted, slf, future.clone().into_any())?;
        future.get().wait_for_object(py, WaitReason::Job, job.clone().into_any().unbind());
        Self::add(slf, job, priority, token)?;
        Ok(future.into_any())
    }

    /// The main function of worker `number`'s thread.
    fn work(slf: &Bound<'_, Self>, number: usize) -> PyResult<()> {
        super::worker::work(slf, number)
    }

    /// Worker `number` has ended without having begun.
    #[pyo3(name = "gone")]
    fn gone_from_python(&self, py: Python<'_>, number: usize) {
        self.gone(py, number);
    }

    /// Takes no more jobs; workers end when the queue is empty. With `cancel` it is emptied here.
    fn close(slf: &Bound<'_, Self>, cancel: bool) -> PyResult<()> {
        let py = slf.py();
        let (flags, jobs) = slf.get().state.with(py, |state| {
            state.closing = true;
            (state.flags_of_all(), if cancel { state.queue.sweep(|_| true) } else { Vec::new() })
        });
        for flag in flags {
            flag.set();
        }
        jobs.iter().try_for_each(|job| Job::give_up(job.bind(py), None))
    }

    /// Cancels the tokens of the jobs that run.
    fn stop_running(&self, py: Python<'_>) {
        for job in self.take_running(py) {
            Job::abandon(job.bind(py));
        }
    }

    /// Takes no more jobs and fails those that wait.
    fn break_down(slf: &Bound<'_, Self>, why: String) -> PyResult<()> {
        let py = slf.py();
        let jobs = slf.get().state.with(py, |state| {
            state.broken = Some(why.clone());
            state.queue.drain()
        });
        for job in jobs {
            let error = names::broken_thread_pool(py)?.call1((why.as_str(),))?;
            Job::give_up(job.bind(py), Some(&error))?;
        }
        Ok(())
    }

    /// In the child of a fork: the threads and their jobs are the parent's. The pool begins anew.
    fn forget_threads(slf: &Bound<'_, Self>, why: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let running = slf.get().take_running(py);
        let (queued, members) = slf.get().state.with(py, |state| {
            (state.alive, state.running) = (0, 0);
            state.idle.clear();
            (state.queue.drain(), std::mem::take(&mut state.members))
        });
        for mut member in members.into_iter().flatten() {
            drop(member.job.take());
        }
        queued.iter().try_for_each(|job| Job::give_up(job.bind(py), None))?;
        running.iter().try_for_each(|job| Job::give_up(job.bind(py), Some(why)))
    }

    /// Whether it takes no more jobs.
    #[getter]
    fn closing(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.closing)
    }

    /// Why it takes no more jobs, if a worker could not be initialized.
    #[getter]
    fn broken(&self, py: Python<'_>) -> Option<String> {
        self.state.with(py, |state| state.broken.clone())
    }

    /// The fields of `tideloop.threads.Statistics`, in their order.
    fn statistics(&self, py: Python<'_>) -> [(&'static str, f64); 10] {
        let seconds = |count: u64| count as f64 / ticks::per_us() as f64 / 1e6;
        self.state.with(py, |state| {
            let figures = &state.figures;
            [
                ("workers", state.alive as f64),
                ("idle", state.idle.len() as f64),
                ("queued", state.queue.alive() as f64),
                ("running", state.running as f64),
                ("submitted", figures.submitted as f64),
                ("completed", figures.completed as f64),
                ("failed", figures.failed as f64),
                ("cancelled", figures.cancelled as f64),
                ("longest_wait_seconds", seconds(figures.longest_wait)),
                ("longest_run_seconds", seconds(figures.longest_run)),
            ]
        })
    }

    /// No pool takes jobs from here on: the interpreter is about to end.
    #[staticmethod]
    fn end_all() {
        ENDING.store(true, Ordering::Relaxed);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), Self::take_contents));
    }
}

impl Core {
    fn take_running(&self, py: Python<'_>) -> Vec<Py<Job>> {
        self.state.with(py, |state| state.members.iter().flatten().filter_map(|member| member.job.cloned(py)).collect())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        drop(Self::take_contents(self.state.get_mut()));
    }
}
