//! `Task` as Python sees it, beyond what it has as a `Future`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::task::{self, TaskState, Wanted};
use super::{Future, Task, report};
use crate::names;
use crate::slots::classes::exact_future;

#[pymethods]
impl Task {
    /// The raw slot `tp_new` stands in for this as soon as the type is made.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Future::blank()).add_subclass(Self::blank())
    }

    #[pyo3(signature = (coro, *, r#loop=None, name=None, context=None, eager_start=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        coro: &Bound<'_, PyAny>,
        r#loop: Option<&Bound<'_, PyAny>>,
        name: Option<&Bound<'_, PyAny>>,
        context: Option<&Bound<'_, PyAny>>,
        eager_start: Option<bool>,
    ) -> PyResult<()> {
        let eager = eager_start.unwrap_or(false);
        let event_loop = &task::default_loop(slf.py(), r#loop)?;
        Self::initialize(slf, &Wanted { event_loop, coro, name, context, eager })
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().check_alive(slf.py())?;
        names::task_repr(slf.py())?.call1((slf,))
    }

    fn __del__(slf: &Bound<'_, Self>) {
        report::finalize_task(slf);
    }

    /// Request that the task cancels itself: `CancelledError` is thrown into its coroutine in the next turn.
    /// Corresponds to `asyncio.Task.cancel`.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Self::request_cancel(slf, msg)
    }

    /// The number of cancellation requests less those taken back. Corresponds to `asyncio.Task.cancelling`.
    fn cancelling(&self, py: Python<'_>) -> u32 {
        self.state.with(py, |state| state.cancels_requested)
    }

    /// Take a cancellation request back; how many are left. Corresponds to `asyncio.Task.uncancel`.
    fn uncancel(&self, py: Python<'_>) -> u32 {
        self.withdraw_cancel(py)
    }

    /// Tasks get their results from their coroutines. Corresponds to `asyncio.Task.set_result`.
    #[pyo3(signature = (_result, /))]
    fn set_result(&self, _result: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyRuntimeError::new_err("Task does not support set_result operation"))
    }

    /// Tasks get their exceptions from their coroutines. Corresponds to `asyncio.Task.set_exception`.
    #[pyo3(signature = (_exception, /))]
    fn set_exception(&self, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyRuntimeError::new_err("Task does not support set_exception operation"))
    }

    /// The coroutine. Corresponds to `asyncio.Task.get_coro`.
    fn get_coro(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.coro.cloned(py))
    }

    /// The `contextvars.Context` that the coroutine runs in. Corresponds to `asyncio.Task.get_context`.
    fn get_context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.context(py)
    }

    /// The name. Corresponds to `asyncio.Task.get_name`.
    fn get_name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.name(py)
    }

    /// Set the name, any object that `str()` takes. Corresponds to `asyncio.Task.set_name`.
    #[pyo3(signature = (value, /))]
    fn set_name(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let name = Some(task::name_of(value)?.unbind());
        let old = self.state.with(value.py(), |state| std::mem::replace(&mut state.rare().name, name));
        drop(old);
        Ok(())
    }

    /// The stack frames of the coroutine, oldest first. Corresponds to `asyncio.Task.get_stack`.
    #[pyo3(signature = (*, limit=None))]
    fn get_stack<'py>(slf: &Bound<'py, Self>, limit: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        names::task_get_stack(slf.py())?.call1((slf, limit))
    }

    /// Print the stack or the traceback of the coroutine. Corresponds to `asyncio.Task.print_stack`.
    #[pyo3(signature = (*, limit=None, file=None))]
    fn print_stack<'py>(
        slf: &Bound<'py, Self>,
        limit: Option<&Bound<'py, PyAny>>,
        file: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        names::task_print_stack(slf.py())?.call1((slf, limit, file))
    }

    #[getter]
    fn _coro(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_coro(py)
    }

    #[getter]
    fn _context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.context(py)
    }

    #[getter]
    fn _fut_waiter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.waiter.cloned(py))
    }

    #[getter]
    fn _must_cancel(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.must_cancel)
    }

    #[getter]
    fn _num_cancels_requested(&self, py: Python<'_>) -> u32 {
        self.cancelling(py)
    }

    /// Why the task waits, or last waited: "start", "turn", "future", "task", "socket", "sleep", "lock", "event",
    /// "condition", "semaphore", "barrier", "queue", "channel", "join", "several", "inner", "task group", "stream",
    /// "drain", "closing", "other" or "error".
    #[getter]
    fn _wait_reason(&self, py: Python<'_>) -> &'static str {
        self.state.with(py, |state| state.wait_reason.name())
    }

    /// What the task waits for: the lock, queue or stream where `_wait_reason` names one, else `_fut_waiter`.
    #[getter]
    fn _waits_for<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let waiter = self._fut_waiter(py)?.into_bound(py);
        let behind = exact_future(&waiter).and_then(|future| future.get().waited_for(py));
        Some(behind.unwrap_or(waiter))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), TaskState::take_contents);
        drop(contents);
    }
}
