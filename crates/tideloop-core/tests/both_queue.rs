//! A queue's rules at a gate: rooms that are kept, items that come back, shutting down, work that is done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;

use tideloop_core::both::gate::{After, Entered, Gate, Standing};
use tideloop_core::both::line::Line;
use tideloop_core::both::queue::{Answer, Joiners, NoRoom, Popped, Purpose, Queue, Request, TooOften};
use tideloop_core::both::seat::{GivenUp, Seat};

type Rules = Queue<Line<u32>>;
type TestGate = Gate<Rules, ()>;
type TestSeat = Arc<Seat<Answer<u32>, ()>>;

fn gate(maxsize: usize) -> TestGate {
    Gate::new(Queue::new(Line::new(false), maxsize))
}

/// How many were answered.
fn woken(after: &After<Rules, ()>) -> usize {
    after.answered.len()
}

fn wait(gate: &TestGate, request: Request<u32>) -> (Standing, TestSeat) {
    let seat = Arc::new(Seat::new(()));
    match gate.enter(request, &seat) {
        Entered::Waits(standing, after) => {
            assert_eq!(woken(&after), 0);
            (standing, seat)
        }
        Entered::Now(answer, _) => panic!("it does not wait, but gets {answer:?}"),
    }
}

fn put(gate: &TestGate, item: u32) -> (Result<(), NoRoom>, usize) {
    let (outcome, after) = gate.change(|queue, _| queue.room().map(|()| queue.put(item)));
    (outcome, woken(&after))
}

fn get(gate: &TestGate) -> (Popped<u32>, usize) {
    use tideloop_core::both::queue::Buffer;
    let (item, after) = gate.change(|queue, _| queue.buffer.pop());
    (item, woken(&after))
}

#[test]
fn an_item_goes_to_the_one_who_has_waited_longest() {
    let gate = gate(0);
    let first = wait(&gate, Request::Get(Purpose::Get)).1;
    let second = wait(&gate, Request::Get(Purpose::Get)).1;
    assert_eq!(put(&gate, 1), (Ok(()), 1));
    assert_eq!(first.take(), Some(Answer::Item(1, 1)));
    assert!(second.is_open());
    assert_eq!(put(&gate, 2), (Ok(()), 1));
    assert_eq!(second.take(), Some(Answer::Item(2, 2)));
}

#[test]
fn a_place_is_kept_for_one_who_waited_for_room_and_for_nobody_else() {
    let gate = gate(1);
    assert_eq!(put(&gate, 1), (Ok(()), 0));
    let putter = wait(&gate, Request::Put(2)).1;
    assert_eq!(put(&gate, 3), (Err(NoRoom::Full), 0));
    assert_eq!(get(&gate), (Popped::Item(1), 1));
    assert_eq!(get(&gate), (Popped::Empty, 0));
    assert_eq!(put(&gate, 3), (Err(NoRoom::Full), 0));
    assert_eq!(putter.take(), Some(Answer::Room(2)));
    let ((), after) = gate.change(|queue, _| {
        queue.give_place_back();
        queue.put(2);
    });
    assert_eq!(woken(&after), 0);
    assert_eq!(get(&gate).0, Popped::Item(2));
    assert_eq!(put(&gate, 3), (Ok(()), 0));
}

#[test]
fn a_place_that_is_not_used_goes_to_the_next() {
    let gate = gate(1);
    assert_eq!(put(&gate, 1), (Ok(()), 0));
    let (standing, leaving) = wait(&gate, Request::Put(2));
    let next = wait(&gate, Request::Put(3)).1;
    assert_eq!(get(&gate).1, 1);
    let (given_up, request, after) = gate.give_up(standing, &leaving);
    assert_eq!((given_up, request, woken(&after)), (GivenUp::Answered(Answer::Room(2)), None, 0));
    let (left, after) = gate.change(|queue, _| queue.take_back(Answer::Room(2)));
    assert_eq!((left, woken(&after)), (Some(Answer::Refused(2)), 1));
    assert_eq!(next.take(), Some(Answer::Room(3)));
}

