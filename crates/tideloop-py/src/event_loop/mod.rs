//! The event loop: its state, and what the rest of the crate may ask of it.
//!
//! Everything here belongs to the thread that runs the loop, but for the inbox, which any thread may push to. The
//! Python half (`python/tideloop/_loop.py`) derives the public `EventLoop` from the class below and adds what is
//! not hot: starting and closing, executors, signals, name look-up, making connections.

mod arrival;
mod clock;
mod entry;
mod fork;
mod handle;
mod io;
mod methods;
mod owners;
mod park;
mod running;
mod scheduling;
mod stuck;
mod timer;
mod turn;
mod watchers;

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::inbox::Inbox;
use tideloop_core::ready::ReadyQueue;
use tideloop_core::registrations::{Registrations, Token};
use tideloop_core::timers::TimerHeap;
use tideloop_sys::datagram::Batch;
use tideloop_sys::poll::Poller;
use tideloop_sys::timer::TimerFd;
use tideloop_sys::wake::WakeFd;

use crate::cell::{Cell, Slot};
use crate::transports::SocketTransport;

pub use arrival::{Arrival, Waker};
pub use entry::{Entry, Readiness};
pub use fork::generation as fork_generation;
pub use handle::{Handle, TimerHandle};
pub use io::{Interest, IoTarget};
pub use timer::Timer;
pub(crate) use watchers::{Direction, Wanted};

/// Seconds; asyncio's default for `loop.slow_callback_duration`.
const SLOW_CALLBACK_SECONDS: f64 = 0.1;

/// What the loop knows about itself.
pub(crate) struct LoopState {
    pub ready: ReadyQueue<Entry>,
    pub timers: TimerHeap<Timer>,
    pub registrations: Registrations<io::Registration>,
    /// The registration of each descriptor: a descriptor has one.
    pub by_fd: HashMap<RawFd, Token>,
    /// Transports whose descriptors are not registered at the moment.
    pub unwatched: HashMap<RawFd, Py<PyWeakrefReference>>,
    /// Transports that were written to in this turn.
    pub to_flush: Vec<Py<SocketTransport>>,
    /// The receive buffer that all connections share; empty while somebody reads into it.
    pub read_buffer: Box<[u8]>,
    /// The memory for datagrams that all their transports share; `None` while one receives, and before the first.
    pub datagrams: Option<Batch>,
    pub stopping: bool,
    /// It was running when this process was forked off: it is the parent's.
    pub inherited_running: bool,
    pub closed: bool,
    pub debug: bool,
    pub slow_callback_seconds: f64,
    /// The read end of the pair that signals are written to.
    pub signals_fd: Option<RawFd>,
    /// The identifier of the thread that runs the loop.
    pub thread: Option<u64>,
    /// The handle that runs, in debug mode.
    pub current_handle: Slot<Handle>,
    pub task_factory: Slot,
    /// Tasks start at once: the factory is `asyncio.eager_task_factory`.
    pub eager_tasks: bool,
    /// Tasks are `_asyncio.Task` objects, for tools that look for those.
    pub asyncio_tasks: bool,
}

/// The descriptors behind the loop, replaced as a whole in the child of a fork.
pub(crate) struct Kernel {
    pub poller: Poller,
    pub wake: WakeFd,
    pub timer: TimerFd,
}

/// An asyncio event loop without its Python half.
#[pyclass(frozen, subclass, weakref, module = "tideloop._native")]
pub struct EventLoop {
    state: Cell<LoopState>,
    /// None once the loop is closed.
    kernel: Cell<Option<Arc<Kernel>>>,
    inbox: Inbox<Arrival>,
    clock: clock::LoopClock,
    /// The task that runs, as far as asyncio does not keep it.
    pub(crate) current: crate::task::current::Current,
    /// No derived class replaces `call_soon`, so that entries may go to the ready queue directly.
    schedules_natively: bool,
    /// No derived class replaces the clock, `call_later` or `call_at`, so that timers need no handles.
    times_natively: bool,
    /// No derived class replaces `create_task`.
    creates_natively: bool,
    /// The process it was made in, or has descriptors of its own in.
    fork_generation: AtomicU64,
}

// Python's allocator promises no more.
const _: () = assert!(align_of::<EventLoop>() <= 16);

impl EventLoop {
    /// The native loop behind `object`, if it is one.
    #[inline]
    pub fn of<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, EventLoop>> {
        object.cast::<EventLoop>().ok()
    }

    /// Appends to the ready queue. The caller is on the loop's own thread, or the loop does not run.
    #[inline]
    pub fn push(&self, py: Python<'_>, entry: Entry) {
        self.state.with(py, |state| state.ready.push(entry));
    }

    /// Whether entries may bypass `call_soon`: it is not overridden.
    #[inline]
    pub fn schedules_natively(&self) -> bool {
        self.schedules_natively
    }

    /// Whether timers may bypass `call_later` and `call_at`: they are not overridden.
    #[inline]
    pub fn times_natively(&self) -> bool {
        self.times_natively
    }

    /// Whether tasks may be made without calling `create_task`: it is not overridden.
    #[inline]
    pub fn creates_natively(&self) -> bool {
        self.creates_natively
    }

