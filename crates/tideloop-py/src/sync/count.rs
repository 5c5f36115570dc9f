//! A semaphore's value: a whole number, or a float such as `math.inf`, which asyncio accepts.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

/// A number of permits.
#[derive(Clone, Copy)]
pub enum Count {
    Whole(i64),
    Real(f64),
}

impl Count {
    pub const ONE: Self = Self::Whole(1);

    /// The number that `value` is; `TypeError` for what is none. One beyond 64 bits becomes a float.
    pub fn of(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        match value.extract() {
            Ok(whole) => Ok(Self::Whole(whole)),
            Err(_) => Ok(Self::Real(value.extract()?)),
        }
    }

    #[inline]
    pub fn plus(self, difference: i64) -> Self {
        match self {
            Self::Whole(value) => Self::Whole(value.saturating_add(difference)),
            Self::Real(value) => Self::Real(value + difference as f64),
        }
    }

    #[inline]
    pub fn is_zero(self) -> bool {
        match self {
            Self::Whole(value) => value == 0,
            Self::Real(value) => value == 0.0,
        }
    }

    #[inline]
    pub fn is_positive(self) -> bool {
        match self {
            Self::Whole(value) => value > 0,
            Self::Real(value) => value > 0.0,
        }
    }

    /// Whether it is `bound` or more.
    #[inline]
    pub fn reaches(self, bound: Self) -> bool {
        match (self, bound) {
            (Self::Whole(value), Self::Whole(bound)) => value >= bound,
            (value, bound) => value.real() >= bound.real(),
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }

    pub fn to_object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Self::Whole(value) => value.into_bound_py_any(py),
            Self::Real(value) => value.into_bound_py_any(py),
        }
    }
}
