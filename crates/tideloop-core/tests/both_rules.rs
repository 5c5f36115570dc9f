//! The rules of conditions, barriers, readers-writer locks, latches and `Once`, at a gate without Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;

use tideloop_core::both::barrier::{Answer, Arrival, Barrier, Request as Coming};
use tideloop_core::both::condition::Condition;
use tideloop_core::both::gate::{Entered, Gate, Rules, Standing};
use tideloop_core::both::latch::Latch;
use tideloop_core::both::once::{self, Once};
use tideloop_core::both::rwlock::{Access, Policy, Request, RwLock};
use tideloop_core::both::seat::{GivenUp, Seat};

type Place<R> = (Standing, Arc<Seat<<R as Rules>::Answer, ()>>);

fn waits<R: Rules>(gate: &Gate<R, ()>, request: R::Request) -> Place<R> {
    let seat = Arc::new(Seat::new(()));
    match gate.enter(request, &seat) {
        Entered::Waits(standing, _) => (standing, seat),
        Entered::Now(..) => panic!("it need not wait"),
    }
}

fn change<R: Rules, T>(gate: &Gate<R, ()>, act: impl FnOnce(&mut R, [usize; 2]) -> T) -> T {
    gate.change(act).0
}

#[test]
fn a_notification_is_for_so_many_of_those_who_came_before_it() {
    let gate = Gate::new(Condition::default());
    let round = gate.look(|condition, _| condition.round());
    let places: Vec<Place<Condition>> = (0..3).map(|_| waits(&gate, round)).collect();
    change(&gate, |condition, _| condition.notify(2));
    let told: Vec<bool> = places.iter().map(|(_, seat)| seat.take().is_some()).collect();
    assert_eq!(told, [true, true, false]);
    change(&gate, |condition, _| condition.notify(5));
    assert!(places[2].1.take().is_some());
    // What was left of it is not for one who comes now.
    let round = gate.look(|condition, _| condition.round());
    let late = waits(&gate, round);
    assert!(late.1.take().is_none());
}

#[test]
fn one_who_left_before_it_was_notified_takes_no_notification() {
    let gate = Gate::new(Condition::default());
    let first = waits(&gate, 0);
    let second = waits(&gate, 0);
    // The seat first, as when the mutex is not had at once.
    assert_eq!(first.1.give_up(), GivenUp::InTime);
    change(&gate, |condition, _| condition.notify(1));
    assert!(second.1.take().is_some());
}

#[test]
fn a_barrier_lets_all_go_in_the_order_in_which_they_came() {
    let gate = Gate::new(Barrier::new(3, false));
    let mut places = Vec::new();
    for _ in 0..2 {
        let Arrival::Waits(request) = change(&gate, |barrier, waiting| barrier.arrive(waiting[0])) else {
            panic!("it is not the last")
        };
        places.push(waits(&gate, request));
    }
    assert_eq!(change(&gate, |barrier, waiting| barrier.arrive(waiting[0])), Arrival::Passed(2));
    let told: Vec<Option<Answer>> = places.iter().map(|(_, seat)| seat.take()).collect();
    assert_eq!(told, [Some(Answer::Passed(0)), Some(Answer::Passed(1))]);
}

#[test]
fn while_the_last_one_acts_nobody_leaves_and_nobody_comes_in() {
    let gate = Gate::new(Barrier::new(2, true));
    let Arrival::Waits(request) = change(&gate, |barrier, waiting| barrier.arrive(waiting[0])) else {
        panic!("it is not the last")
    };
    let first = waits(&gate, request);
    let Arrival::Acts(round) = change(&gate, |barrier, waiting| barrier.arrive(waiting[0])) else {
        panic!("it is the last")
    };
    let early = change(&gate, |barrier, waiting| barrier.arrive(waiting[0]));
    assert_eq!(early, Arrival::Waits(Coming::Outside));
    let early = waits(&gate, Coming::Outside);
    assert!(first.1.is_open());
    assert!(early.1.is_open());
    assert_eq!(change(&gate, |barrier, _| barrier.acted(round)), Some(1));
    assert_eq!(first.1.take(), Some(Answer::Passed(0)));
    assert_eq!(early.1.take(), Some(Answer::ComeIn));
}

