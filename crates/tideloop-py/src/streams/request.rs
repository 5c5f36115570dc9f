//! What somebody wants to read, and whether the buffer has it.

use tideloop_core::separators::Separators;

/// What somebody wants to read.
pub(super) enum Request {
    /// `readline()`
    Line,
    /// A step of `async for`
    Next,
    /// `readuntil(separator)`; None while a step is made
    Until(Option<Box<Separators>>),
    /// `read(n)`
    Some(usize),
    /// `read()`: all until the end, with what has come so far. That leaves the buffer, as asyncio has it, so that the
    /// transport is not paused.
    All(Vec<u8>),
    /// `readexactly(n)`
    Exactly(usize),
    /// A request that cannot be granted: what the `ValueError` says.
    Wrong { qualname: &'static str, text: &'static str },
}

/// What is to be done about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// So many bytes, or all if there are fewer, are the answer.
    Take(usize),
    /// Nothing more will come, and what is there is not enough.
    Incomplete,
    /// More than the limit before a separator, which begins behind `consumed` bytes if it was found at all.
    Overrun {
        consumed: usize,
        found: bool,
    },
    Wait,
}

/// What the state of a reader says about a request.
pub(super) struct Circumstances {
    pub eof: bool,
    pub limit: isize,
    /// Somebody waited already, and was woken.
    pub woken: bool,
}

impl Request {
    /// Moves the request out, for a step of its coroutine; what stays behind still has its name.
    #[inline]
    pub fn moved_out(&mut self) -> Self {
        let stays = match self {
            Self::Line => Self::Line,
            Self::Next => Self::Next,
            Self::Some(count) => Self::Some(*count),
            Self::Exactly(count) => Self::Exactly(*count),
            Self::All(_) => Self::All(Vec::new()),
            Self::Wrong { qualname, text } => Self::Wrong { qualname, text },
            Self::Until(_) => Self::Until(None),
        };
        std::mem::replace(self, stays)
    }

    /// asyncio's name of the method.
    pub fn qualname(&self) -> &'static str {
        match self {
            Self::Line => "StreamReader.readline",
            Self::Next => "StreamReader.__anext__",
            Self::Until(_) => "StreamReader.readuntil",
            Self::Some(_) | Self::All(_) => "StreamReader.read",
            Self::Exactly(_) => "StreamReader.readexactly",
            Self::Wrong { qualname, .. } => qualname,
        }
    }

    /// asyncio's name of the method that does the waiting.
    pub fn waiting_method(&self) -> &'static str {
        match self {
            Self::Line | Self::Next | Self::Until(_) => "readuntil",
            Self::Some(_) | Self::All(_) => "read",
            Self::Exactly(_) | Self::Wrong { .. } => "readexactly",
        }
    }

    /// Whether what is in the buffer is enough. Bytes before `searched` are known to begin no separator; the function
    /// moves it on, so that a message that comes in small pieces is searched once.
    #[inline]
    pub fn judge(&self, bytes: &[u8], circumstances: &Circumstances, searched: &mut usize) -> Verdict {
        match self {
            Self::Line | Self::Next => until(&Separators::NEWLINE, bytes, circumstances, searched),
            Self::Until(Some(separators)) => until(separators, bytes, circumstances, searched),
            Self::Some(_) if bytes.is_empty() && !circumstances.eof && !circumstances.woken => Verdict::Wait,
            Self::Some(count) => Verdict::Take(*count),
            Self::Exactly(count) if bytes.len() >= *count => Verdict::Take(*count),
            Self::All(_) | Self::Until(None) => Verdict::Take(usize::MAX),
            Self::Exactly(_) | Self::Wrong { .. } if circumstances.eof => Verdict::Incomplete,
            Self::Exactly(_) | Self::Wrong { .. } => Verdict::Wait,
        }
    }
}

#[inline]
fn until(separators: &Separators, bytes: &[u8], circumstances: &Circumstances, searched: &mut usize) -> Verdict {
    if bytes.len() >= separators.len_min() + *searched {
        if let Some(found) = separators.find(bytes, *searched) {
            if found.start as isize > circumstances.limit {
                return Verdict::Overrun { consumed: found.start, found: true };
            }
            return Verdict::Take(found.end);
        }
        *searched = (bytes.len() + 1).saturating_sub(separators.len_max());
        if *searched as isize > circumstances.limit {
            return Verdict::Overrun { consumed: *searched, found: false };
        }
    }
    if circumstances.eof { Verdict::Incomplete } else { Verdict::Wait }
}
