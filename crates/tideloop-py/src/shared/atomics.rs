//! `AtomicInt` and `AtomicBool`: a number and a flag of the machine, shared by threads and tasks.
//!
//! Both are the processor's own atomics, sequentially consistent: with or without a GIL each operation happens at one
//! moment, in one order that all threads agree on. Nothing here waits or holds a Python object.

use std::sync::atomic::{AtomicBool as Flag, AtomicI64, Ordering::SeqCst};

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

/// A whole number of 64 bits that threads and tasks change together.
///
/// `fetch_add` and `fetch_sub` return what was before, `add` and `sub` what is then. A result that does not fit raises
/// OverflowError and changes nothing.
#[pyclass(frozen, weakref, module = "tideloop.sync")]
pub struct AtomicInt(AtomicI64);

#[cold]
fn overflow() -> PyErr {
    PyOverflowError::new_err("an AtomicInt has 64 bits, and the result does not fit")
}

impl AtomicInt {
    /// Changes the number by `difference` unless that overflows: what it was and what it is.
    fn change(&self, amount: i64, apply: fn(i64, i64) -> Option<i64>) -> PyResult<(i64, i64)> {
        let mut old = self.0.load(SeqCst);
        loop {
            let new = apply(old, amount).ok_or_else(overflow)?;
            match self.0.compare_exchange_weak(old, new, SeqCst, SeqCst) {
                Ok(_) => return Ok((old, new)),
                Err(seen) => old = seen,
            }
        }
    }
}

#[pymethods]
impl AtomicInt {
    #[new]
    #[pyo3(signature = (value=0, /))]
    fn __new__(value: i64) -> Self {
        Self(AtomicI64::new(value))
    }

    /// The number.
    fn load(&self) -> i64 {
        self.0.load(SeqCst)
    }

    /// Make it this number.
    fn store(&self, value: i64) {
        self.0.store(value, SeqCst);
    }

    /// Make it this number; what it was.
    fn exchange(&self, value: i64) -> i64 {
        self.0.swap(value, SeqCst)
    }

    /// Make it `new` if it is `expected`; whether it was.
    fn compare_exchange(&self, expected: i64, new: i64) -> bool {
        self.0.compare_exchange(expected, new, SeqCst, SeqCst).is_ok()
    }

    /// Add to it; what it was.
    #[pyo3(signature = (n=1, /))]
    fn fetch_add(&self, n: i64) -> PyResult<i64> {
        Ok(self.change(n, i64::checked_add)?.0)
    }

    /// Subtract from it; what it was.
    #[pyo3(signature = (n=1, /))]
    fn fetch_sub(&self, n: i64) -> PyResult<i64> {
        Ok(self.change(n, i64::checked_sub)?.0)
    }

    /// Add to it; what it is then.
    #[pyo3(signature = (n=1, /))]
    fn add(&self, n: i64) -> PyResult<i64> {
        Ok(self.change(n, i64::checked_add)?.1)
    }

    /// Subtract from it; what it is then.
    #[pyo3(signature = (n=1, /))]
    fn sub(&self, n: i64) -> PyResult<i64> {
        Ok(self.change(n, i64::checked_sub)?.1)
    }

    /// The number, as load() and store().
    #[getter]
    fn value(&self) -> i64 {
        self.load()
    }

    #[setter]
    fn set_value(&self, value: i64) {
        self.store(value);
    }

    fn __int__(&self) -> i64 {
        self.load()
    }

    fn __index__(&self) -> i64 {
        self.load()
    }

    fn __bool__(&self) -> bool {
        self.load() != 0
    }

    fn __repr__(&self) -> String {
        format!("AtomicInt({})", self.load())
    }
}

/// A flag that threads and tasks change together.
#[pyclass(frozen, weakref, module = "tideloop.sync")]
pub struct AtomicBool(Flag);

#[pymethods]
impl AtomicBool {
    #[new]
    #[pyo3(signature = (value=false, /))]
    fn __new__(value: bool) -> Self {
        Self(Flag::new(value))
    }

    /// The flag.
    fn load(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// Make it this value.
    fn store(&self, value: bool) {
        self.0.store(value, SeqCst);
    }

    /// Make it this value; what it was. `not flag.exchange(True)` is true for the first caller alone.
    fn exchange(&self, value: bool) -> bool {
        self.0.swap(value, SeqCst)
    }

    /// Make it `new` if it is `expected`; whether it was.
    fn compare_exchange(&self, expected: bool, new: bool) -> bool {
        self.0.compare_exchange(expected, new, SeqCst, SeqCst).is_ok()
    }

    /// The flag, as load() and store().
    #[getter]
    fn value(&self) -> bool {
        self.load()
    }

    #[setter]
    fn set_value(&self, value: bool) {
        self.store(value);
    }

    fn __bool__(&self) -> bool {
        self.load()
    }

    fn __repr__(&self) -> String {
        format!("AtomicBool({})", if self.load() { "True" } else { "False" })
    }
}
