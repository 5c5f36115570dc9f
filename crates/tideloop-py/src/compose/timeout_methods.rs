//! `Timeout` as Python sees it, but for `__aenter__` and `__aexit__`, which `slots/timeouts.rs` has.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::timeout::{Phase, State, Timeout, When};
use crate::names;
use crate::slots::running::running_loop;

#[pymethods]
impl Timeout {
    /// The raw slot `tp_new` stands in for this as soon as the type is made.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    fn __init__(slf: &Bound<'_, Self>, when: &Bound<'_, PyAny>) {
        let fresh = State::new(When::given(when));
        let mut old = slf.get().state.with(slf.py(), |state| std::mem::replace(state, fresh));
        drop(old.take_contents());
    }

    /// The deadline, in seconds on the loop's clock; None where there is none. Corresponds to `asyncio.Timeout.when`.
    fn when<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.when_object(py)
    }

    /// Set another deadline, or None for none. `RuntimeError` unless the timeout has been entered and has neither
    /// expired nor been left. Corresponds to `asyncio.Timeout.reschedule`.
    fn reschedule(slf: &Bound<'_, Self>, when: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.phase) {
            Phase::Entered => {}
            Phase::Created => return Err(PyRuntimeError::new_err("Timeout has not been entered")),
            phase => {
                let text = format!("Cannot change state of {} Timeout", phase.name());
                return Err(PyRuntimeError::new_err(text));
            }
        }
        let when = When::given(when);
        let old = slf.get().state.with(py, |state| std::mem::replace(&mut state.when, when));
        old.release(py);
        Self::disarm(slf)?;
        if slf.get().state.with(py, |state| matches!(state.when, When::Never)) {
            return Ok(());
        }
        Self::arm(slf, &running_loop(py)?)
    }

    /// Whether the deadline came while the timeout was active. Corresponds to `asyncio.Timeout.expired`.
    fn expired(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| matches!(state.phase, Phase::Expiring | Phase::Expired))
    }

    fn _on_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        let arming = slf.get().arming(slf.py());
        Self::expire(slf, arming)
    }

    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let phase = self.state.with(py, |state| state.phase);
        names::timeout_state(py)?.call1((phase.name(),))
    }

    #[getter]
    fn _when<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.when_object(py)
    }

    #[getter]
    fn _task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.task.cloned(py))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let phase = self.state.with(py, |state| state.phase);
        if phase != Phase::Entered {
            return Ok(format!("<Timeout [{}]>", phase.name()));
        }
        let when = match self.when_object(py) {
            Some(when) => when.call_method1(intern!(py, "__round__"), (3,))?.repr()?.to_string(),
            None => "None".to_owned(),
        };
        Ok(format!("<Timeout [{}] when={when}>", phase.name()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            if let When::Given(when) = &state.when {
                when.visit(&visit)?;
            }
            state.handle.visit(&visit)?;
            state.event_loop.visit(&visit)?;
            state.task.visit(&visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), State::take_contents);
        contents.0.release(slf.py());
    }
}
