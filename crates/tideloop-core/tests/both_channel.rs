//! Channels: what is sent is received once, in order, whoever leaves meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;

use tideloop_core::both::channel::{Action, Answer, Channel, Outcome, Request};
use tideloop_core::both::gate::{Entered, Gate, Standing};
use tideloop_core::both::seat::{GivenUp, Seat};

type Line = Gate<Channel<u32>, ()>;
type Place = Arc<Seat<Answer<u32>, ()>>;

fn open(capacity: Option<usize>) -> Line {
    Gate::new(Channel::new(capacity))
}

const fn send(value: u32) -> Request<u32> {
    Request { label: 0, action: Action::Send(value) }
}

const fn receive() -> Request<u32> {
    Request { label: 0, action: Action::Receive }
}

fn now(gate: &Line, request: Request<u32>) -> Option<Outcome<u32>> {
    let (outcome, after) = gate.try_now(request);
    assert!(after.stale.is_empty());
    outcome.ok().map(|answer| answer.outcome)
}

fn waits(gate: &Line, request: Request<u32>) -> (Standing, Place) {
    let seat = Arc::new(Seat::new(()));
    match gate.enter(request, &seat) {
        Entered::Waits(standing, _) => (standing, seat),
        Entered::Now(answer, _) => panic!("it need not wait: {answer:?}"),
    }
}

fn told(seat: &Place) -> Option<Outcome<u32>> {
    seat.take().map(|answer| answer.outcome)
}

#[test]
fn a_bounded_channel_holds_its_capacity_and_gives_the_oldest_first() {
    let gate = open(Some(2));
    assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
    assert_eq!(now(&gate, send(2)), Some(Outcome::Sent));
    assert_eq!(now(&gate, send(3)), None);
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    assert_eq!(now(&gate, send(3)), Some(Outcome::Sent));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(2)));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(3)));
    assert_eq!(now(&gate, receive()), None);
}

#[test]
fn an_unbounded_channel_takes_whatever_comes() {
    let gate = open(None);
    for value in 0..1000 {
        assert_eq!(now(&gate, send(value)), Some(Outcome::Sent));
    }
    assert_eq!(gate.look(|channel, _| channel.len()), 1000);
}

#[test]
fn senders_who_wait_go_on_in_order_as_room_comes() {
    let gate = open(Some(1));
    assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
    let ((_, second), (_, third)) = (waits(&gate, send(2)), waits(&gate, send(3)));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    assert_eq!((told(&second), told(&third)), (Some(Outcome::Sent), None));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(2)));
    assert_eq!(told(&third), Some(Outcome::Sent));
}

#[test]
fn nobody_overtakes_a_sender_who_waits() {
    let gate = open(Some(1));
    assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
    let (_, second) = waits(&gate, send(2));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    assert_eq!(now(&gate, send(3)), None);
    assert_eq!(told(&second), Some(Outcome::Sent));
}

#[test]
fn at_a_rendezvous_either_side_may_come_first() {
    let gate = open(Some(0));
    assert_eq!((now(&gate, send(1)), now(&gate, receive())), (None, None));
    let (_, sender) = waits(&gate, send(1));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    assert_eq!(told(&sender), Some(Outcome::Sent));
    let (_, receiver) = waits(&gate, receive());
    assert_eq!(now(&gate, send(2)), Some(Outcome::Sent));
    assert_eq!(told(&receiver), Some(Outcome::Received(2)));
    assert!(gate.look(|channel, _| channel.is_empty()));
}

#[test]
fn a_rendezvous_passes_over_who_has_left() {
    let gate = open(Some(0));
    let ((gone, left), (_, stays)) = (waits(&gate, receive()), waits(&gate, receive()));
    assert_eq!(left.give_up(), GivenUp::InTime);
    let (outcome, after) = gate.try_now(send(1));
    assert_eq!(outcome.unwrap().outcome, Outcome::Sent);
    assert_eq!((after.stale.len(), after.answered.len()), (1, 1));
    assert_eq!(told(&stays), Some(Outcome::Received(1)));
    assert!(gate.withdraw(gone).0.is_none());
}

#[test]
fn a_value_given_to_a_receiver_who_leaves_is_the_next_one_again() {
    for capacity in [Some(0), Some(1), None] {
        let gate = open(capacity);
        let (standing, receiver) = waits(&gate, receive());
        assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
        if capacity != Some(0) {
            assert_eq!(now(&gate, send(2)), Some(Outcome::Sent));
        }
        let (GivenUp::Answered(answer), None, _) = gate.give_up(standing, &receiver) else { panic!("it has it") };
        let (left, _) = gate.change(|channel, _| channel.take_back(answer));
        assert_eq!(left, None);
        assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    }
}

#[test]
fn a_sender_who_leaves_in_time_has_not_sent() {
    let gate = open(Some(0));
    let (standing, sender) = waits(&gate, send(1));
    let (given_up, request, _) = gate.give_up(standing, &sender);
    assert_eq!((given_up, request), (GivenUp::InTime, Some(send(1))));
    assert_eq!(now(&gate, receive()), None);
}

#[test]
fn closing_refuses_senders_and_ends_receivers_when_it_is_empty() {
    for capacity in [Some(0), Some(1)] {
        let gate = open(capacity);
        if capacity == Some(1) {
            assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
        }
        let (_, sender) = waits(&gate, send(2));
        let _ = gate.change(|channel, _| channel.close());
        assert_eq!(told(&sender), Some(Outcome::Refused(2)));
        assert_eq!(now(&gate, send(3)), Some(Outcome::Refused(3)));
        if capacity == Some(1) {
            assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
        }
        assert_eq!(now(&gate, receive()), Some(Outcome::Ended));
        assert_eq!(now(&gate, receive()), Some(Outcome::Ended));
    }
}

#[test]
fn closing_ends_all_receivers_who_wait() {
    let gate = open(Some(3));
    let ((_, one), (_, other)) = (waits(&gate, receive()), waits(&gate, receive()));
    let ((), after) = gate.change(|channel, _| channel.close());
    assert_eq!(after.answered.len(), 2);
    assert_eq!((told(&one), told(&other)), (Some(Outcome::Ended), Some(Outcome::Ended)));
}

#[test]
fn what_a_receiver_gives_back_after_the_close_is_received_before_the_end() {
    let gate = open(Some(0));
    let (standing, receiver) = waits(&gate, receive());
    assert_eq!(now(&gate, send(1)), Some(Outcome::Sent));
    let _ = gate.change(|channel, _| channel.close());
    let (GivenUp::Answered(answer), ..) = gate.give_up(standing, &receiver) else { panic!("it has it") };
    let _ = gate.change(|channel, _| channel.take_back(answer));
    assert_eq!(now(&gate, receive()), Some(Outcome::Received(1)));
    assert_eq!(now(&gate, receive()), Some(Outcome::Ended));
}
