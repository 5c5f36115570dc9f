//! What the arguments `blocking` and `timeout` of an `acquire` mean.

use pyo3::Borrowed;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use super::call::wait;
use super::pending::{Limit, Pending, block, limit};

/// What is true or false in Python, of whatever class.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Truth(bool);

impl FromPyObject<'_, '_> for Truth {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        object.is_truthy().map(Self)
    }
}

/// How somebody wants to wait.
pub enum Manner {
    /// Not at all.
    Not,
    /// As its kind does: a thread blocks, a task awaits.
    AsUsual(Limit),
    /// It blocks, whoever it is.
    Blocking(Limit),
}

impl Manner {
    /// What the arguments of a lock's `acquire(blocking, timeout)` mean. A timeout of -1, or none, is none.
    pub fn of_lock(blocking: Option<Truth>, timeout: Option<f64>) -> PyResult<Self> {
        let timeout = timeout.filter(|seconds| *seconds != -1.0);
        if timeout.is_some_and(|seconds| seconds < 0.0) {
            return Err(PyValueError::new_err("timeout value must be a non-negative number"));
        }
        if blocking == Some(Truth(false)) && timeout.is_some() {
            return Err(PyValueError::new_err("can't specify a timeout for a non-blocking call"));
        }
        Self::of(blocking, timeout)
    }

    /// What those of a semaphore's mean: a time below 0 is over, as threading has it.
    pub fn of_semaphore(blocking: Option<Truth>, timeout: Option<f64>) -> PyResult<Self> {
        if blocking == Some(Truth(false)) && timeout.is_some() {
            return Err(PyValueError::new_err("can't specify timeout for non-blocking acquire"));
        }
        Self::of(blocking, timeout)
    }

    fn of(blocking: Option<Truth>, timeout: Option<f64>) -> PyResult<Self> {
        Ok(match blocking {
            Some(Truth(false)) => Self::Not,
            Some(Truth(true)) => Self::Blocking(limit(timeout)?),
            None => Self::AsUsual(limit(timeout)?),
        })
    }

    /// Acquires in this manner: `try_take` if that needs no waiting, else by waiting.
    pub fn acquire<'py, P: Pending + 'static>(
        &self,
        py: Python<'py>,
        try_take: impl FnOnce() -> PyResult<bool>,
        pending: impl FnOnce() -> P,
    ) -> PyResult<Bound<'py, PyAny>> {
        let truth = |value: bool| PyBool::new(py, value).to_owned().into_any();
        match *self {
            Self::Not => Ok(truth(try_take()?)),
            Self::Blocking(limit) => {
                if try_take()? {
                    return Ok(truth(true));
                }
                block(py, &pending(), limit).map(|got| got.into_bound(py))
            }
            Self::AsUsual(limit) => wait(py, pending(), limit),
        }
    }
}
