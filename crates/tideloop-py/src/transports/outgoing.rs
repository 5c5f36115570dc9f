//! What a transport has to send: nothing, one segment (the usual case, which allocates nothing), or a queue.
//!
//! Segments are `bytes` by reference. None is dropped here: what has been sent leaves as [`Retired`], because an
//! instance of a class derived from `bytes` may run Python when it dies.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::os::fd::RawFd;

use pyo3::pybacked::PyBackedBytes;
use tideloop_core::write_buffer::WriteBuffer;
use tideloop_sys::socket;

/// Segments that go into one `sendmsg` at most; the array lives on the stack (1 KiB).
const SEGMENTS_PER_SEND_MAX: usize = 64;

/// The segments not sent yet.
#[derive(Default)]
pub(super) enum Outgoing {
    #[default]
    Empty,
    One(PyBackedBytes),
    Many(Box<WriteBuffer<PyBackedBytes>>),
}

/// Segments that are done with, to be dropped outside of the cell.
#[must_use = "drop it outside of the cell"]
#[derive(Default)]
pub(super) struct Retired {
    #[allow(dead_code)] // Held for its drop alone.
    whole: Outgoing,
    parts: Vec<PyBackedBytes>,
}

impl Outgoing {
    /// Bytes not sent yet.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(segment) => segment.len(),
            Self::Many(buffer) => buffer.len_bytes(),
        }
    }

    /// Appends a segment that is not empty.
    #[inline]
    pub fn push(&mut self, segment: PyBackedBytes) {
        *self = match mem::take(self) {
            Self::Empty => Self::One(segment),
            Self::One(first) => {
                let mut buffer = Box::new(WriteBuffer::new());
                buffer.push(first);
                buffer.push(segment);
                Self::Many(buffer)
            }
            Self::Many(mut buffer) => {
                buffer.push(segment);
                Self::Many(buffer)
            }
        };
    }

    /// Takes everything out unsent.
    pub fn take_all(&mut self) -> Retired {
        Retired { whole: mem::take(self), parts: Vec::new() }
    }

    /// Sends what the kernel takes now. What it refused stays.
    pub fn send(&mut self, fd: RawFd) -> (io::Result<()>, Retired) {
        let mut retired = Retired::default();
        let outcome = match self {
            Self::Empty => Ok(()),
            Self::One(segment) => socket::send(fd, segment).map(|sent| self.sent_of_one(sent, &mut retired)),
            Self::Many(_) => self.send_many(fd, &mut retired),
        };
        match outcome {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => (Ok(()), retired),
            outcome => (outcome, retired),
        }
    }

    /// The bytes not sent yet, joined: for those who look into a transport's `_buffer`.
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::One(segment) => segment.to_vec(),
            Self::Many(buffer) => {
                let mut chunks = Vec::new();
                buffer.chunks(&mut chunks, usize::MAX);
                chunks.concat()
            }
        }
    }

    #[inline]
    fn sent_of_one(&mut self, sent: usize, retired: &mut Retired) {
        match mem::take(self) {
            Self::One(segment) if sent < segment.len() => {
                let mut buffer = Box::new(WriteBuffer::new());
                buffer.push(segment);
                buffer.advance(sent, &mut retired.parts);
                *self = Self::Many(buffer);
            }
            whole => retired.whole = whole,
        }
    }

    fn send_many(&mut self, fd: RawFd, retired: &mut Retired) -> io::Result<()> {
        while let Self::Many(buffer) = self {
            let mut slices = [IoSlice::new(&[]); SEGMENTS_PER_SEND_MAX];
            let filled = buffer.io_slices(&mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let sent = socket::send_vectored(fd, slices)?;
            if sent >= buffer.len_bytes() {
                retired.whole = mem::take(self);
                return Ok(());
            }
            buffer.advance(sent, &mut retired.parts);
            if sent < offered {
                return Ok(());
            }
        }
        Ok(())
    }
}
