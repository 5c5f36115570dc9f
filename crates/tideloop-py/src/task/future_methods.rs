//! `Future` as Python sees it: asyncio's public methods, and the private attributes that libraries rely on. The hot
//! ones are in `slots/methods.rs` and `slots/attributes.rs`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::future::{FutureState, Status};
use super::{Future, FutureIter, report, task};
use crate::names;

#[pymethods]
impl Future {
    /// The raw slot `tp_new` stands in for this as soon as the type is made.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    #[pyo3(signature = (*, r#loop=None))]
    fn __init__(slf: &Bound<'_, Self>, r#loop: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let event_loop = task::default_loop(slf.py(), r#loop)?;
        slf.get().initialize(slf.py(), &event_loop)
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        names::generic_alias(class.py())?.call1((class, item))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().check_alive(slf.py())?;
        names::future_repr(slf.py())?.call1((slf,))
    }

    fn __del__(slf: &Bound<'_, Self>) {
        report::finalize_future(slf);
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, FutureIter>> {
        FutureIter::over(slf)
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, FutureIter>> {
        FutureIter::over(slf)
    }

    /// Mark the future done with an exception, an instance or a class. Corresponds to
    /// `asyncio.Future.set_exception`.
    #[pyo3(signature = (exception, /))]
    fn set_exception(slf: &Bound<'_, Self>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::fail(slf, exception)
    }

    /// Remove all callbacks that equal `fn`; how many there were. Corresponds to
    /// `asyncio.Future.remove_done_callback`.
    #[pyo3(signature = (r#fn, /))]
    fn remove_done_callback(slf: &Bound<'_, Self>, r#fn: &Bound<'_, PyAny>) -> PyResult<usize> {
        slf.get().check_alive(slf.py())?;
        Self::remove_callbacks(slf, r#fn)
    }

    /// Cancel the future and schedule its callbacks; False where it is done already. Corresponds to
    /// `asyncio.Future.cancel`.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        slf.get().check_alive(slf.py())?;
        Self::cancel_native(slf, msg.map(|msg| msg.clone().unbind()))
    }

    fn _make_cancelled_error<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.cancelled_error(py)
    }

    #[getter]
    fn _state(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.check_alive(py)?;
        Ok(self.status(py).name())
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        Some(self.event_loop(py).ok()?.as_any().clone().unbind())
    }

    #[getter]
    fn _callbacks<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyList>>> {
        slf.get().check_alive(slf.py())?;
        Self::callback_list(slf)
    }

    #[getter]
    fn _result(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.check_alive(py)?;
        let good = |state: &mut FutureState| state.status == Status::Finished && !state.failed;
        Ok(self.state.with(py, |state| if good(state) { state.outcome.cloned(py) } else { None }))
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.check_alive(py)?;
        Ok(self.state.with(py, |state| if state.failed { state.outcome.cloned(py) } else { None }))
    }

    #[getter(_log_traceback)]
    fn get_log_traceback(&self, py: Python<'_>) -> PyResult<bool> {
        self.check_alive(py)?;
        Ok(self.state.with(py, |state| state.log_traceback))
    }

    #[setter(_log_traceback)]
    fn set_log_traceback(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_truthy()? {
            return Err(PyValueError::new_err("_log_traceback can only be set to False"));
        }
        self.state.with(value.py(), |state| state.log_traceback = false);
        Ok(())
    }

    #[getter]
    fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.source_traceback(py)
    }

    #[getter(_cancel_message)]
    fn get_cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.cancel_message(py)
    }

    #[setter(_cancel_message)]
    fn set_cancel_message(&self, value: &Bound<'_, PyAny>) {
        self.store_cancel_message(value.py(), Some(value.clone().unbind()));
    }

    /// The tasks that wait for this future: None, or a set (asyncio's call graphs read it from 3.14 on).
    #[getter]
    fn _asyncio_awaited_by<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let waiting = Self::waiting_tasks(slf)?;
        if waiting.is_empty() {
            return Ok(None);
        }
        Ok(Some(pyo3::types::PyFrozenSet::new(py, waiting)?.into_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), FutureState::take_contents);
        drop(contents);
    }
}
