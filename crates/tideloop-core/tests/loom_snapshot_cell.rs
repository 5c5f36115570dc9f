//! Every interleaving of the snapshot cell, by the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_snapshot_cell --release`
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use tideloop_core::snapshot_cell::SnapshotCell;

fn value(cell: &SnapshotCell<Arc<(u32, u32)>>) -> u32 {
    let found = cell.read(Arc::clone);
    assert_eq!(found.0, found.1, "half a value");
    found.0
}

#[test]
fn a_reader_sees_whole_values_and_never_an_older_one_again() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cell = Arc::new(SnapshotCell::new(Arc::new((0, 0))));
        let writer = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                for number in 1..=3 {
                    let old = cell.replace(Arc::new((number, number))).unwrap();
                    assert_eq!(old.0, number - 1);
                }
            })
        };
        let first = value(&cell);
        let second = value(&cell);
        assert!(first <= second, "{first} and then {second}");
        writer.join().unwrap();
        assert_eq!(value(&cell), 3);
    });
}

#[test]
fn what_one_reader_has_seen_no_later_reader_misses() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let cell = Arc::new(SnapshotCell::new(Arc::new((0, 0))));
        let writer = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || (1..=2).for_each(|number| drop(cell.replace(Arc::new((number, number))))))
        };
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || value(&cell))
        };
        let seen = reader.join().unwrap();
        let later = value(&cell);
        assert!(seen <= later, "{seen} and then {later}");
        writer.join().unwrap();
    });
}

#[test]
fn each_value_leaves_two_writers_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cell = Arc::new(SnapshotCell::new(Arc::new((0, 0))));
        let writer = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.replace(Arc::new((1, 1))).unwrap().0)
        };
        let mut left = vec![cell.replace(Arc::new((2, 2))).unwrap().0, writer.join().unwrap(), value(&cell)];
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2]);
    });
}
