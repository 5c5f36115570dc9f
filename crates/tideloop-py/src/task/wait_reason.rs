//! Why a task waits: one byte, stored at every suspension; what it waits for is the task's `_fut_waiter`.

/// The kind of thing that a task waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WaitReason {
    /// It has not started yet.
    Start,
    /// It gave way for a turn: `sleep(0)`, a bare `yield`.
    Turn,
    /// A future of ours.
    Future,
    /// A task of ours.
    Task,
    /// A socket of the caller's, in a `sock_*` call.
    Socket,
    /// An object of another's making that behaves as a future.
    Other,
    /// Nothing: an error is about to be thrown into it.
    Error,
}

impl WaitReason {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Turn => "turn",
            Self::Future => "future",
            Self::Task => "task",
            Self::Socket => "socket",
            Self::Other => "other",
            Self::Error => "error",
        }
    }
}
