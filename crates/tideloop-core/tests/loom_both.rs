//! Every interleaving of what threads and tasks wait at: permits and gates, by the model checker.
//! `RUSTFLAGS="--cfg loom" cargo test -p tideloop-core --test loom_both --release`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]
#![cfg(loom)]

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use tideloop_core::both::gate::{After, Entered, Gate, Rules};
use tideloop_core::both::permits::{OVERDUE_NS, Permits, Taken, TooMany, Wakes};
use tideloop_core::both::seat::{GivenUp, Seat};

/// A door at which a thread sleeps.
#[derive(Default)]
struct Door {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Door {
    fn knock(&self) {
        *self.woken.lock().unwrap() = true;
        self.wake.notify_one();
    }

    /// One that is never knocked at leaves its thread asleep for ever, which loom reports.
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.wake.wait(woken).unwrap();
        }
        *woken = false;
    }
}

fn wake(wakes: Wakes<Door>) {
    for woken in wakes.0 {
        woken.seat.door.knock();
    }
}

fn release(permits: &Permits<Door>, now_ns: u64) {
    match permits.give_back(1, 1, || now_ns) {
        Ok(wakes) => wake(wakes),
        Err(TooMany) => panic!("released what nobody held"),
    }
}

fn acquire(permits: &Permits<Door>) {
    if permits.try_take() {
        return;
    }
    let seat = Arc::new(Seat::new(Door::default()));
    if let Taken::Waits(ticket) = permits.take(&seat, 0) {
        loop {
            seat.door.sleep();
            if permits.retake(ticket, &seat) {
                return;
            }
        }
    }
}

/// Waits, and leaves at once unless it has been given the permit by then: a time-out of nothing.
fn acquire_impatiently(permits: &Permits<Door>, now_ns: u64) -> bool {
    let seat = Arc::new(Seat::new(Door::default()));
    let Taken::Waits(ticket) = permits.take(&seat, 0) else { return true };
    if permits.retake(ticket, &seat) {
        return true;
    }
    wake(permits.give_up(ticket, &seat, now_ns));
    false
}

/// What only the holder touches, without any ordering of its own: an increment that does not see the one before, or
/// comes beside another, is lost.
#[derive(Default)]
struct Guarded(AtomicUsize);

impl Guarded {
    fn touch(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// Two threads take the permit in turns; how late a release is decides whether it barges or hands over.
fn exclusion(fair: bool, now_ns: u64) {
    loom::model(move || {
        let permits = Arc::new(Permits::<Door>::new(1, fair));
        let guarded = Arc::new(Guarded::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (permits, guarded) = (Arc::clone(&permits), Arc::clone(&guarded));
                thread::spawn(move || {
                    acquire(&permits);
                    guarded.touch();
                    release(&permits, now_ns);
                })
            })
            .collect();
        acquire(&permits);
        guarded.touch();
        release(&permits, now_ns);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((permits.free(), permits.waiting()), (1, 0));
        assert_eq!(guarded.0.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn one_at_a_time_holds_a_lock_that_barges() {
    exclusion(false, 0);
}

#[test]
fn one_at_a_time_holds_a_lock_that_is_handed_over_late() {
    exclusion(false, OVERDUE_NS);
}

#[test]
fn one_at_a_time_holds_a_fair_lock() {
    exclusion(true, 0);
}

/// Whoever leaves while it is given the permit hands it on: the one behind it is not left asleep.
fn leaving(fair: bool, now_ns: u64) {
    loom::model(move || {
        let permits = Arc::new(Permits::<Door>::new(1, fair));
        assert!(permits.try_take());
        let impatient = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                if acquire_impatiently(&permits, now_ns) {
                    release(&permits, now_ns);
                }
            })
        };
        let patient = {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                acquire(&permits);
                release(&permits, now_ns);
            })
        };
        release(&permits, now_ns);
        impatient.join().unwrap();
        patient.join().unwrap();
        assert_eq!((permits.free(), permits.waiting()), (1, 0));
    });
}

