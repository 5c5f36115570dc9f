//! Every interleaving of the approximate counter, by the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_approximate_counter --release`
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use tideloop_core::approximate_counter::ApproximateCounter;

const THRESHOLD: i64 = 2;

fn add_in_thread(counter: &Arc<ApproximateCounter>, shard: usize, numbers: &'static [i64]) -> thread::JoinHandle<()> {
    let counter = Arc::clone(counter);
    thread::spawn(move || {
        for &n in numbers {
            counter.add(shard, n).unwrap();
        }
    })
}

#[test]
fn nothing_is_lost_when_two_threads_share_a_shard() {
    loom::model(|| {
        let counter = Arc::new(ApproximateCounter::new(THRESHOLD, 1));
        let other = add_in_thread(&counter, 0, &[1, 1]);
        counter.add(0, 1).unwrap();
        counter.add(0, 1).unwrap();
        other.join().unwrap();
        assert!((4 - counter.approximate()).abs() < THRESHOLD);
        assert_eq!(counter.exact(), Ok(4));
        assert_eq!(counter.flush(), Ok(4));
        assert_eq!(counter.approximate(), 4);
    });
}

#[test]
fn an_addition_that_has_returned_is_in_every_exact_sum() {
    loom::model(|| {
        let counter = Arc::new(ApproximateCounter::new(THRESHOLD, 1));
        let other = add_in_thread(&counter, 0, &[1, 1]);
        counter.add(0, 1).unwrap();
        // The other thread may just be carrying this one to the total.
        let sum = counter.exact().unwrap();
        assert!((1..=3).contains(&sum), "{sum}");
        other.join().unwrap();
    });
}

#[test]
fn the_total_is_never_further_off_than_the_shards_can_gather() {
    loom::model(|| {
        let counter = Arc::new(ApproximateCounter::new(THRESHOLD, 2));
        let other = add_in_thread(&counter, 1, &[1, 1]);
        counter.add(0, 1).unwrap();
        counter.add(0, 1).unwrap();
        counter.add(0, 1).unwrap();
        let total = counter.approximate();
        assert!((3 - (THRESHOLD - 1)..=5).contains(&total), "{total}");
        other.join().unwrap();
        assert_eq!(counter.flush(), Ok(5));
    });
}

#[test]
fn two_flushes_and_an_addition_count_everything_once() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let counter = Arc::new(ApproximateCounter::new(THRESHOLD, 2));
        let other = add_in_thread(&counter, 1, &[1, 1]);
        let flusher = {
            let counter = Arc::clone(&counter);
            thread::spawn(move || assert!((0..=3).contains(&counter.flush().unwrap())))
        };
        counter.add(0, 1).unwrap();
        assert!((1..=3).contains(&counter.flush().unwrap()));
        other.join().unwrap();
        flusher.join().unwrap();
        assert_eq!(counter.flush(), Ok(3));
    });
}