#[test]
fn an_item_that_comes_back_is_the_next_again() {
    let gate = gate(0);
    let (standing, leaving) = wait(&gate, Request::Get(Purpose::Get));
    assert_eq!(put(&gate, 1).1, 1);
    assert_eq!(put(&gate, 2).1, 0);
    let (given_up, _, _) = gate.give_up(standing, &leaving);
    assert_eq!(given_up, GivenUp::Answered(Answer::Item(1, 1)));
    assert_eq!(gate.change(|queue, _| queue.take_back(Answer::Item(1, 1))).0, None);
    assert_eq!((get(&gate).0, get(&gate).0), (Popped::Item(1), Popped::Item(2)));
}

#[test]
fn shutting_down_answers_all_who_wait() {
    let gate = gate(1);
    let getter = wait(&gate, Request::Get(Purpose::Iterate)).1;
    let ((), after) = gate.change(|queue, _| queue.shut_down());
    assert_eq!(woken(&after), 1);
    assert_eq!(getter.take(), Some(Answer::Ended(Purpose::Iterate)));
    assert_eq!(put(&gate, 1), (Err(NoRoom::ShutDown), 0));

    let full = self::gate(1);
    assert_eq!(put(&full, 1).0, Ok(()));
    let putter = wait(&full, Request::Put(2)).1;
    let ((), after) = full.change(|queue, _| queue.shut_down());
    assert_eq!(woken(&after), 1);
    assert_eq!(putter.take(), Some(Answer::Refused(2)));
    let seat = Arc::new(Seat::new(()));
    assert!(matches!(full.enter(Request::Get(Purpose::Get), &seat), Entered::Now(Answer::Item(1, _), _)));
    assert!(matches!(full.enter(Request::Get(Purpose::Get), &seat), Entered::Now(Answer::Ended(Purpose::Get), _)));
}

#[test]
fn joiners_go_when_all_work_is_done_and_none_is_done_twice() {
    let gate = gate(0);
    let unfinished = gate.look(|queue, _| queue.unfinished().clone());
    let joiners = Gate::<Joiners, ()>::new(Joiners(unfinished.clone()));
    assert_eq!(put(&gate, 1).0, Ok(()));
    assert_eq!(put(&gate, 2).0, Ok(()));
    let seat = Arc::new(Seat::new(()));
    assert!(matches!(joiners.enter((), &seat), Entered::Waits(..)));
    assert_eq!(gate.change(|queue, _| queue.finish_one()).0, Ok(false));
    assert_eq!(gate.change(|queue, _| queue.finish_one()).0, Ok(true));
    assert_eq!(joiners.change(|_, _| ()).1.answered.len(), 1);
    assert_eq!(seat.take(), Some(()));
    assert_eq!(gate.change(|queue, _| queue.finish_one()).0, Err(TooOften));
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn items_that_are_dropped_count_as_done() {
    let gate = gate(0);
    for item in 0..3 {
        assert_eq!(put(&gate, item).0, Ok(()));
    }
    assert_eq!(get(&gate).0, Popped::Item(0));
    let dropped = gate.change(|queue, _| queue.buffer.drain()).0;
    assert_eq!(dropped, [1, 2]);
    assert!(!gate.change(|queue, _| queue.forget(2)).0);
    assert_eq!(gate.change(|queue, _| queue.finish_one()).0, Ok(true));
}

#[test]
fn those_of_a_forked_process_are_forgotten() {
    let gate = gate(1);
    assert_eq!(put(&gate, 1).0, Ok(()));
    let putter = wait(&gate, Request::Put(2)).1;
    assert_eq!(get(&gate).1, 1);
    assert!(!putter.is_open());
    drop(wait(&gate, Request::Get(Purpose::Get)));
    assert_eq!(gate.forget_everybody().len(), 1);
    let ((), _) = gate.change(|queue, _| queue.forget_kept());
    assert_eq!(put(&gate, 3), (Ok(()), 0));
    assert_eq!(get(&gate).0, Popped::Item(3));
}
