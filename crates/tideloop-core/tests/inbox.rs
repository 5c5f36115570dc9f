//! The inbox with real threads. That no interleaving loses a wake-up is shown in `loom_inbox.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]
#![cfg(not(loom))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tideloop_core::inbox::Inbox;

const THREADS: usize = 4;
const PUSHES: usize = 100_000;
/// Far more than any machine needs: it turns a lost wake-up into a failure instead of a test that hangs.
const LOST: Duration = Duration::from_secs(60);

#[test]
fn four_threads_lose_no_item_no_order_and_no_wake_up() {
    let inbox = Arc::new(Inbox::new());
    // Stands for the wake fd: any number of wakes before the consumer looks are one.
    let (wake, woken) = mpsc::sync_channel::<()>(1);
    let wakes = Arc::new(AtomicUsize::new(0));
    let producers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (inbox, wake, wakes) = (Arc::clone(&inbox), wake.clone(), Arc::clone(&wakes));
            thread::spawn(move || {
                for i in 0..PUSHES {
                    if inbox.push((thread, i)) {
                        wakes.fetch_add(1, Ordering::Relaxed);
                        let _ = wake.try_send(());
                    }
                }
            })
        })
        .collect();

    let mut next = [0; THREADS];
    let mut parked = 0;
    while next.iter().sum::<usize>() < THREADS * PUSHES {
        if inbox.prepare_to_park() {
            parked += 1;
            woken.recv_timeout(LOST).expect("a wake-up was lost");
        }
        inbox.unpark();
        while let Some((thread, i)) = inbox.try_pop() {
            assert_eq!(i, next[thread], "out of order");
            next[thread] += 1;
        }
    }
    for producer in producers {
        producer.join().expect("a producer failed");
    }
    assert!(inbox.is_empty());
    // At most one promise for each time that the flag was raised; it is also raised, and lowered, when items are found.
    assert!(wakes.load(Ordering::Relaxed) <= THREADS * PUSHES);
    assert!(parked <= THREADS * PUSHES);
}

#[test]
fn a_push_to_a_running_consumer_asks_for_no_wake_up() {
    let inbox = Inbox::new();
    assert!(!inbox.push(1));
    assert_eq!(inbox.try_pop(), Some(1));
    assert_eq!(inbox.try_pop(), None);
}

#[test]
fn of_many_pushes_to_a_parked_consumer_one_asks_for_a_wake_up() {
    let inbox = Inbox::new();
    assert!(inbox.prepare_to_park());
    assert_eq!([inbox.push(1), inbox.push(2), inbox.push(3)], [true, false, false]);
    inbox.unpark();
    assert!(!inbox.push(4));
    assert_eq!(inbox.len(), 4);
}

#[test]
fn a_consumer_does_not_park_on_a_full_inbox() {
    let inbox = Inbox::new();
    assert!(!inbox.push(1));
    assert!(!inbox.prepare_to_park());
    assert!(!inbox.push(2), "the flag is down again: nobody needs to wake a consumer that did not park");
}
