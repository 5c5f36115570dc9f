//! `ThreadFuture` as Python sees it: the methods of `concurrent.futures.Future`, and the private attributes that the
//! standard library's `wait`, `as_completed` and `asyncio.wrap_future` use, and its tests.

use std::sync::Arc;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::future::{Change, Status};
use super::{Job, ThreadFuture};
use crate::names;
use crate::slots::finalizer::Finalize;

#[pymethods]
impl ThreadFuture {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    /// Stands before the stdlib's, which would make a condition.
    #[pyo3(signature = ())]
    fn __init__(_slf: &Bound<'_, Self>) {}

    /// Cancel the call if it has not begun; whether it is cancelled. Corresponds to
    /// `concurrent.futures.Future.cancel`.
    fn cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::cancel_native(slf)
    }

    /// Whether the call was cancelled.
    fn cancelled(&self, py: Python<'_>) -> bool {
        self.status(py).is_cancelled()
    }

    /// Whether the call runs now.
    fn running(&self, py: Python<'_>) -> bool {
        self.status(py) == Status::Running
    }

    /// Whether the call was cancelled or has ended.
    fn done(&self, py: Python<'_>) -> bool {
        self.status(py).is_done()
    }

    /// Have `fn(future)` called when the call is done, at once if it is done already. Callbacks are called in their
    /// order, by the thread that finished or cancelled the call; an Exception that one raises is logged.
    #[pyo3(signature = (r#fn))]
    fn add_done_callback(slf: &Bound<'_, Self>, r#fn: Bound<'_, PyAny>) -> PyResult<()> {
        let callback = r#fn.clone().unbind();
        let refused = slf.get().state.with(slf.py(), |state| {
            if state.status.is_done() {
                return Some(callback);
            }
            state.callbacks.push(callback);
            None
        });
        if refused.is_none() { Ok(()) } else { Self::call_back(slf, &r#fn) }
    }

    /// The call's result, waited for *timeout* seconds at most (None: without limit).
    ///
    /// Raises what the call raised, concurrent.futures.CancelledError, or TimeoutError.
    #[pyo3(signature = (timeout=None))]
    fn result(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        match Self::waited_for(slf, timeout)? {
            (Some(exception), true) => Err(PyErr::from_value(exception.into_bound(slf.py()))),
            (result, _) => Ok(result.unwrap_or_else(|| slf.py().None())),
        }
    }

    /// What the call raised, None if nothing, waited for as by `result`.
    #[pyo3(signature = (timeout=None))]
    fn exception(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let (outcome, failed) = Self::waited_for(slf, timeout)?;
        Ok(outcome.filter(|_| failed))
    }

    /// For executors: mark the call as running; False where it was cancelled. Corresponds to
    /// `concurrent.futures.Future.set_running_or_notify_cancel`.
    fn set_running_or_notify_cancel(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        match Self::begin(slf)? {
            Ok(begun) => Ok(begun),
            Err(status) => {
                let address = slf.as_ptr() as usize;
                let arguments = (intern!(py, "Future %s in unexpected state: %s"), address, status.name());
                names::futures_logger(py)?.call_method1(intern!(py, "critical"), arguments)?;
                Err(PyRuntimeError::new_err("Future in unexpected state"))
            }
        }
    }

    /// For executors and tests: set the result.
    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        Self::set(slf, result, false)
    }

    /// For executors and tests: set the exception.
    fn set_exception(slf: &Bound<'_, Self>, exception: Py<PyAny>) -> PyResult<()> {
        Self::set(slf, exception, true)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let (status, failed, outcome) =
            slf.get().state.with(py, |state| (state.status, state.failed, state.outcome.cloned(py)));
        let class = slf.get_type();
        let state = match status {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Cancelled | Status::CancelledAndNotified => "cancelled",
            Status::Finished => "finished",
        };
        let told = if status == Status::Finished {
            let outcome = outcome.unwrap_or_else(|| py.None()).into_bound(py);
            let verb = if failed { "raised" } else { "returned" };
            format!(" {verb} {}", outcome.get_type().name()?)
        } else {
            String::new()
        };
        Ok(format!("<{} at {:#x} state={state}{told}>", class.name()?, slf.as_ptr() as usize))
    }

    #[getter]
    fn _condition<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(condition) = slf.get().state.with(py, |state| state.condition.cloned(py)) {
            return Ok(condition.into_bound(py));
        }
        // Making it may let another thread run, which makes one too: the first one holds.
        let condition = names::condition_of_threads(py)?.call0()?;
        let made = condition.clone().unbind();
        let (kept, unused) = slf.get().state.with(py, |state| match state.condition.cloned(py) {
            Some(kept) => (kept, Some(made)),
            None => {
                std::mem::forget(state.condition.replace(Some(made)));
                (condition.clone().unbind(), None)
            }
        });
        drop(unused);
        Ok(kept.into_bound(py))
    }

