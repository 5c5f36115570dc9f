//! `ApproximateCounter`: counting from many threads that hardly ever meet. The counter itself, and what protects it, is
//! `tideloop_core::approximate_counter`.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use tideloop_core::approximate_counter::{ApproximateCounter as Counter, Overflow};

use super::thread as number;

/// A shard is 128 bytes; more of them than processors gain nothing.
const SHARDS_MIN: usize = 4;
const SHARDS_MAX: usize = 64;

fn shards() -> usize {
    static SHARDS: OnceLock<usize> = OnceLock::new();
    *SHARDS.get_or_init(|| {
        let processors = thread::available_parallelism().map_or(SHARDS_MIN, NonZero::get);
        processors.next_power_of_two().clamp(SHARDS_MIN, SHARDS_MAX)
    })
}

#[allow(clippy::needless_pass_by_value)]
fn overflow(_: Overflow) -> PyErr {
    PyOverflowError::new_err("an ApproximateCounter has 64 bits, and the sum does not fit")
}

/// A counter for many threads that is read seldom: each adds to a share, which is carried over at the threshold.
///
/// `value` is less than `threshold` off for each thread that has added, and exact after `flush()`.
#[pyclass(frozen, weakref, module = "tideloop.sync")]
pub struct ApproximateCounter(Counter);

#[pymethods]
impl ApproximateCounter {
    #[new]
    fn __new__(threshold: i64) -> PyResult<Self> {
        if threshold < 1 {
            return Err(PyValueError::new_err(format!("the threshold must be at least 1, not {threshold}")));
        }
        Ok(Self(Counter::new(threshold, shards())))
    }

    /// Add to it.
    #[pyo3(signature = (n=1, /))]
    fn add(&self, n: i64) -> PyResult<()> {
        // Above the number of shards it does not matter which bits are left.
        #[allow(clippy::cast_possible_truncation)]
        self.0.add(number::current() as usize, n).map_err(overflow)
    }

    /// What has been carried over: it lags behind by less than the threshold for each thread that has added.
    #[getter]
    fn value(&self) -> i64 {
        self.0.approximate()
    }

    /// The sum of all that was added before this call; slower than `value`, and changes nothing.
    fn exact(&self) -> PyResult<i64> {
        self.0.exact().map_err(overflow)
    }

    /// Carry everything over, so that `value` is exact until somebody adds; what it is then.
    fn flush(&self) -> PyResult<i64> {
        self.0.flush().map_err(overflow)
    }

    /// At how much a share is carried over.
    #[getter]
    fn threshold(&self) -> i64 {
        self.0.threshold()
    }

    fn __repr__(&self) -> String {
        format!("<ApproximateCounter value={} threshold={}>", self.0.approximate(), self.0.threshold())
    }
}
