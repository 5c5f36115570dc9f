//! Choices: exactly one case of several happens, between threads and between two choices that meet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tideloop_core::both::channel::{Action, Answer, Channel, Outcome, Request};
use tideloop_core::both::gate::{After, Gate};
use tideloop_core::both::select::{Choice, Shuffler, try_now};

type Line = Arc<Gate<Channel<u32>, ()>>;
type Case = (Line, Request<u32>);

fn open(capacity: usize) -> Line {
    Arc::new(Gate::new(Channel::new(Some(capacity))))
}

fn send(label: u32, gate: &Line, value: u32) -> Case {
    (Arc::clone(gate), Request { label, action: Action::Send(value) })
}

fn receive(label: u32, gate: &Line) -> Case {
    (Arc::clone(gate), Request { label, action: Action::Receive })
}

fn tell(_gate: &Line, _after: After<Channel<u32>, ()>) {}

fn waits(cases: Vec<Case>) -> Choice<Channel<u32>, ()> {
    let Err(cases) = try_now(cases, &mut tell) else { panic!("nothing is ready") };
    let (choice, left) = Choice::enter(cases, (), &mut tell);
    assert!(left.is_empty());
    choice
}

const fn answer(label: u32, outcome: Outcome<u32>) -> Answer<u32> {
    Answer::new(label, outcome)
}

fn waiting(gate: &Line) -> [usize; 2] {
    gate.look(|_, waiting| waiting)
}

fn now(case: Case) -> Option<Outcome<u32>> {
    try_now(vec![case], &mut tell).ok().map(|(answer, _)| answer.outcome)
}

#[test]
fn the_first_case_that_is_ready_is_granted_and_the_others_come_back() {
    let (empty, full) = (open(1), open(1));
    assert_eq!(now(send(0, &full, 7)), Some(Outcome::Sent));
    let cases = vec![receive(0, &empty), receive(1, &full), send(2, &empty, 8)];
    let Ok((given, refused)) = try_now(cases, &mut tell) else { panic!("two are ready") };
    assert_eq!(given, answer(1, Outcome::Received(7)));
    assert_eq!(refused.len(), 2);
    assert!(empty.look(|channel, _| channel.is_empty()));
}

#[test]
fn one_who_waits_at_two_channels_is_answered_by_one_and_leaves_the_other() {
    let (a, b) = (open(1), open(1));
    let mut choice = waits(vec![receive(0, &a), receive(1, &b)]);
    assert!(choice.look(&mut tell).is_none());
    assert_eq!(now(send(0, &b, 5)), Some(Outcome::Sent));
    assert_eq!(now(send(0, &a, 6)), Some(Outcome::Sent));
    let (given, requests) = choice.look(&mut tell).expect("b has answered");
    assert_eq!(given, answer(1, Outcome::Received(5)));
    // At `a` it was taken out by the one who sent there.
    assert_eq!(requests.len(), 0);
    assert_eq!((waiting(&a), waiting(&b)), ([0, 0], [0, 0]));
    assert_eq!(now(receive(0, &a)), Some(Outcome::Received(6)));
}

#[test]
fn two_choices_meet_at_a_rendezvous_and_both_are_answered_once() {
    let (a, b) = (open(0), open(0));
    let mut receiver = waits(vec![receive(0, &a), receive(1, &b)]);
    // It comes with a seat, as one does that finds nothing ready at first.
    let (mut sender, left) = Choice::enter(vec![send(0, &b, 1), send(1, &a, 2)], (), &mut tell);
    assert_eq!(left.len(), 1);
    assert_eq!(sender.look(&mut tell).expect("it has met").0, answer(0, Outcome::Sent));
    assert_eq!(receiver.look(&mut tell).expect("it has met").0, answer(1, Outcome::Received(1)));
    assert_eq!((waiting(&a), waiting(&b)), ([0, 0], [0, 0]));
}

#[test]
fn one_that_sends_and_receives_at_one_rendezvous_does_not_meet_itself() {
    let gate = open(0);
    let mut choice = waits(vec![receive(0, &gate), send(1, &gate, 9)]);
    assert_eq!(waiting(&gate), [1, 1]);
    assert!(choice.look(&mut tell).is_none());
    assert_eq!(now(receive(0, &gate)), Some(Outcome::Received(9)));
    assert_eq!(choice.look(&mut tell).expect("its value is gone").0, answer(1, Outcome::Sent));
    assert_eq!(waiting(&gate), [0, 0]);
}

