//! A seat: where one party waits, at one primitive or (`select`) at several.

use crate::atomics::{Mutex, lock};

/// One that waits, until it is answered or gives up. `A` is what it is given, `D` the door to knock at.
#[derive(Debug)]
pub struct Seat<A, D> {
    state: Mutex<State<A>>,
    /// Where its owner is woken.
    pub door: D,
    #[cfg(loom)]
    number: usize,
}

#[derive(Debug)]
enum State<A> {
    /// It waits.
    Open,
    /// It has been answered and has not looked yet.
    Filled(A),
    /// It has taken its answer, or given up: nobody can answer it any more.
    Left,
}

/// How it went to give up.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an answer that came first has to be handed on"]
pub enum GivenUp<A> {
    /// Nobody had answered.
    InTime,
    /// This answer had come first.
    Answered(A),
    /// It had left before.
    Before,
}

/// Which of two seats cannot be answered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The one of who came.
    Mine,
    /// The one of who waited.
    Theirs,
}

impl<A, D> Seat<A, D> {
    /// One that waits.
    pub fn new(door: D) -> Self {
        Self {
            state: Mutex::new(State::Open),
            door,
            #[cfg(loom)]
            number: next_number(),
        }
    }

    /// By what two seats are put in order.
    #[cfg(not(loom))]
    fn rank(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Addresses are others in each execution, and the model checker has to see the same.
    #[cfg(loom)]
    fn rank(&self) -> usize {
        self.number
    }

    /// Whether it still waits.
    pub fn is_open(&self) -> bool {
        matches!(*lock(&self.state), State::Open)
    }

    /// Answers it with what `make` makes of `given`.
    ///
    /// # Errors
    /// `given`, if it has left or somebody else has answered.
    pub fn try_fill<T>(&self, given: T, make: impl FnOnce(T) -> A) -> Result<(), T> {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Open) {
            return Err(given);
        }
        *state = State::Filled(make(given));
        Ok(())
    }

    /// Answers two who meet, or neither of them: `mine`, whose owner is at work here, and `theirs`, another seat.
    ///
    /// # Errors
    /// `given`, and who has left or been answered elsewhere.
    pub fn try_fill_both<T>(
        mine: &Self,
        theirs: &Self,
        given: T,
        make: impl FnOnce(T) -> (A, A),
    ) -> Result<(), (T, Gone)> {
        // Two who meet each other at two places at once lock both in the same order.
        let (mut my_state, mut their_state);
        if mine.rank() < theirs.rank() {
            my_state = lock(&mine.state);
            their_state = lock(&theirs.state);
        } else {
            their_state = lock(&theirs.state);
            my_state = lock(&mine.state);
        }
        if !matches!(*my_state, State::Open) {
            return Err((given, Gone::Mine));
        }
        if !matches!(*their_state, State::Open) {
            return Err((given, Gone::Theirs));
        }
        let (to_me, to_them) = make(given);
        *my_state = State::Filled(to_me);
        *their_state = State::Filled(to_them);
        Ok(())
    }

    /// Its owner takes the answer, if it is there.
    pub fn take(&self) -> Option<A> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Left) {
            State::Filled(answer) => Some(answer),
            before => {
                *state = before;
                None
            }
        }
    }

    /// Its owner leaves.
    pub fn give_up(&self) -> GivenUp<A> {
        match std::mem::replace(&mut *lock(&self.state), State::Left) {
            State::Open => GivenUp::InTime,
            State::Filled(answer) => GivenUp::Answered(answer),
            State::Left => GivenUp::Before,
        }
    }
}

#[cfg(loom)]
fn next_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
