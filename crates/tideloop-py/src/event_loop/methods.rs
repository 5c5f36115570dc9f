//! The loop's methods that Python calls: arguments are checked here, the work is done by its neighbours. The hot
//! ones are called through `slots/loop_methods.rs`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::inbox::Inbox;

use super::clock::LoopClock;
use super::scheduling::seconds;
use super::watchers::Direction;
use super::{EventLoop, Handle, Kernel, LoopState, TimerHandle, fork, turn};
use crate::cell::Cell;
use crate::error::os_error;
use crate::task;
use crate::{names, slots};

#[pymethods]
impl EventLoop {
    #[new]
    #[classmethod]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        class: &Bound<'_, PyType>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let py = class.py();
        let kernel = Kernel::open().map_err(|error| os_error(py, &error))?;
        let native = py.get_type::<EventLoop>();
        let own = |method: &str| -> PyResult<bool> { Ok(class.getattr(method)?.is(&native.getattr(method)?)) };
        Ok(Self {
            state: Cell::new(LoopState::new()),
            kernel: Cell::new(Some(Arc::new(kernel))),
            inbox: Inbox::new(),
            clock: LoopClock::real(),
            current: task::current::Current::new(),
            schedules_natively: own("call_soon")?,
            times_natively: own("call_soon")? && own("call_later")? && own("call_at")? && own("time")?,
            creates_natively: own("create_task")?,
            fork_generation: AtomicU64::new(fork::generation()),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), LoopState::take_contents);
        drop(contents);
    }

    /// Arrange for `callback(*args)` when the loop's clock reads `when` seconds. Corresponds to `loop.call_at`.
    #[pyo3(signature = (when, callback, *args, context=None))]
    fn call_at(
        slf: &Bound<'_, Self>,
        when: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<TimerHandle>> {
        let when = seconds(when, "when cannot be None", "when")?;
        Self::call_at_native(slf, when, callback, args, context, "call_at")
    }

    /// Make tasks by `factory(loop, coro, **kwargs)`; None for the loop's own. `asyncio.eager_task_factory` makes
    /// native tasks that start at once. Corresponds to `loop.set_task_factory`.
    fn set_task_factory(&self, factory: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = factory.py();
        if !factory.is_none() && !factory.is_callable() {
            return Err(PyTypeError::new_err("task factory must be a callable or None"));
        }
        let asyncio = py.import(intern!(py, "asyncio"))?;
        let eager = asyncio.getattr_opt(intern!(py, "eager_task_factory"))?.is_some_and(|eager| eager.is(factory));
        let wanted = (!factory.is_none()).then(|| factory.clone().unbind());
        let old = self.with_state(py, |state| {
            state.eager_tasks = eager;
            state.task_factory.replace(wanted)
        });
        drop(old);
        Ok(())
    }

    /// The task factory, or None. Corresponds to `loop.get_task_factory`.
    fn get_task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with_state(py, |state| state.task_factory.cloned(py))
    }

    /// The handle that runs, in debug mode.
    #[getter]
    fn _current_handle(&self, py: Python<'_>) -> Option<Py<Handle>> {
        self.with_state(py, |state| state.current_handle.cloned(py))
    }

    #[getter]
    fn _task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_task_factory(py)
    }

    /// Turn debug mode on or off. Corresponds to `loop.set_debug`.
    fn set_debug(&self, enabled: &Bound<'_, PyAny>) -> PyResult<()> {
        let debug = enabled.is_truthy()?;
        self.with_state(enabled.py(), |state| state.debug = debug);
        Ok(())
    }

    #[getter(_debug)]
    fn debug_attribute(&self, py: Python<'_>) -> bool {
        self.debug(py)
    }

    /// Whether the loop runs. Corresponds to `loop.is_running`.
    fn is_running(&self, py: Python<'_>) -> bool {
        self.with_state(py, |state| state.thread.is_some())
    }

    /// Whether the loop was closed. Corresponds to `loop.is_closed`.
    fn is_closed(&self, py: Python<'_>) -> bool {
        self.closed(py)
    }

    #[getter(_closed)]
    fn closed_attribute(&self, py: Python<'_>) -> bool {
        self.closed(py)
    }

    /// Leave `run_forever` at the end of this turn. Corresponds to `loop.stop`.
    fn stop(&self, py: Python<'_>) {
        self.with_state(py, |state| state.stopping = true);
    }

    #[getter(_stopping)]
    fn stopping_attribute(&self, py: Python<'_>) -> bool {
        self.with_state(py, |state| state.stopping)
    }

    /// Seconds that a callback may take before debug mode reports it.
    #[getter]
    fn get_slow_callback_duration(&self, py: Python<'_>) -> f64 {
        self.with_state(py, |state| state.slow_callback_seconds)
    }

    #[setter]
    fn set_slow_callback_duration(&self, py: Python<'_>, seconds: f64) {
        self.with_state(py, |state| state.slow_callback_seconds = seconds);
    }

    /// Call `callback(*args)` whenever `fd` is readable. Corresponds to `loop.add_reader`.
    #[pyo3(signature = (fd, callback, *args))]
    fn add_reader(
        slf: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        slf.get().check_no_transport(slf.py(), Self::descriptor(slf.py(), fd)?)?;
        Self::_add_reader(slf, fd, callback, args)?;
        Ok(())
    }

    /// Call `callback(*args)` whenever `fd` is writable. Corresponds to `loop.add_writer`.
    #[pyo3(signature = (fd, callback, *args))]
    fn add_writer(
        slf: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        slf.get().check_no_transport(slf.py(), Self::descriptor(slf.py(), fd)?)?;
        Self::_add_writer(slf, fd, callback, args)?;
        Ok(())
    }

    /// Stop watching `fd` for reading; whether it was. Corresponds to `loop.remove_reader`.
    fn remove_reader(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        slf.get().check_no_transport(slf.py(), Self::descriptor(slf.py(), fd)?)?;
        Self::_remove_reader(slf, fd)
    }

    /// Stop watching `fd` for writing; whether it was. Corresponds to `loop.remove_writer`.
    fn remove_writer(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        slf.get().check_no_transport(slf.py(), Self::descriptor(slf.py(), fd)?)?;
        Self::_remove_writer(slf, fd)
    }

    #[pyo3(signature = (fd, callback, *args))]
    fn _add_reader(
        slf: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Py<Handle>> {
        Self::watch(slf, Self::descriptor(slf.py(), fd)?, Direction::Read, callback, args)
    }

    #[pyo3(signature = (fd, callback, *args))]
    fn _add_writer(
        slf: &Bound<'_, Self>,
        fd: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Py<Handle>> {
        Self::watch(slf, Self::descriptor(slf.py(), fd)?, Direction::Write, callback, args)
    }

    fn _remove_reader(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::unwatch(slf, Self::descriptor(slf.py(), fd)?, Direction::Read)
    }

    fn _remove_writer(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        Self::unwatch(slf, Self::descriptor(slf.py(), fd)?, Direction::Write)
    }

    /// `RuntimeError` where a transport owns the descriptor.
    fn _attach_transport_check(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().check_no_transport(slf.py(), Self::descriptor(slf.py(), fd)?)
    }

    fn _check_closed(&self, py: Python<'_>) -> PyResult<()> {
        self.check_usable(py)
    }

    /// The identifier of the thread that runs the loop, or None.
    #[getter]
    fn _thread_id(&self, py: Python<'_>) -> Option<u64> {
        self.with_state(py, |state| state.thread)
    }

    /// Marks the loop as running in this thread.
    fn _enter_run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        slf.get().check_usable(py)?;
        let thread = slots::thread_ident(py);
        slf.get().with_state(py, |state| state.thread = Some(thread));
        slots::running::enter(slf);
        Ok(())
    }

    /// Marks the loop as not running, and forgets a `stop`.
    fn _leave_run(&self, py: Python<'_>) {
        slots::running::leave();
        // In the child of a fork: notes that it ran in the parent.
        let _ = self.check_not_inherited(py);
        self.with_state(py, |state| {
            state.thread = None;
            state.stopping = false;
        });
    }

    /// Runs turns until `stop`.
    fn _run_turns(slf: &Bound<'_, Self>) -> PyResult<()> {
        turn::run_turns(slf)
    }

    /// Drops all that is scheduled and registered. The loop can not be used afterwards.
    fn _close_native(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::close_native(slf)
    }

    /// While set, the descriptor is watched; what arrives on it goes to `self._process_signals(data)`.
    #[pyo3(signature = (fd))]
    fn _wakeup_sock(slf: &Bound<'_, Self>, fd: Option<i32>) -> PyResult<()> {
        Self::watch_signals(slf, fd)
    }

    /// For tests: the loop's clock stands at `ns` nanoseconds; None makes it the system's again. Where a loop with such
    /// a clock would wait, it calls `self._advance_clock(earliest)`, the earliest deadline in nanoseconds or None.
    fn _simulate_clock(&self, ns: Option<u64>) {
        self.clock.simulate(ns);
    }

    /// How many timers wait.
    fn _timers_pending(&self, py: Python<'_>) -> usize {
        self.with_state(py, |state| state.timers.len())
    }

    /// How many entries the ready queue holds.
    fn _ready_len(&self, py: Python<'_>) -> usize {
        self.with_state(py, |state| state.ready.len())
    }

    /// How many descriptors are registered.
    fn _registrations_len(&self, py: Python<'_>) -> usize {
        self.with_state(py, |state| state.registrations.len())
    }

    /// Makes `create_task` return `_asyncio.Task` objects.
    fn _use_asyncio_tasks(&self, py: Python<'_>, enabled: bool) {
        self.with_state(py, |state| state.asyncio_tasks = enabled);
    }
}

