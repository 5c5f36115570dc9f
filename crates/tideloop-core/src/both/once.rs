//! Once: one has the turn to do something, and the others wait until it is done, or has failed and is theirs to do.

use super::gate::Rules;

/// The state of a `Once`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Once {
    /// Nobody does it.
    #[default]
    Undone,
    /// Somebody has the turn.
    Running,
    /// It is done.
    Done,
}

/// What one who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the turn.
    Turn,
    /// Another has done it.
    Done,
}

impl Once {
    /// Whoever had the turn has ended it.
    pub fn end(&mut self, done: bool) {
        *self = if done { Self::Done } else { Self::Undone };
    }
}

impl Rules for Once {
    type Request = ();
    type Answer = Answer;

    fn lane((): &()) -> usize {
        0
    }

    fn is_ready(&self, (): &(), _waiting: [usize; 2]) -> bool {
        *self != Self::Running
    }

    fn grant(&mut self, (): ()) -> Answer {
        match self {
            Self::Done => Answer::Done,
            Self::Undone | Self::Running => {
                *self = Self::Running;
                Answer::Turn
            }
        }
    }
}
