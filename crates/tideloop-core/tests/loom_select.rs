//! Interleavings of choices between channels, by the model checker: each value is received once, nobody sleeps for ever.
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_select --release`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]
#![cfg(loom)]

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use tideloop_core::both::channel::{Action, Answer, Channel, Outcome, Request};
use tideloop_core::both::gate::{After, Gate};
use tideloop_core::both::select::{Choice, try_now};

/// A door at which a thread sleeps.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn knock(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    /// One that is never knocked at leaves its thread asleep for ever, which loom reports.
    fn sleep(&self) {
        let mut woken = self.0.0.lock().unwrap();
        while !*woken {
            woken = self.0.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

type Line = Arc<Gate<Channel<u32>, Door>>;
type Case = (Line, Request<u32>);

fn open(capacity: usize) -> Line {
    Arc::new(Gate::new(Channel::new(Some(capacity))))
}

fn send(gate: &Line, value: u32) -> Case {
    (Arc::clone(gate), Request { label: value, action: Action::Send(value) })
}

fn receive(gate: &Line) -> Case {
    (Arc::clone(gate), Request { label: 0, action: Action::Receive })
}

fn tell(_gate: &Line, after: After<Channel<u32>, Door>) {
    for seat in after.answered {
        seat.door.knock();
    }
}

/// What `select` does in a thread.
fn select(cases: Vec<Case>) -> Answer<u32> {
    let cases = match try_now(cases, &mut tell) {
        Ok((answer, _)) => return answer,
        Err(cases) => cases,
    };
    let door = Door::default();
    let (mut choice, _) = Choice::enter(cases, door.clone(), &mut tell);
    loop {
        if let Some((answer, _)) = choice.look(&mut tell) {
            return answer;
        }
        door.sleep();
    }
}

/// Gives up at once, unless it has been answered by then: a time-out of nothing. What it was given goes back.
fn select_impatiently(cases: Vec<Case>, from: &Line) -> Option<u32> {
    let (mut choice, _) = Choice::enter(cases, Door::default(), &mut tell);
    match choice.give_up(&mut tell).0? {
        answer @ Answer { outcome: Outcome::Received(_), .. } => {
            let (_, after) = from.change(|channel, _| channel.take_back(answer));
            tell(from, after);
            None
        }
        Answer { outcome: Outcome::Sent, label, .. } => Some(label),
        other => panic!("not from an open channel: {other:?}"),
    }
}

fn received(answer: Answer<u32>) -> u32 {
    match answer.outcome {
        Outcome::Received(value) => value,
        other => panic!("not a value: {other:?}"),
    }
}

/// The executions of one model are bounded by three preemptions: seconds rather than hours.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut bounded = loom::model::Builder::new();
    bounded.preemption_bound = Some(3);
    bounded.check(model);
}

#[test]
fn two_choices_that_enter_two_channels_in_opposite_orders_meet_once() {
    check(|| {
        let (a, b) = (open(0), open(0));
        let sender = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || select(vec![send(&a, 1), send(&b, 2)]))
        };
        let value = received(select(vec![receive(&b), receive(&a)]));
        let sent = sender.join().unwrap();
        // The label of the case that was granted is its value.
        assert_eq!((sent.outcome, sent.label), (Outcome::Sent, value));
        assert_eq!((a.look(|_, waiting| waiting), b.look(|_, waiting| waiting)), ([0, 0], [0, 0]));
    });
}

#[test]
fn two_choices_that_would_both_send_and_receive_exchange_one_value() {
    check(|| {
        let (a, b) = (open(0), open(0));
        let other = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || select(vec![send(&a, 1), receive(&b)]))
        };
        let mine = select(vec![send(&b, 2), receive(&a)]);
        let theirs = other.join().unwrap();
        let expected = match mine.outcome {
            Outcome::Sent => Outcome::Received(2),
            Outcome::Received(1) => Outcome::Sent,
            other => panic!("not of these: {other:?}"),
        };
        assert_eq!(theirs.outcome, expected);
        assert!(a.look(|channel, waiting| channel.is_empty() && waiting == [0, 0]));
        assert!(b.look(|channel, waiting| channel.is_empty() && waiting == [0, 0]));
    });
}

#[test]
fn two_receivers_by_choice_get_each_value_once() {
    check(|| {
        let (a, b) = (open(1), open(1));
        let other = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || received(select(vec![receive(&a), receive(&b)])))
        };
        assert_eq!(select(vec![send(&b, 2)]).outcome, Outcome::Sent);
        assert_eq!(select(vec![send(&a, 1)]).outcome, Outcome::Sent);
        let mine = received(select(vec![receive(&b), receive(&a)]));
        assert_eq!(mine + other.join().unwrap(), 3);
    });
}

#[test]
fn a_value_given_to_a_choice_that_leaves_is_there_for_the_next() {
    check(|| {
        let a = open(0);
        let impatient = {
            let a = Arc::clone(&a);
            thread::spawn(move || select_impatiently(vec![receive(&a)], &a))
        };
        let sender = {
            let a = Arc::clone(&a);
            thread::spawn(move || select(vec![send(&a, 1)]))
        };
        assert_eq!(received(select(vec![receive(&a)])), 1);
        assert_eq!(sender.join().unwrap().outcome, Outcome::Sent);
        assert_eq!(impatient.join().unwrap(), None);
    });
}

#[test]
fn a_choice_of_senders_that_leaves_has_sent_one_value_or_none() {
    check(|| {
        let (a, b) = (open(0), open(0));
        let impatient = {
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            thread::spawn(move || {
                let sent = select_impatiently(vec![send(&a, 1), send(&b, 2)], &a);
                let closed = b.change(|channel, _| channel.close()).1;
                tell(&b, closed);
                sent
            })
        };
        let answer = select(vec![receive(&b)]);
        let sent = impatient.join().unwrap();
        let expected = if sent == Some(2) { Outcome::Received(2) } else { Outcome::Ended };
        assert_eq!((answer.outcome, sent == Some(1)), (expected, false));
    });
}
