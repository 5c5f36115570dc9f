//! The histogram against the sorted list of what was recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::histogram::{Histogram, STEPS};

fn values() -> impl Strategy<Value = Vec<u64>> {
    // All magnitudes alike, and the edges of the range.
    let value = prop_oneof![(0..64u32, any::<u64>()).prop_map(|(shift, ns)| ns >> shift), Just(0), Just(u64::MAX)];
    prop::collection::vec(value, 0..200)
}

fn recorded(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    values.iter().for_each(|ns| histogram.record(*ns));
    histogram
}

proptest! {
    #[test]
    fn a_percentile_is_the_value_of_its_rank_rounded_up_a_little(mut values in values(), percent in 0.0..=100.0f64) {
        let histogram = recorded(&values);
        values.sort_unstable();
        let rank = (percent / 100.0 * values.len() as f64).ceil().max(1.0) as usize;
        match values.get(rank - 1) {
            None => prop_assert_eq!(histogram.percentile_ns(percent), None),
            Some(exact) => {
                let found = histogram.percentile_ns(percent).unwrap();
                prop_assert!(found >= *exact && found - exact <= exact / STEPS, "{found} for {exact}");
            }
        }
    }

    #[test]
    fn count_mean_and_maximum_are_exact(values in values()) {
        let histogram = recorded(&values);
        prop_assert_eq!(histogram.count(), values.len() as u64);
        prop_assert_eq!(histogram.max_ns(), values.iter().copied().max().unwrap_or(0));
        let sum: u128 = values.iter().copied().map(u128::from).sum();
        prop_assert_eq!(histogram.mean_ns().map(u128::from), sum.checked_div(values.len() as u128));
    }

    #[test]
    fn merging_is_recording_both(left in values(), right in values()) {
        let mut merged = recorded(&left);
        merged.merge(&recorded(&right));
        prop_assert_eq!(merged, recorded(&[left, right].concat()));
    }
}

#[test]
fn after_a_reset_nothing_is_left() {
    let mut histogram = recorded(&[1, 1000, u64::MAX]);
    histogram.reset();
    assert_eq!(histogram, Histogram::new());
    assert_eq!(histogram.percentile_ns(50.0), None);
}
