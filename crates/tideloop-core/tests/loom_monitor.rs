//! Every interleaving of the monitor, by the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_monitor --release`
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, Thread};
use tideloop_core::monitor::Monitor;

struct Shared {
    monitor: Monitor<Thread>,
    /// Read and written without any ordering: what the monitor does not order gets lost in some execution.
    count: AtomicUsize,
}

fn enter(monitor: &Monitor<Thread>, me: u64) {
    let mut again = false;
    while !monitor.try_enter(me) {
        if monitor.enter_or_queue(me, thread::current, again, |_| false) {
            return;
        }
        thread::park();
        again = true;
    }
}

fn leave(monitor: &Monitor<Thread>, me: u64) {
    if let Some(waiter) = monitor.leave(me) {
        waiter.unpark();
    }
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self { monitor: Monitor::new(), count: AtomicUsize::new(0) })
    }

    /// A compound operation that enters twice.
    fn count(&self, me: u64) {
        enter(&self.monitor, me);
        enter(&self.monitor, me);
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count + 1, Ordering::Relaxed);
        leave(&self.monitor, me);
        leave(&self.monitor, me);
    }
}

fn counted_by(threads: u64, rounds: usize) {
    let shared = Shared::new();
    let others: Vec<_> = (2..=threads)
        .map(|me| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || (0..rounds).for_each(|_| shared.count(me)))
        })
        .collect();
    (0..rounds).for_each(|_| shared.count(1));
    for other in others {
        other.join().unwrap();
    }
    let expected = usize::try_from(threads).unwrap() * rounds;
    assert_eq!(shared.count.load(Ordering::Relaxed), expected);
}

#[test]
fn two_threads_are_never_inside_together_and_none_is_forgotten() {
    loom::model(|| counted_by(2, 2));
}

#[test]
fn three_threads_are_never_inside_together_and_none_is_forgotten() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| counted_by(3, 1));
}

#[test]
fn a_waiter_that_gives_up_passes_its_wake_up_on() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let shared = Shared::new();
        let patient = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.count(2))
        };
        let hasty = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                if shared.monitor.try_enter(3) || shared.monitor.enter_or_queue(3, thread::current, false, |_| false) {
                    leave(&shared.monitor, 3);
                } else if let Some(waiter) = shared.monitor.withdraw(3) {
                    waiter.unpark();
                }
            })
        };
        shared.count(1);
        hasty.join().unwrap();
        patient.join().unwrap();
        assert_eq!(shared.count.load(Ordering::Relaxed), 2);
    });
}
