//! Every interleaving of the inbox's parking protocol, by the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_inbox --release`
//!
//! loom cannot look into crossbeam's queue. The protocol does not need to know it either, and is tested with the
//! weakest queue it may be used with: a number that is written and read without any ordering. What holds with that one
//! holds with a queue that orders more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]
#![cfg(loom)]

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use tideloop_core::parking::Parking;

/// What an inbox is made of, as loom can see it.
struct Model {
    pushed: AtomicUsize,
    parking: Parking,
    /// The wake fd: stays set until the consumer has seen it.
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pushed: AtomicUsize::new(0),
            parking: Parking::new(),
            woken: Mutex::new(false),
            wake: Condvar::new(),
        })
    }

    fn push(&self) -> bool {
        self.pushed.fetch_add(1, Ordering::Relaxed);
        let must_wake = self.parking.announce();
        if must_wake {
            *self.woken.lock().unwrap() = true;
            self.wake.notify_one();
        }
        must_wake
    }

    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.wake.wait(woken).unwrap();
        }
        *woken = false;
    }

    /// A loop that stops after `expected` items. A lost wake-up leaves it asleep for ever, which loom reports.
    fn consume(&self, expected: usize) {
        let mut taken = 0;
        while taken < expected {
            if self.parking.prepare_to_park(|| self.pushed.load(Ordering::Relaxed) == taken) {
                self.sleep();
            }
            self.parking.unpark();
            taken = self.pushed.load(Ordering::Relaxed);
        }
        assert_eq!(taken, expected);
    }
}

#[test]
fn no_wake_up_is_lost_with_two_producers() {
    // All interleavings take minutes (and hold: 470 s). Those with at most three preemptions take seconds, and show the
    // failure when a fence is taken out.
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(|| {
        let model = Model::new();
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.push())
            })
            .collect();
        model.consume(2);
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

#[test]
fn no_wake_up_is_lost_when_one_producer_pushes_twice() {
    loom::model(|| {
        let model = Model::new();
        let producer = {
            let model = Arc::clone(&model);
            thread::spawn(move || (model.push(), model.push()))
        };
        model.consume(2);
        producer.join().unwrap();
    });
}

#[test]
fn exactly_one_of_two_producers_promises_to_wake_a_parked_consumer() {
    loom::model(|| {
        let model = Model::new();
        assert!(model.parking.prepare_to_park(|| true));
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.push())
        };
        let promises = [model.push(), other.join().unwrap()];
        assert_eq!(promises.iter().filter(|promise| **promise).count(), 1);
    });
}