impl EventLoop {
    /// `loop.call_later`.
    pub(crate) fn call_later_native(
        slf: &Bound<'_, Self>,
        delay: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<TimerHandle>> {
        let when = slf.get().time() + seconds(delay, "delay must not be None", "delay")?;
        Self::call_at_native(slf, when, callback, args, context, "call_later")
    }

    /// `loop.create_task`.
    pub(crate) fn create_task_native<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        name: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().check_usable(py)?;
        let (native, eager) = slf.get().with_state(py, |state| {
            let by_factory = state.task_factory.is_some() && !state.eager_tasks;
            (!by_factory && !state.asyncio_tasks, state.eager_tasks)
        });
        if !native {
            return Self::create_task_elsewhere(slf, coro, name, context, kwargs);
        }
        let eager = match kwargs {
            Some(kwargs) => eager_start(kwargs)?.unwrap_or(eager),
            None => eager,
        };
        task::create_task(py, slf.as_any(), coro, name, context, eager)
    }

    /// A task by the user's factory, or an `_asyncio.Task`: asyncio's own function knows what the running version
    /// hands to a factory.
    fn create_task_elsewhere<'py>(
        slf: &Bound<'py, Self>,
        coro: &Bound<'py, PyAny>,
        name: Option<&Bound<'py, PyAny>>,
        context: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let all = match kwargs {
            Some(kwargs) => kwargs.copy()?,
            None => PyDict::new(py),
        };
        if let Some(name) = name {
            all.set_item(intern!(py, "name"), name)?;
        }
        if let Some(context) = context {
            all.set_item(intern!(py, "context"), context)?;
        }
        let create_task = names::base_event_loop(py)?.getattr(intern!(py, "create_task"))?;
        create_task.call((slf, coro), Some(&all))
    }
}

/// The value of `eager_start`, the one further keyword there is.
fn eager_start(kwargs: &Bound<'_, PyDict>) -> PyResult<Option<bool>> {
    let mut eager = None;
    for (key, value) in kwargs {
        if key.eq("eager_start")? {
            eager = if value.is_none() { None } else { Some(value.is_truthy()?) };
        } else {
            return Err(PyTypeError::new_err(format!(
                "create_task() got an unexpected keyword argument {}",
                key.repr()?
            )));
        }
    }
    Ok(eager)
}
