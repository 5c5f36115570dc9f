//! A histogram of durations, small enough to have one per thing that is measured.
//!
//! Log-linear: each power of two is divided into [`STEPS`] equal buckets, so a value is known to about 3 %, from one
//! nanosecond to 584 years, in at most 15 KiB. Memory is taken only up to the largest value seen; an unused histogram
//! has none. Recording is a shift and an addition.

/// log₂ of the buckets per power of two.
const STEPS_LOG2: u32 = 5;
/// Buckets per power of two; a value is off by at most one part in this many.
pub const STEPS: u64 = 1 << STEPS_LOG2;

/// Counts of durations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// As long as the largest value needs.
    buckets: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Histogram {
    /// No values and no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: Vec::new(), count: 0, sum_ns: 0, max_ns: 0 }
    }

    /// Count a value, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        let index = bucket_of(ns);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// The number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value, exactly; 0 when there is none.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The mean, exactly but for rounding down; `None` when there are no values.
    #[must_use]
    pub fn mean_ns(&self) -> Option<u64> {
        let mean = self.sum_ns.checked_div(u128::from(self.count))?;
        u64::try_from(mean).ok()
    }

    /// The value that `percent` of all values do not exceed (50 is the median), rounded up by at most 1/[`STEPS`];
    /// `None` when there are no values. Out of range counts as 0 or 100.
    #[must_use]
    pub fn percentile_ns(&self, percent: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return Some(bucket_last(index).min(self.max_ns));
            }
        }
        Some(self.max_ns)
    }

    /// Add another histogram's values to this one's.
    pub fn merge(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Forget all values, but keep the memory.
    pub fn reset(&mut self) {
        self.buckets.clear();
        (self.count, self.sum_ns, self.max_ns) = (0, 0, 0);
    }
}

/// The bucket of a value: below `STEPS` its own, above by the power of two and the bits that follow the highest.
fn bucket_of(ns: u64) -> usize {
    let Some(shift) = ns.checked_ilog2().and_then(|log2| log2.checked_sub(STEPS_LOG2)) else {
        return ns as usize;
    };
    // The highest bit is bit `STEPS_LOG2` of the shifted value, and carries into the power's part of the index.
    ((u64::from(shift) << STEPS_LOG2) + (ns >> shift)) as usize
}

/// The largest value of a bucket.
fn bucket_last(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let shift = (index >> STEPS_LOG2) - 1;
    let first = ((index & (STEPS - 1)) | STEPS) << shift;
    first + ((1 << shift) - 1)
}