    #[getter]
    fn _state(&self, py: Python<'_>) -> &'static str {
        self.status(py).name()
    }

    #[setter(_state)]
    fn set_state(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        use Status::{Cancelled, CancelledAndNotified, Finished, Pending, Running};
        let all = [Pending, Running, Cancelled, CancelledAndNotified, Finished];
        let Some(status) = all.into_iter().find(|status| status.name() == name) else {
            return Err(PyValueError::new_err(format!("no state of a future: {name}")));
        };
        let gate: Option<Arc<_>> = self.state.with(py, |state| {
            state.status = status;
            if status.is_done() { state.gate.take() } else { None }
        });
        if let Some(gate) = gate {
            gate.set();
        }
        Ok(())
    }

    #[getter]
    fn _result(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| if state.failed { None } else { state.outcome.cloned(py) })
    }

    #[setter(_result)]
    fn set_result_by_hand(&self, py: Python<'_>, result: Py<PyAny>) {
        self.replace_outcome(py, result, false);
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let (outcome, failed) = self.outcome(py);
        outcome.filter(|_| failed)
    }

    #[setter(_exception)]
    fn set_exception_by_hand(&self, py: Python<'_>, exception: Py<PyAny>) {
        let failed = !exception.is_none(py);
        self.replace_outcome(py, exception, failed);
    }

    #[getter]
    fn _waiters<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        let fresh = PyList::empty(py);
        let made = fresh.clone().unbind();
        let (waiters, unused) = self.state.with(py, |state| match state.waiters.cloned(py) {
            Some(waiters) => (waiters, Some(made)),
            None => {
                std::mem::forget(state.waiters.replace(Some(made)));
                (fresh.unbind(), None)
            }
        });
        drop(unused);
        waiters.into_bound(py)
    }

    #[setter(_waiters)]
    fn set_waiters(&self, py: Python<'_>, waiters: Py<PyList>) {
        drop(self.state.with(py, |state| state.waiters.replace(Some(waiters))));
    }

    #[getter]
    fn _done_callbacks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let callbacks: Vec<_> =
            self.state.with(py, |state| state.callbacks.iter().map(|callback| callback.clone_ref(py)).collect());
        PyList::new(py, callbacks)
    }

    /// What the public class, which derives from this one, has called at its instances' end.
    fn __del__(slf: &Bound<'_, Self>) {
        Self::finalize(slf);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), Self::take_contents);
        drop(contents);
    }
}

impl ThreadFuture {
    fn set(slf: &Bound<'_, Self>, outcome: Py<PyAny>, failed: bool) -> PyResult<()> {
        let py = slf.py();
        let job = slf.get().state.with(py, |state| state.job.take());
        match Self::finish(slf, outcome, failed)? {
            Change::Made(told) => {
                if let Some(job) = job {
                    Job::abandon(job.bind(py));
                }
                Self::tell(slf, told)?.keep();
                Ok(())
            }
            Change::Refused(status) => {
                let text = format!("{}: {}", status.name(), slf.repr()?);
                Err(PyErr::from_value(names::thread_invalid_state_error(py)?.call1((text,))?))
            }
        }
    }

    /// The outcome, once there is one; the errors that the stdlib raises otherwise.
    fn waited_for(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<(Option<Py<PyAny>>, bool)> {
        let py = slf.py();
        if !slf.get().status(py).is_done() && !Self::wait(slf, timeout)? {
            return Err(PyTimeoutError::new_err(()));
        }
        if slf.get().status(py).is_cancelled() {
            return Err(PyErr::from_value(names::thread_cancelled_error(py)?.call0()?));
        }
        Ok(slf.get().outcome(py))
    }

    /// Sets one of the stdlib's two attributes: the other one is then None.
    fn replace_outcome(&self, py: Python<'_>, outcome: Py<PyAny>, failed: bool) {
        let is_none = outcome.is_none(py);
        let old = self.state.with(py, |state| {
            if is_none && state.outcome.is_some() && state.failed != failed {
                return Some(outcome);
            }
            state.failed = failed && outcome.bind(py).is_instance_of::<PyBaseException>();
            state.outcome.replace(Some(outcome))
        });
        drop(old);
    }
}
