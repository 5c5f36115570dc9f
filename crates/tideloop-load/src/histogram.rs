//! Latencies, counted in buckets that are narrow enough to compare two 99.9th percentiles by.
//!
//! Log-linear: each power of two nanoseconds is divided into [`STEPS`] buckets of the same width.

/// log₂ of the buckets per power of two.
const STEPS_LOG2: u32 = 7;
/// Buckets per power of two: a bucket's last value is above any other of it by less than one part in this many.
pub const STEPS: u64 = 1 << STEPS_LOG2;

/// How many latencies fell into each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// As long as the largest value needs.
    counts: Vec<u64>,
}

impl Histogram {
    /// Count one latency, in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        let index = bucket_of(ns);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    /// The buckets that are not empty, in order: the largest value that each can hold, in nanoseconds, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (last_of(index), *count))
    }
}

/// The bucket of a value: below `STEPS` its own; above, the power of two and the bits that follow the highest.
fn bucket_of(ns: u64) -> usize {
    match ns.checked_ilog2() {
        Some(log2) if log2 > STEPS_LOG2 => {
            let shift = log2 - STEPS_LOG2;
            // The shifted value's highest bit carries into the part of the index that stands for the power.
            (u64::from(shift) * STEPS + (ns >> shift)) as usize
        }
        _ => ns as usize,
    }
}

/// The largest value of a bucket.
fn last_of(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    let first = (index % STEPS + STEPS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(ns: u64) -> (u64, u64) {
        let mut histogram = Histogram::default();
        histogram.record(ns);
        histogram.buckets().next().unwrap()
    }

    #[test]
    fn a_bucket_holds_what_was_recorded_to_within_its_width() {
        for shift in 0..64 {
            for ns in [u64::MAX >> shift, (u64::MAX >> shift) / 3 * 2, 1 << shift, (1 << shift) + 1] {
                let (last, count) = bucket(ns);
                assert!(last >= ns && last - ns <= ns / STEPS, "{last} for {ns}");
                assert_eq!(count, 1);
            }
        }
    }

    #[test]
    fn small_values_are_exact() {
        for ns in 0..2 * STEPS {
            assert_eq!(bucket(ns), (ns, 1));
        }
    }

    #[test]
    fn buckets_come_in_order_and_only_those_with_something_in_them() {
        let mut histogram = Histogram::default();
        [1_000_000, 5, 1_000_000, 70].iter().for_each(|ns| histogram.record(*ns));
        let found: Vec<_> = histogram.buckets().collect();
        assert_eq!(found.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 1, 2]);
        assert!(found.is_sorted());
    }
}
