//! The snapshot cell under real threads; its interleavings are in `loom_snapshot_cell.rs`.

use std::sync::Arc;
use std::thread;

use tideloop_core::snapshot_cell::SnapshotCell;

#[test]
fn a_value_that_is_replaced_is_handed_back() {
    let cell = SnapshotCell::new("one");
    assert_eq!(cell.replace("two"), Some("one"));
    assert_eq!(cell.replace("three"), Some("two"));
    assert_eq!(cell.read(|value| *value), "three");
}

#[test]
fn what_a_reader_has_taken_stays_whole() {
    let cell = SnapshotCell::new(Arc::new(vec![1; 100]));
    let taken = cell.read(Arc::clone);
    drop(cell.replace(Arc::new(vec![2; 100])));
    assert_eq!(*taken, vec![1; 100]);
}

#[test]
fn readers_and_writers_at_once_see_whole_values_in_order() {
    let cell = SnapshotCell::new(Arc::new((0_u32, 0_u32)));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=20_000 {
                drop(cell.replace(Arc::new((number, number))));
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while last < 20_000 {
                    let found = cell.read(Arc::clone);
                    assert_eq!(found.0, found.1);
                    assert!(found.0 >= last);
                    last = found.0;
                }
            });
        }
    });
}
