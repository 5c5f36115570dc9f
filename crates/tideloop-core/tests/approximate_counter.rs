//! The approximate counter beside a plain sum; its interleavings are in `loom_approximate_counter.rs`.

use proptest::prelude::*;
use tideloop_core::approximate_counter::{ApproximateCounter, Overflow};

proptest! {
    #[test]
    fn the_total_is_within_the_bound_after_each_addition_and_exact_after_a_flush(
        threshold in 1_i64..50,
        shards in 1_usize..5,
        added in prop::collection::vec((0_usize..8, -60_i64..60), 0..200),
    ) {
        let counter = ApproximateCounter::new(threshold, shards);
        let mut truth = 0;
        for (thread, n) in added {
            counter.add(thread, n).unwrap();
            truth += n;
            let bound = i64::try_from(shards).unwrap() * (threshold - 1);
            prop_assert!((truth - counter.approximate()).abs() <= bound);
            prop_assert_eq!(counter.exact(), Ok(truth));
        }
        prop_assert_eq!(counter.flush(), Ok(truth));
        prop_assert_eq!(counter.approximate(), truth);
    }
}

#[test]
fn a_threshold_of_one_makes_it_exact() {
    let counter = ApproximateCounter::new(1, 4);
    for thread in 0..10 {
        counter.add(thread, 1).unwrap();
        assert_eq!(counter.approximate(), i64::try_from(thread).unwrap() + 1);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let counter = ApproximateCounter::new(10, 1);
    counter.add(0, i64::MAX).unwrap();
    counter.add(0, 5).unwrap();
    assert_eq!(counter.add(0, 7), Err(Overflow));
    assert_eq!((counter.approximate(), counter.exact()), (i64::MAX, Err(Overflow)));
    counter.add(0, -6).unwrap();
    assert_eq!(counter.exact(), Ok(i64::MAX - 1));
    assert_eq!(counter.flush(), Ok(i64::MAX - 1));
    counter.add(0, i64::MIN).unwrap();
    assert_eq!(counter.exact(), Ok(-2));
}