    /// Whether debug mode is on.
    #[inline]
    pub fn debug(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.debug)
    }

    /// Whether the loop was closed.
    #[inline]
    pub fn closed(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.closed)
    }

    /// [`Self::check_usable`], and whether debug mode is on: what every scheduling call asks first.
    #[inline]
    pub(crate) fn usable_and_debug(&self, py: Python<'_>) -> PyResult<bool> {
        let (closed, debug) = self.state.with(py, |state| (state.closed, state.debug));
        if closed {
            return Err(PyRuntimeError::new_err("Event loop is closed"));
        }
        self.check_not_inherited(py)?;
        Ok(debug)
    }

    /// `RuntimeError` where the loop is closed, or belongs to the process that this one was forked from.
    #[inline]
    pub fn check_usable(&self, py: Python<'_>) -> PyResult<()> {
        self.usable_and_debug(py).map(|_| ())
    }

    /// Gives `f` the receive buffer that all connections of the loop share. `f` reads into it and copies out; it
    /// runs no Python.
    pub fn with_read_buffer<R>(&self, py: Python<'_>, f: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut buffer = self.state.with(py, |state| std::mem::take(&mut state.read_buffer));
        if buffer.is_empty() {
            buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        }
        let result = f(&mut buffer);
        self.state.with(py, |state| state.read_buffer = buffer);
        result
    }

    /// The memory for datagrams that all their transports share; to be given back.
    pub fn take_batch(&self, py: Python<'_>) -> Batch {
        self.state.with(py, |state| state.datagrams.take()).unwrap_or_default()
    }

    /// Gives the memory for datagrams back.
    pub fn return_batch(&self, py: Python<'_>, batch: Batch) {
        self.state.with(py, |state| state.datagrams = Some(batch));
    }

    /// Has the transport's `flush` called at the end of this turn.
    pub fn flush_at_end_of_turn(&self, py: Python<'_>, transport: Py<SocketTransport>) {
        self.state.with(py, |state| state.to_flush.push(transport));
    }

    /// The loop's state; see [`Cell::with`] for what `f` must not do.
    #[inline]
    pub(crate) fn with_state<R>(&self, py: Python<'_>, f: impl FnOnce(&mut LoopState) -> R) -> R {
        self.state.with(py, f)
    }

    pub(crate) fn kernel(&self, py: Python<'_>) -> PyResult<Arc<Kernel>> {
        self.check_not_inherited(py)?;
        let kernel = self.kernel.with(py, |kernel| kernel.as_ref().map(Arc::clone));
        kernel.ok_or_else(|| PyRuntimeError::new_err("Event loop is closed"))
    }
}

/// Bytes read from one connection in one turn at most, and the size of the shared receive buffer.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;

impl LoopState {
    fn new() -> Self {
        Self {
            ready: ReadyQueue::new(),
            timers: TimerHeap::new(),
            registrations: Registrations::new(),
            by_fd: HashMap::new(),
            unwatched: HashMap::new(),
            to_flush: Vec::new(),
            read_buffer: Box::default(),
            datagrams: None,
            stopping: false,
            inherited_running: false,
            closed: false,
            debug: false,
            slow_callback_seconds: SLOW_CALLBACK_SECONDS,
            signals_fd: None,
            thread: None,
            current_handle: Slot::EMPTY,
            task_factory: Slot::EMPTY,
            eager_tasks: false,
            asyncio_tasks: false,
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for entry in self.ready.iter() {
            entry.visit(visit)?;
        }
        for timer in self.timers.iter() {
            timer.visit(visit)?;
        }
        for registration in self.registrations.iter() {
            registration.visit(visit)?;
        }
        for reference in self.unwatched.values() {
            visit.call(reference)?;
        }
        for transport in &self.to_flush {
            visit.call(transport)?;
        }
        self.current_handle.visit(visit)?;
        self.task_factory.visit(visit)
    }
}

impl Kernel {
    fn open() -> std::io::Result<Self> {
        let kernel = Self { poller: Poller::new()?, wake: WakeFd::new()?, timer: TimerFd::new()? };
        let readable = tideloop_sys::poll::Interest::READ;
        kernel.poller.add(kernel.wake.as_raw_fd(), io::TOKEN_WAKE, readable)?;
        kernel.poller.add(kernel.timer.as_raw_fd(), io::TOKEN_TIMER, readable)?;
        Ok(kernel)
    }
}

/// Everything Python that a loop held, for dropping outside of its cell.
#[derive(Default)]
pub(crate) struct Contents {
    _ready: Vec<Entry>,
    _timers: Vec<Timer>,
    registrations: Vec<io::Registration>,
    _unwatched: HashMap<RawFd, Py<PyWeakrefReference>>,
    _transports: Vec<Py<SocketTransport>>,
    _current_handle: Option<Py<Handle>>,
    _factory: Option<Py<PyAny>>,
}

impl LoopState {
    /// Empties the state.
    #[must_use = "drop it outside of the cell"]
    pub(crate) fn take_contents(&mut self) -> Contents {
        self.by_fd.clear();
        Contents {
            _ready: self.ready.drain(),
            _timers: self.timers.drain(),
            registrations: self.registrations.drain(),
            _unwatched: std::mem::take(&mut self.unwatched),
            _transports: std::mem::take(&mut self.to_flush),
            _current_handle: self.current_handle.take(),
            _factory: self.task_factory.take(),
        }
    }
}

impl Contents {
    /// Sockets that were lent to the loop are given back.
    pub(crate) fn let_go(&self, py: Python<'_>) {
        for registration in &self.registrations {
            registration.let_go(py);
        }
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
        Python::attach(|py| while self.take_from_inbox(py).is_some() {});
    }
}

/// Adds what is not a class.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    handle::set_up(module.py())?;
    crate::slots::loop_methods::install(module.py())?;
    fork::init(module)
}
