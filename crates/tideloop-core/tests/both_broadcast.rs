//! Broadcasts and watched values: everybody gets everything, or is told what it has missed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;

use tideloop_core::both::broadcast::{Answer, Broadcast, Request, Subscriber};
use tideloop_core::both::gate::{Entered, Gate, Standing};
use tideloop_core::both::seat::{GivenUp, Seat};
use tideloop_core::both::watch::{self, Watch};

type Line = Gate<Broadcast<u32>, ()>;
type Place = Arc<Seat<Answer<u32>, ()>>;

fn open(capacity: usize, drops_oldest: bool) -> Line {
    Gate::new(Broadcast::new(capacity, drops_oldest))
}

fn subscribe(gate: &Line) -> Subscriber {
    gate.change(|broadcast, _| broadcast.subscribe()).0
}

fn send(gate: &Line, value: u32) -> Option<Answer<u32>> {
    gate.try_now(Request::Send(value)).0.ok()
}

fn receive(gate: &Line, subscriber: Subscriber) -> Option<Answer<u32>> {
    gate.try_now(Request::Receive(subscriber, 7)).0.ok()
}

fn waits(gate: &Line, request: Request<u32>) -> (Standing, Place) {
    let seat = Arc::new(Seat::new(()));
    match gate.enter(request, &seat) {
        Entered::Waits(standing, _) => (standing, seat),
        Entered::Now(answer, _) => panic!("it need not wait: {answer:?}"),
    }
}

#[test]
fn every_subscriber_gets_every_value_from_its_subscription_on() {
    let gate = open(4, false);
    assert_eq!(send(&gate, 0), Some(Answer::Sent(Some(0))));
    let early = subscribe(&gate);
    assert_eq!(send(&gate, 1), Some(Answer::Sent(None)));
    let late = subscribe(&gate);
    assert_eq!(send(&gate, 2), Some(Answer::Sent(None)));
    assert_eq!(receive(&gate, early), Some(Answer::Received(early, 1)));
    assert_eq!(receive(&gate, early), Some(Answer::Received(early, 2)));
    assert_eq!(receive(&gate, early), None);
    assert_eq!(receive(&gate, late), Some(Answer::Received(late, 2)));
    assert_eq!(receive(&gate, late), None);
}

#[test]
fn the_sender_waits_for_the_slowest() {
    let gate = open(2, false);
    let (fast, slow) = (subscribe(&gate), subscribe(&gate));
    for value in 1..=2 {
        assert_eq!(send(&gate, value), Some(Answer::Sent(None)));
        assert_eq!(receive(&gate, fast), Some(Answer::Received(fast, value)));
    }
    assert_eq!(send(&gate, 3), None);
    let (_, sender) = waits(&gate, Request::Send(3));
    assert_eq!(receive(&gate, slow), Some(Answer::Received(slow, 1)));
    assert_eq!(sender.take(), Some(Answer::Sent(None)));
    assert_eq!(receive(&gate, fast), Some(Answer::Received(fast, 3)));
}

#[test]
fn a_subscriber_that_leaves_frees_the_sender_who_waits_for_it() {
    let gate = open(1, false);
    let (fast, slow) = (subscribe(&gate), subscribe(&gate));
    assert_eq!(send(&gate, 1), Some(Answer::Sent(None)));
    assert_eq!(receive(&gate, fast), Some(Answer::Received(fast, 1)));
    let (_, sender) = waits(&gate, Request::Send(2));
    let (left, _) = gate.change(|broadcast, _| broadcast.unsubscribe(slow));
    assert_eq!((left, sender.take()), (vec![1], Some(Answer::Sent(None))));
    assert_eq!(receive(&gate, slow), Some(Answer::Ended(7)));
    assert_eq!(receive(&gate, fast), Some(Answer::Received(fast, 2)));
    // Without anybody, values go nowhere.
    let _ = gate.change(|broadcast, _| broadcast.unsubscribe(fast));
    assert_eq!(send(&gate, 3), Some(Answer::Sent(Some(3))));
}

#[test]
fn one_who_was_too_slow_is_told_how_much_it_has_missed() {
    let gate = open(2, true);
    let subscriber = subscribe(&gate);
    for value in 1..=2 {
        assert_eq!(send(&gate, value), Some(Answer::Sent(None)));
    }
    assert_eq!(send(&gate, 3), Some(Answer::Sent(Some(1))));
    assert_eq!(send(&gate, 4), Some(Answer::Sent(Some(2))));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Lagged(subscriber, 2)));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Received(subscriber, 3)));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Received(subscriber, 4)));
    assert_eq!(receive(&gate, subscriber), None);
}

