//! The write buffer: what a transport still has to send, as the segments that the program handed over.
//!
//! Segments are kept as they came, never joined, and go to the kernel in one `writev`. A byte offset marks how far the
//! first one has been sent. A segment that has been sent entirely is **moved to the caller**, not dropped here: it may
//! be a Python object, and dropping one may run Python, which may call this very transport.
//!
//! A segment must always show the same bytes: what can change is copied before it is pushed. Segments without bytes
//! are allowed and leave with the segment before them.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Segments for which an emptied buffer keeps memory: an idle connection owns next to nothing.
const SEGMENTS_KEPT: usize = 4;

/// A queue of byte segments with an offset into the first.
#[derive(Debug)]
pub struct WriteBuffer<S: AsRef<[u8]>> {
    segments: VecDeque<S>,
    /// Bytes of the first segment that have been sent.
    first_sent: usize,
    /// Bytes not yet sent, of all segments.
    len_bytes: usize,
}

impl<S: AsRef<[u8]>> Default for WriteBuffer<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: AsRef<[u8]>> WriteBuffer<S> {
    /// An empty buffer without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { segments: VecDeque::new(), first_sent: 0, len_bytes: 0 }
    }

    /// Append a segment.
    #[inline]
    pub fn push(&mut self, segment: S) {
        self.len_bytes += segment.as_ref().len();
        self.segments.push_back(segment);
    }

    /// Whether there is no byte to send.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Bytes to send, in constant time.
    #[inline]
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The number of segments.
    #[inline]
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The kernel has taken `n` bytes. Segments that are done with are appended to `retired`, oldest first.
    ///
    /// At most [`len_bytes`](Self::len_bytes) bytes can be taken; more counts as all of them.
    pub fn advance(&mut self, n: usize, retired: &mut Vec<S>) {
        let mut left = n.min(self.len_bytes);
        self.len_bytes -= left;
        while let Some(first) = self.segments.front() {
            let unsent = first.as_ref().len().saturating_sub(self.first_sent);
            if unsent > left {
                self.first_sent += left;
                return;
            }
            left -= unsent;
            self.first_sent = 0;
            retired.extend(self.segments.pop_front());
        }
        self.segments.shrink_to(SEGMENTS_KEPT);
    }

    /// Append the unsent parts of the first segments to `out`, at most `max` of them, none empty.
    pub fn chunks<'a>(&'a self, out: &mut Vec<&'a [u8]>, max: usize) {
        out.extend(self.unsent().take(max));
    }

    /// Fill `out` with the unsent parts of the first segments, none empty; how many were filled. Allocates nothing.
    pub fn io_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, chunk) in out.iter_mut().zip(self.unsent()) {
            *slot = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// The unsent part of the first segment that has one.
    #[must_use]
    pub fn first_chunk(&self) -> Option<&[u8]> {
        self.unsent().next()
    }

    /// Take all segments, the partly sent one whole, and forget them.
    #[must_use = "the segments are handed back so that they can be dropped in a safe place"]
    pub fn drain(&mut self) -> Vec<S> {
        self.first_sent = 0;
        self.len_bytes = 0;
        std::mem::take(&mut self.segments).into()
    }

    /// Every segment, whole, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.segments.iter()
    }

    /// Segments for which there is memory: for tests and reports.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.segments.capacity()
    }

    fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.first_sent;
        self.segments
            .iter()
            .map(move |segment| segment.as_ref().get(std::mem::take(&mut skip)..).unwrap_or_default())
            .filter(|chunk| !chunk.is_empty())
    }
}