#[test]
fn behind_one_that_stands_in_both_lanes_others_meet_each_other() {
    let gate = open(0);
    let mut both = waits(vec![receive(0, &gate), send(1, &gate, 9)]);
    let mut other = waits_or_met(vec![send(0, &gate, 1), receive(1, &gate)]);
    assert_eq!(both.look(&mut tell).expect("they meet").0, answer(0, Outcome::Received(1)));
    assert_eq!(other.look(&mut tell).expect("they meet").0, answer(0, Outcome::Sent));
}

fn waits_or_met(cases: Vec<Case>) -> Choice<Channel<u32>, ()> {
    Choice::enter(cases, (), &mut tell).0
}

#[test]
fn one_answered_while_it_enters_is_not_answered_again() {
    let (a, b) = (open(0), open(1));
    assert_eq!(now(send(0, &b, 3)), Some(Outcome::Sent));
    // The sender comes to `a` after the choice has entered there and before it enters `b`.
    let mut at_a = true;
    let (mut choice, left) = Choice::enter(vec![receive(0, &a), receive(1, &b)], (), &mut |_, _| {
        if std::mem::take(&mut at_a) {
            assert_eq!(now(send(0, &a, 4)), Some(Outcome::Sent));
        }
    });
    assert_eq!(left.len(), 1);
    assert_eq!(choice.look(&mut tell).expect("a has answered").0, answer(0, Outcome::Received(4)));
    assert_eq!(now(receive(0, &b)), Some(Outcome::Received(3)));
}

#[test]
fn giving_up_brings_every_request_back_or_the_answer() {
    let (a, b) = (open(0), open(0));
    let mut choice = waits(vec![send(0, &a, 1), send(1, &b, 2)]);
    let (given, mut requests) = choice.give_up(&mut tell);
    requests.sort_by_key(|request| request.label);
    assert_eq!((given, requests.len()), (None, 2));
    assert_eq!(now(receive(0, &a)), None);
    let mut choice = waits(vec![receive(0, &a), receive(1, &b)]);
    assert_eq!(now(send(0, &b, 2)), Some(Outcome::Sent));
    assert_eq!(choice.give_up(&mut tell).0, Some(answer(1, Outcome::Received(2))));
}

#[test]
fn every_order_has_the_same_chance() {
    let shuffler = Shuffler::new(1);
    let mut counts = [[0_u32; 4]; 4];
    for _ in 0..10_000 {
        let mut items = [0, 1, 2, 3];
        shuffler.shuffle(&mut items);
        for (place, item) in items.into_iter().enumerate() {
            counts[place][item] += 1;
        }
    }
    for count in counts.into_iter().flatten() {
        assert!((2_300..=2_700).contains(&count), "{count} of 10,000, where 2,500 is fair");
    }
}

/// Sends every number of a range by choices over both channels, while others receive by choices.
#[test]
fn choices_on_threads_lose_and_double_nothing() {
    const EACH: u32 = 2_000;
    let (a, b) = (open(0), open(0));
    let senders_done = AtomicBool::new(false);
    let mut received: Vec<u32> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..2)
            .map(|sender| {
                let (a, b) = (&a, &b);
                scope.spawn(move || {
                    for value in sender * EACH..(sender + 1) * EACH {
                        let mut choice = waits_or_met(vec![send(0, a, value), send(1, b, value)]);
                        while choice.look(&mut tell).is_none() {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = (0..2).map(|_| scope.spawn(|| receive_until(&senders_done, &a, &b))).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        senders_done.store(true, Ordering::Release);
        receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
    });
    received.sort_unstable();
    assert_eq!(received, (0..2 * EACH).collect::<Vec<_>>());
    assert_eq!((waiting(&a), waiting(&b)), ([0, 0], [0, 0]));
}

fn receive_until(done: &AtomicBool, a: &Line, b: &Line) -> Vec<u32> {
    let mut received = Vec::new();
    loop {
        let mut choice = waits_or_met(vec![receive(0, b), receive(1, a)]);
        let answer = loop {
            if let Some((answer, _)) = choice.look(&mut tell) {
                break Some(answer);
            }
            if done.load(Ordering::Acquire) {
                break choice.give_up(&mut tell).0;
            }
            std::thread::yield_now();
        };
        match answer {
            Some(Answer { outcome: Outcome::Received(value), .. }) => received.push(value),
            Some(other) => panic!("not from an open channel: {other:?}"),
            None => return received,
        }
    }
}