#[test]
fn one_who_has_news_does_not_wait_behind_one_who_has_none() {
    let gate = open(4, false);
    let (ahead, behind) = (subscribe(&gate), subscribe(&gate));
    assert_eq!(send(&gate, 1), Some(Answer::Sent(None)));
    assert_eq!(receive(&gate, ahead), Some(Answer::Received(ahead, 1)));
    let (_, seat) = waits(&gate, Request::Receive(ahead, 0));
    assert_eq!(receive(&gate, behind), Some(Answer::Received(behind, 1)));
    let (_, second) = waits(&gate, Request::Receive(ahead, 0));
    let (_, other) = waits(&gate, Request::Receive(behind, 0));
    assert_eq!(send(&gate, 2), Some(Answer::Sent(None)));
    assert_eq!(seat.take(), Some(Answer::Received(ahead, 2)));
    assert_eq!(other.take(), Some(Answer::Received(behind, 2)));
    assert!(second.is_open());
}

#[test]
fn what_a_receiver_gives_back_is_its_subscribers_next_one() {
    let gate = open(1, true);
    let subscriber = subscribe(&gate);
    let (standing, seat) = waits(&gate, Request::Receive(subscriber, 0));
    assert_eq!(send(&gate, 1), Some(Answer::Sent(None)));
    assert_eq!(send(&gate, 2), Some(Answer::Sent(None)));
    let (GivenUp::Answered(answer), ..) = gate.give_up(standing, &seat) else { panic!("it has it") };
    assert_eq!(gate.change(|broadcast, _| broadcast.take_back(answer)).0, None);
    assert_eq!(gate.look(|broadcast, _| broadcast.unread(subscriber)), Some(2));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Received(subscriber, 1)));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Received(subscriber, 2)));
    let _ = gate.change(|broadcast, _| broadcast.unsubscribe(subscriber));
    let gone = gate.change(|broadcast, _| broadcast.take_back(Answer::Received(subscriber, 9))).0;
    assert_eq!(gone, Some(9));
}

#[test]
fn the_close_of_a_broadcast_comes_after_what_was_sent() {
    let gate = open(1, false);
    let subscriber = subscribe(&gate);
    assert_eq!(send(&gate, 1), Some(Answer::Sent(None)));
    let (_, sender) = waits(&gate, Request::Send(2));
    let _ = gate.change(|broadcast, _| broadcast.close());
    assert_eq!(sender.take(), Some(Answer::Refused(2)));
    assert_eq!(send(&gate, 3), Some(Answer::Refused(3)));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Received(subscriber, 1)));
    assert_eq!(receive(&gate, subscriber), Some(Answer::Ended(7)));
}

#[test]
fn one_who_watches_gets_the_newest_value_and_misses_those_before() {
    let gate: Gate<Watch<u32>, ()> = Gate::new(Watch::new(0));
    let watcher = gate.look(|watch, _| watch.watcher());
    let ask = || watch::Request { watcher: watcher.clone(), label: 7 };
    assert!(gate.try_now(ask()).0.is_err());
    for value in 1..=3 {
        assert_eq!(gate.change(|watch, _| watch.set(value)).0, Ok(value - 1));
    }
    let Ok(watch::Answer::Newer(_, version, value)) = gate.try_now(ask()).0 else { panic!("there is news") };
    assert_eq!((version, value), (3, 3));
    // Until it says that it has seen it, it may be asked for again.
    assert!(gate.look(|watch, _| watch.is_newer(&watcher)));
    watcher.has_seen(version);
    assert!(gate.try_now(ask()).0.is_err());
    let _ = gate.change(|watch, _| watch.close());
    assert!(matches!(gate.try_now(ask()).0, Ok(watch::Answer::Ended(7))));
    assert_eq!(gate.change(|watch, _| watch.set(4)).0, Err(4));
}

#[test]
fn one_who_has_not_seen_the_newest_value_does_not_wait_behind_one_who_has() {
    let gate: Gate<Watch<u32>, ()> = Gate::new(Watch::new(0));
    let behind = gate.look(|watch, _| watch.watcher());
    let _ = gate.change(|watch, _| watch.set(1));
    let ahead = gate.look(|watch, _| watch.watcher());
    let seat = Arc::new(Seat::new(()));
    let entered = gate.enter(watch::Request { watcher: ahead, label: 0 }, &seat);
    assert!(matches!(entered, Entered::Waits(..)));
    assert!(gate.try_now(watch::Request { watcher: behind, label: 0 }).0.is_ok());
    let _ = gate.change(|watch, _| watch.set(2));
    assert!(matches!(seat.take(), Some(watch::Answer::Newer(_, 2, 2))));
}