#[test]
fn who_leaves_a_lock_that_barges_hands_on_what_it_was_given() {
    leaving(false, 0);
}

#[test]
fn who_leaves_a_lock_that_is_handed_over_late_hands_on_what_it_was_given() {
    leaving(false, OVERDUE_NS);
}

#[test]
fn who_leaves_a_fair_lock_hands_on_what_it_was_given() {
    leaving(true, 0);
}

/// A box with room for one item; those who put never wait here.
#[derive(Default)]
struct Box1(Option<u32>);

impl Rules for Box1 {
    type Request = ();
    type Answer = u32;

    fn lane((): &()) -> usize {
        0
    }

    fn is_ready(&self, (): &(), _waiting: [usize; 2]) -> bool {
        self.0.is_some()
    }

    fn grant(&mut self, (): ()) -> u32 {
        self.0.take().unwrap()
    }
}

fn finish(after: After<Box1, Door>) {
    after.answered.iter().for_each(|seat| seat.door.knock());
}

fn put(gate: &Gate<Box1, Door>, item: u32) {
    let ((), after) = gate.change(|place, _| {
        assert!(place.0.is_none());
        place.0 = Some(item);
    });
    finish(after);
}

fn get(gate: &Gate<Box1, Door>) -> u32 {
    let seat = Arc::new(Seat::new(Door::default()));
    match gate.enter((), &seat) {
        Entered::Now(item, after) => {
            finish(after);
            item
        }
        Entered::Waits(_, after) => {
            finish(after);
            seat.door.sleep();
            seat.take().unwrap()
        }
    }
}

/// Asks, and leaves at once unless it has been answered; what came first is put back.
fn get_impatiently(gate: &Gate<Box1, Door>) {
    let seat = Arc::new(Seat::new(Door::default()));
    match gate.enter((), &seat) {
        Entered::Now(item, after) => {
            finish(after);
            put(gate, item);
        }
        Entered::Waits(standing, after) => {
            finish(after);
            let (given_up, _, after) = gate.give_up(standing, &seat);
            finish(after);
            if let GivenUp::Answered(item) = given_up {
                put(gate, item);
            }
        }
    }
}

#[test]
fn an_item_given_to_one_who_leaves_reaches_the_next() {
    loom::model(|| {
        let gate = Arc::new(Gate::<Box1, Door>::new(Box1::default()));
        let impatient = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || get_impatiently(&gate))
        };
        let patient = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || assert_eq!(get(&gate), 7))
        };
        put(&gate, 7);
        impatient.join().unwrap();
        patient.join().unwrap();
        assert_eq!(gate.look(|place, waiting| (place.0, waiting)), (None, [0, 0]));
    });
}

/// One seat at two gates is answered by one of them; the other keeps what it has.
#[test]
fn one_who_waits_at_two_gates_is_answered_once() {
    loom::model(|| {
        let gates = [(); 2].map(|()| Arc::new(Gate::<Box1, Door>::new(Box1::default())));
        let seat = Arc::new(Seat::new(Door::default()));
        let standings: Vec<_> = gates
            .iter()
            .map(|gate| match gate.enter((), &seat) {
                Entered::Waits(standing, after) => {
                    finish(after);
                    standing
                }
                Entered::Now(..) => panic!("nothing is there yet"),
            })
            .collect();
        let putters: Vec<_> =
            gates.iter().map(Arc::clone).zip(1..).map(|(gate, item)| thread::spawn(move || put(&gate, item))).collect();
        seat.door.sleep();
        let got = seat.take().unwrap();
        for (gate, standing) in gates.iter().zip(standings) {
            let (_, after) = gate.withdraw(standing);
            finish(after);
        }
        putters.into_iter().for_each(|putter| putter.join().unwrap());
        let left: u32 = gates.iter().filter_map(|gate| gate.look(|place, _| place.0)).sum();
        assert_eq!(got + left, 3);
    });
}
