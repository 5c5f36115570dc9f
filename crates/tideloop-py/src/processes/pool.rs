//! The threads that start children.
//!
//! They live as long as the process does: a child may have asked the kernel for a signal when its parent *thread* ends
//! (`PR_SET_PDEATHSIG`), and a thread that went home after a while would kill it. They have no Python of their own and
//! hold no lock of the interpreter's but for the jobs that are Python.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use tideloop_sys::spawn::{self, Child, Command, Failure};
use tideloop_sys::threads::block_all_signals;
use tideloop_sys::wake::WakeFd;

use crate::error::unraisable;
use crate::event_loop::fork_generation;

/// Threads while all goes well: one per processor, at least and at most so many. More would only compete with the loop.
const THREADS_USUAL: (usize, usize) = (2, 8);
/// Threads at most: as many programs may be slow to load (from a network, say) without holding up others.
const THREADS_MAX: usize = 32;
/// A thread that has been busy for longer with one child counts as held up; starting one takes about 1 ms.
const BUSY_TIME_MAX: Duration = Duration::from_millis(10);
/// Python's own frames live on the heap, but what it calls in `preexec_fn` may need a stack.
const THREAD_STACK_BYTES: usize = 1 << 20;

/// One thing to do.
pub enum Job {
    /// Start a child and tell of it under this number.
    Spawn(u64, Box<Command>, Arc<Outcomes>),
    /// Call this without arguments. It tells whom it concerns itself.
    Call(Py<PyAny>),
}

/// What became of children, for one loop to fetch.
pub struct Outcomes(Mutex<Ready>);

struct Ready {
    outcomes: Vec<(u64, Result<Child, Failure>)>,
    /// Readable when there is something. None: nobody fetches any more.
    wake: Option<WakeFd>,
}

/// A lock whose holder has panicked is as good as any: nothing is left half done under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outcomes {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Ready { outcomes: Vec::new(), wake: Some(WakeFd::new()?) })))
    }

    /// Readable when there is something to fetch; -1 after `close`.
    pub fn fd(&self) -> std::os::fd::RawFd {
        lock(&self.0).wake.as_ref().map_or(-1, WakeFd::as_raw_fd)
    }

    /// What there is by now.
    pub fn fetch(&self) -> Vec<(u64, Result<Child, Failure>)> {
        let mut ready = lock(&self.0);
        if let Some(wake) = &ready.wake {
            wake.drain();
        }
        std::mem::take(&mut ready.outcomes)
    }

    /// Ends what nobody will fetch: what is there, and what is still to come.
    pub fn close(&self) {
        let left = {
            let mut ready = lock(&self.0);
            ready.wake = None;
            std::mem::take(&mut ready.outcomes)
        };
        left.into_iter().filter_map(|(_, outcome)| outcome.ok()).for_each(|child| spawn::end(child.pid));
    }

    fn add(&self, number: u64, outcome: Result<Child, Failure>) {
        let mut ready = lock(&self.0);
        let Ready { outcomes, wake } = &mut *ready;
        if let Some(wake) = wake {
            outcomes.push((number, outcome));
            wake.wake();
        } else if let Ok(child) = outcome {
            drop(ready);
            spawn::end(child.pid);
        }
    }
}

/// The threads and what they have to do.
struct Pool {
    queue: Mutex<Queue>,
    wanted: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    /// When a job was last begun.
    begun: Option<Instant>,
}

impl Queue {
    /// Whether another thread is worth having for one more job.
    fn wants_thread(&self) -> bool {
        if self.idle > self.jobs.len() || self.threads >= THREADS_MAX {
            return false;
        }
        let (least, most) = THREADS_USUAL;
        let usual = std::thread::available_parallelism().map_or(least, |count| count.get().clamp(least, most));
        self.threads < usual || self.begun.is_some_and(|begun| begun.elapsed() > BUSY_TIME_MAX)
    }
}

/// The pool of this process, and the generation of forks that it belongs to: its threads do not exist in a child.
static POOL: Mutex<Option<(u64, Arc<Pool>)>> = Mutex::new(None);

/// Has the job done. An error when there is no thread and none can be made.
pub fn submit(_py: Python<'_>, job: Job) -> io::Result<()> {
    // Attached, so no fork can find this lock taken.
    let pool = {
        let mut place = lock(&POOL);
        match &*place {
            Some((generation, pool)) if *generation == fork_generation() => Arc::clone(pool),
            _ => {
                let pool = Arc::new(Pool { queue: Mutex::default(), wanted: Condvar::new() });
                if let Some((_, inherited)) = place.replace((fork_generation(), Arc::clone(&pool))) {
                    // A thread that is not there may have held its lock: it must not be looked into again.
                    std::mem::forget(inherited);
                }
                pool
            }
        }
    };
    pool.submit(job)
}

impl Pool {
    fn submit(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut queue = lock(&self.queue);
        if queue.wants_thread() {
            let pool = Arc::clone(self);
            let thread = std::thread::Builder::new().name("tideloop-spawn".to_owned()).stack_size(THREAD_STACK_BYTES);
            match thread.spawn(move || pool.work()) {
                Ok(_) => queue.threads += 1,
                Err(error) if queue.threads == 0 => return Err(error),
                Err(_) => {}
            }
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.wanted.notify_one();
        Ok(())
    }

    fn next(&self) -> Job {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.begun = Some(Instant::now());
                return job;
            }
            queue.idle += 1;
            queue = self.wanted.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn work(&self) {
        // Signals are for threads whose waits they are to end.
        let _ = block_all_signals();
        loop {
            match self.next() {
                Job::Spawn(number, command, outcomes) => {
                    let outcome = spawn::spawn(&command);
                    // Its descriptors are closed before anybody hears of the child.
                    drop(command);
                    outcomes.add(number, outcome);
                }
                Job::Call(function) => Python::attach(|py| {
                    if let Err(error) = function.bind(py).call0() {
                        unraisable(py, error, Some(function.bind(py)));
                    }
                    drop(function);
                }),
            }
        }
    }
}
