//! The read buffer: bytes that have arrived and nobody has read yet.
//!
//! One run of bytes, contiguous so that it can be searched, whose front moves as it is read. An empty one owns no
//! memory: what it used last is handed to the caller as a *spare*, which the next buffer that fills takes over. So a
//! thousand idle connections own nothing, and a busy one allocates nothing.

/// A spare is not kept beyond this size: one large message would hold its memory for ever.
const SPARE_BYTES_MAX: usize = 256 * 1024;
/// A buffer larger than this gives memory back before it is empty, when little is left in it.
const ROOMY_BYTES: usize = 256 * 1024;
/// How small a part of a roomy buffer is little.
const LITTLE: usize = 8;

/// Bytes, first in, first out.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: Vec<u8>,
    /// Bytes at the front that have been read.
    head: usize,
}

impl ReadBuffer {
    /// An empty buffer without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), head: 0 }
    }

    /// A buffer with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, head: 0 }
    }

    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.head..).unwrap_or_default()
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it owns.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds `data` at the end, in `spare` if it has no memory of its own.
    #[inline]
    pub fn push(&mut self, data: &[u8], spare: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            std::mem::swap(&mut self.bytes, spare);
            self.bytes.clear();
        }
        let room = self.bytes.capacity() - self.bytes.len();
        // Moving what is left costs no more than reading did.
        if room < data.len() && self.head >= self.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Puts `data` in front of what is there.
    pub fn put_back(&mut self, data: Vec<u8>) {
        let rest = std::mem::replace(&mut self.bytes, data);
        self.bytes.extend_from_slice(rest.get(self.head..).unwrap_or_default());
        self.head = 0;
    }

    /// Drops the first `count` bytes, or as many as there are. Memory that is not needed any more becomes the spare.
    #[inline]
    pub fn consume(&mut self, count: usize, spare: &mut Vec<u8>) {
        let left = self.len().saturating_sub(count);
        self.head = self.bytes.len() - left;
        if left == 0 {
            self.head = 0;
            self.bytes.clear();
            let memory = std::mem::take(&mut self.bytes);
            if memory.capacity() <= SPARE_BYTES_MAX && memory.capacity() > spare.capacity() {
                *spare = memory;
            }
        } else if self.bytes.capacity() > ROOMY_BYTES && left < self.bytes.capacity() / LITTLE {
            self.bytes = self.as_slice().to_vec();
            self.head = 0;
        }
    }

    /// All of the bytes; nothing is left.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.bytes.drain(..self.head);
        self.head = 0;
        std::mem::take(&mut self.bytes)
    }
}