#[test]
fn a_barrier_that_is_broken_or_reset_tells_those_who_wait() {
    let gate = Gate::new(Barrier::new(2, true));
    let first = waits(&gate, Coming::Round(0));
    let Arrival::Acts(round) = change(&gate, |barrier, waiting| barrier.arrive(waiting[0])) else {
        panic!("it is the last")
    };
    change(&gate, |barrier, _| barrier.abort());
    assert_eq!(first.1.take(), Some(Answer::Broken));
    assert_eq!(change(&gate, |barrier, _| barrier.acted(round)), None);
    assert_eq!(change(&gate, |barrier, waiting| barrier.arrive(waiting[0])), Arrival::Broken);
    change(&gate, |barrier, _| barrier.reset());
    assert!(!gate.look(|barrier, _| barrier.is_broken()));
}

fn order(policy: Policy) -> Vec<Access> {
    let gate = Gate::new(RwLock::default());
    let ask = |access| Request { policy, access };
    assert!(gate.try_now(ask(Access::Write)).0.is_ok());
    let accesses = [Access::Read, Access::Write, Access::Read, Access::Write];
    let mut places: Vec<(Access, Place<RwLock>)> =
        accesses.into_iter().map(|access| (access, waits(&gate, ask(access)))).collect();
    let mut order = Vec::new();
    change(&gate, |lock, _| lock.leave(Access::Write));
    while !places.is_empty() {
        let (told, rest): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, (_, seat))| seat.take().is_some());
        assert!(!told.is_empty(), "nobody is let in");
        for (access, _) in told {
            order.push(access);
            change(&gate, |lock, _| lock.leave(access));
        }
        places = rest;
    }
    order
}

#[test]
fn the_policy_says_who_is_let_in_first() {
    use Access::{Read, Write};
    assert_eq!(order(Policy::Fair), [Read, Write, Read, Write]);
    assert_eq!(order(Policy::Reader), [Read, Read, Write, Write]);
    assert_eq!(order(Policy::Writer), [Write, Write, Read, Read]);
}

#[test]
fn a_writer_that_leaves_the_queue_lets_the_readers_behind_it_in() {
    let gate = Gate::new(RwLock::default());
    let ask = |access| Request { policy: Policy::Fair, access };
    assert!(gate.try_now(ask(Access::Read)).0.is_ok());
    let writer = waits(&gate, ask(Access::Write));
    let reader = waits(&gate, ask(Access::Read));
    let (given_up, ..) = gate.give_up(writer.0, &writer.1);
    assert_eq!(given_up, GivenUp::InTime);
    assert_eq!(reader.1.take(), Some(Access::Read));
    assert_eq!(gate.look(|lock, _| (lock.reading(), lock.is_writing())), (2, false));
}

#[test]
fn a_latch_opens_at_zero_and_stays_open() {
    let gate = Gate::new(Latch::new(2));
    let place = waits(&gate, ());
    change(&gate, |latch, _| latch.count_down(1));
    assert!(place.1.is_open());
    change(&gate, |latch, _| latch.count_down(9));
    assert!(place.1.take().is_some());
    assert!(gate.try_now(()).0.is_ok());
}

#[test]
fn a_turn_that_fails_is_the_next_ones() {
    let gate = Gate::new(Once::default());
    assert_eq!(gate.try_now(()).0, Ok(once::Answer::Turn));
    let (second, third) = (waits(&gate, ()), waits(&gate, ()));
    change(&gate, |once, _| once.end(false));
    assert_eq!(second.1.take(), Some(once::Answer::Turn));
    assert!(third.1.is_open());
    change(&gate, |once, _| once.end(true));
    assert_eq!(third.1.take(), Some(once::Answer::Done));
}
