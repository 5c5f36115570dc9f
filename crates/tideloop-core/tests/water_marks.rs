//! The rules of `set_write_buffer_limits`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::water_marks::WaterMarks;

#[test]
fn what_is_not_given_follows_from_what_is() {
    let cases = [
        (None, None, (65536, 16384)),
        (Some(100), None, (100, 25)),
        (None, Some(100), (400, 100)),
        (Some(0), None, (0, 0)),
        (None, Some(0), (0, 0)),
        (Some(7), Some(7), (7, 7)),
        (Some(3), None, (3, 0)),
        (None, Some(usize::MAX), (usize::MAX, usize::MAX)),
    ];
    for (high, low, expected) in cases {
        let marks = WaterMarks::new(high, low).unwrap();
        assert_eq!((marks.high, marks.low), expected, "high={high:?}, low={low:?}");
    }
    assert_eq!(WaterMarks::default(), WaterMarks::new(None, None).unwrap());
}

#[test]
fn a_low_mark_above_the_high_one_is_refused_in_asyncios_words() {
    let error = WaterMarks::new(Some(5), Some(6)).unwrap_err();
    assert_eq!(error.to_string(), "high (5) must be >= low (6) must be >= 0");
}

#[test]
fn a_writer_pauses_above_the_high_mark_and_resumes_at_the_low_one() {
    let marks = WaterMarks::new(Some(10), Some(4)).unwrap();
    assert_eq!([9, 10, 11].map(|len| marks.is_above_high(len)), [false, false, true]);
    assert_eq!([3, 4, 5].map(|len| marks.is_at_or_below_low(len)), [true, true, false]);
}

proptest! {
    #[test]
    fn marks_that_are_accepted_are_in_order(high in any::<Option<usize>>(), low in any::<Option<usize>>()) {
        match WaterMarks::new(high, low) {
            Ok(marks) => prop_assert!(marks.high >= marks.low),
            Err(error) => prop_assert!(error.high < error.low && high == Some(error.high) && low == Some(error.low)),
        }
    }
}
