//! What threads and tasks of any loop share: one wait queue under every primitive.
//!
//! Who waits has a [`seat::Seat`], with a door at which it can be woken: a thread that sleeps, or a task of some loop.
//! Who changes something answers those who can be answered now, while it holds the primitive's mutex, and knocks at
//! their doors after it has let go of that. So an answer is in the seat before its owner wakes, and whoever gives up
//! (cancelled, timed out, its loop closed) either leaves before it was answered, or finds the answer and hands it on.
//!
//! - [`permits::Permits`] is under locks and semaphores: one compare-and-swap when nobody waits.
//! - [`gate::Gate`] is under all others; what they are is written in their [`gate::Rules`].

pub mod barrier;
pub mod broadcast;
pub mod channel;
pub mod condition;
pub mod event;
pub mod forest;
pub mod gate;
pub mod latch;
pub mod line;
pub mod once;
pub mod permits;
pub mod queue;
pub mod rwlock;
pub mod seat;
pub mod select;
pub mod watch;
