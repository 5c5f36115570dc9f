//! Who is to be woken by the end of a job, as soon as the worker has let go of the interpreter.

use std::sync::Arc;

use tideloop_sys::flag::Flag;

use crate::event_loop::Waker;

/// A promise to wake somebody, to be kept with or without the interpreter.
#[derive(Default)]
#[must_use = "somebody sleeps until it is kept"]
pub enum Wake {
    /// Nobody.
    #[default]
    Nobody,
    /// The threads that wait for a future.
    Waiting(Arc<Flag>),
    /// An event loop that has had its answer.
    Loop(Waker),
}

impl Wake {
    /// Those who wait at this gate, if there is one.
    pub fn waiting(gate: Option<Arc<Flag>>) -> Self {
        gate.map_or(Self::Nobody, Self::Waiting)
    }

    /// Keep the promise.
    pub fn keep(self) {
        match self {
            Self::Nobody => {}
            Self::Waiting(gate) => gate.set(),
            Self::Loop(waker) => waker.wake(),
        }
    }
}
