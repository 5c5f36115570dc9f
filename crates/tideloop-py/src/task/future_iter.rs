//! What `await future` steps through: it yields the future once, then returns its result (DESIGN §9).

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};

use super::Future;
use super::future::Status;
use crate::cell::{Cell, Slot};
use crate::slots::{self, Slotted};

/// The iterator behind `Future.__await__`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct FutureIter {
    /// Empty once it has returned.
    future: Cell<Slot<Future>>,
}

impl Slotted for FutureIter {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

/// What a step of the iterator brings.
pub enum Advance<'py> {
    /// The future, for the task to wait for.
    Yield(Bound<'py, Future>),
    /// Its result.
    Return(Bound<'py, PyAny>),
}

impl FutureIter {
    /// A new iterator.
    #[inline]
    pub fn over<'py>(future: &Bound<'py, Future>) -> PyResult<Bound<'py, Self>> {
        let py = future.py();
        future.get().check_alive(py)?;
        let iter = Self { future: Cell::new(Slot::holding(future.clone().unbind())) };
        slots::classes::new_future_iter(py, iter)
    }

    /// One step.
    #[inline]
    pub fn advance<'py>(&self, py: Python<'py>) -> PyResult<Advance<'py>> {
        let Some(future) = self.future.with(py, |slot| slot.cloned(py)) else {
            return Ok(Advance::Return(py.None().into_bound(py)));
        };
        let future = future.into_bound(py);
        let (pending, blocked) = future.get().state.with(py, |state| {
            if state.status != Status::Pending {
                return (false, false);
            }
            (true, std::mem::replace(&mut state.blocking, true))
        });
        if pending && !blocked {
            return Ok(Advance::Yield(future));
        }
        if pending {
            return Err(PyRuntimeError::new_err("await wasn't used with future"));
        }
        self.forget(py);
        future.get().result_native(py).map(Advance::Return)
    }

    #[inline]
    fn forget(&self, py: Python<'_>) {
        if let Some(future) = self.future.with(py, Slot::take) {
            future.drop_ref(py);
        }
    }

    /// Drops what it holds: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        if let Some(future) = self.future.get_mut().take() {
            future.drop_ref(py);
        }
    }
}

#[pymethods]
impl FutureIter {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The raw slot stands in for this as soon as the type is made.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.advance(py)? {
            Advance::Yield(future) => Ok(Some(future.into_any())),
            Advance::Return(value) => Err(stop_iteration(&value)),
        }
    }

    /// Take the next step; what is sent has no meaning.
    fn send<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match self.advance(value.py())? {
            Advance::Yield(future) => Ok(future.into_any()),
            Advance::Return(value) => Err(stop_iteration(&value)),
        }
    }

    /// Raise the exception at the place where the future is awaited.
    #[pyo3(signature = (r#type, value=None, traceback=None, /))]
    fn throw(
        &self,
        r#type: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let exception = thrown(r#type, value, traceback)?;
        self.forget(r#type.py());
        Err(PyErr::from_value(exception))
    }

    /// Forget the future.
    fn close(&self, py: Python<'_>) {
        self.forget(py);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.future.during_gc(|future| future.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        slf.get().forget(slf.py());
    }
}

fn stop_iteration(value: &Bound<'_, PyAny>) -> PyErr {
    slots::classes::raise_stop_iteration(value.py(), value);
    PyErr::fetch(value.py())
}

/// The exception that the arguments of a coroutine's `throw` describe.
pub(crate) fn thrown<'py>(
    r#type: &Bound<'py, PyAny>,
    value: Option<&Bound<'py, PyAny>>,
    traceback: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = r#type.py();
    let given = value.is_some() || traceback.is_some();
    if cfg!(Py_3_12) && given {
        let text = c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg signature instead.";
        PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyDeprecationWarning>(), text, 1)?;
    }
    let exception = instance(r#type, value.filter(|value| !value.is_none()))?;
    if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
        if traceback.cast::<pyo3::types::PyTraceback>().is_err() {
            return Err(PyTypeError::new_err("throw() third argument must be a traceback"));
        }
        exception.setattr(pyo3::intern!(py, "__traceback__"), traceback)?;
    }
    Ok(exception)
}

/// The instance of a class and a value.
fn instance<'py>(class: &Bound<'py, PyAny>, value: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    if class.is_instance_of::<PyBaseException>() {
        if value.is_some() {
            return Err(PyTypeError::new_err("instance exception may not have a separate value"));
        }
        return Ok(class.clone());
    }
    let is_class = class.cast::<PyType>().is_ok_and(|class| class.is_subclass_of::<PyBaseException>().unwrap_or(false));
    if !is_class {
        return Err(PyTypeError::new_err(
            "exceptions must be classes deriving BaseException or instances of such a class",
        ));
    }
    match value {
        None => class.call0(),
        Some(value) if value.is_instance(class)? => Ok(value.clone()),
        Some(value) => match value.cast::<pyo3::types::PyTuple>() {
            Ok(arguments) => class.call1(arguments),
            Err(_) => class.call1((value,)),
        },
    }
    .and_then(|exception| {
        if exception.is_instance_of::<PyBaseException>() {
            return Ok(exception);
        }
        let message =
            format!("calling {class} should have returned an instance of BaseException, not {}", exception.get_type());
        let _ = py;
        Err(PyTypeError::new_err(message))
    })
}
