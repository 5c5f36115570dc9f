//! Why a task waits: one byte, stored at every suspension; what it waits for is the task's `_fut_waiter`.

/// The kind of thing that a task waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitReason {
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
    /// A time to come.
    Sleep,
    Lock,
    Event,
    Condition,
    Semaphore,
    Barrier,
    Queue,
    Channel,
    /// All tasks of a queue, or of a group, to be done.
    Join,
    /// Several futures: `gather`, `wait`, `as_completed`.
    Several,
    /// What `wait_for` or `shield` was given.
    Inner,
    TaskGroup,
    /// A call in a thread of a pool.
    Job,
    /// Data of a stream.
    Stream,
    /// Room in a stream's write buffer.
    Drain,
    /// A connection to be closed.
    Closing,
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
            Self::Sleep => "sleep",
            Self::Lock => "lock",
            Self::Event => "event",
            Self::Condition => "condition",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Queue => "queue",
            Self::Channel => "channel",
            Self::Join => "join",
            Self::Several => "several",
            Self::Inner => "inner",
            Self::TaskGroup => "task group",
            Self::Job => "job",
            Self::Stream => "stream",
            Self::Drain => "drain",
            Self::Closing => "closing",
            Self::Other => "other",
            Self::Error => "error",
        }
    }
}
