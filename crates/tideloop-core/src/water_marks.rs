//! Water marks: when a writer must pause and when it may resume, by the rules of asyncio's `set_write_buffer_limits`.

use std::fmt;

/// High-water mark when neither mark is given, in bytes: asyncio's default.
const HIGH_DEFAULT: usize = 64 * 1024;
/// The high mark is this many times the low one, when only one of them is given.
const HIGH_TO_LOW: usize = 4;

/// A pair of marks with `high >= low`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaterMarks {
    /// Above this many buffered bytes the protocol is paused.
    pub high: usize,
    /// At or below this many buffered bytes it may resume.
    pub low: usize,
}

/// The low mark would be above the high one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaterMarksError {
    /// The high mark, after defaults were filled in.
    pub high: usize,
    /// The low mark, after defaults were filled in.
    pub low: usize,
}

impl fmt::Display for WaterMarksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "high ({}) must be >= low ({}) must be >= 0", self.high, self.low)
    }
}

impl std::error::Error for WaterMarksError {}

impl Default for WaterMarks {
    fn default() -> Self {
        Self { high: HIGH_DEFAULT, low: HIGH_DEFAULT / HIGH_TO_LOW }
    }
}

impl WaterMarks {
    /// What is missing is filled in: low from high, high from low, both from the default.
    ///
    /// # Errors
    /// [`WaterMarksError`] when low would be above high.
    pub fn new(high: Option<usize>, low: Option<usize>) -> Result<Self, WaterMarksError> {
        let high = match (high, low) {
            (Some(high), _) => high,
            (None, Some(low)) => low.saturating_mul(HIGH_TO_LOW),
            (None, None) => HIGH_DEFAULT,
        };
        let low = low.unwrap_or(high / HIGH_TO_LOW);
        if high >= low { Ok(Self { high, low }) } else { Err(WaterMarksError { high, low }) }
    }

    /// Whether a buffer of this size, in bytes, pauses its writer.
    #[inline]
    #[must_use]
    pub fn is_above_high(self, len_bytes: usize) -> bool {
        len_bytes > self.high
    }

    /// Whether a buffer of this size, in bytes, lets a paused writer resume.
    #[inline]
    #[must_use]
    pub fn is_at_or_below_low(self, len_bytes: usize) -> bool {
        len_bytes <= self.low
    }
}
