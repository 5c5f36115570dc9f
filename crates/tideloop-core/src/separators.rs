//! What ends a message in a stream of bytes: one separator, or the first of several.

use memchr::{memchr, memmem};

/// Bytes that are searched for several separators at first; twice as many each time that none is there. Without such a
/// window, a separator that is rare would be searched for through the whole buffer, for each message.
const WINDOW_BYTES: usize = 256;

/// One or more separators, none of them empty.
#[derive(Debug)]
pub struct Separators {
    /// The shortest first.
    all: Kind,
    len_min: usize,
    len_max: usize,
}

#[derive(Debug)]
enum Kind {
    Byte(u8),
    One(Box<[u8]>),
    Several(Box<[Box<[u8]>]>),
}

/// Where a separator was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it begins.
    pub start: usize,
    /// Where what follows it begins.
    pub end: usize,
}

impl Separators {
    /// The end of a line.
    pub const NEWLINE: Self = Self { all: Kind::Byte(b'\n'), len_min: 1, len_max: 1 };

    /// One separator; `None` if it is empty.
    #[must_use]
    pub fn one(separator: &[u8]) -> Option<Self> {
        let all = match separator {
            [] => return None,
            [byte] => Kind::Byte(*byte),
            several => Kind::One(several.into()),
        };
        Some(Self { all, len_min: separator.len(), len_max: separator.len() })
    }

    /// Several; `None` if there is none, or one is empty.
    #[must_use]
    pub fn several(separators: &[&[u8]]) -> Option<Self> {
        if let [only] = separators {
            return Self::one(only);
        }
        let mut sorted = separators.to_vec();
        sorted.sort_by_key(|separator| separator.len());
        let (len_min, len_max) = (sorted.first()?.len(), sorted.last()?.len());
        let all = Kind::Several(sorted.into_iter().map(Into::into).collect());
        (len_min > 0).then_some(Self { all, len_min, len_max })
    }

    /// Bytes of the shortest.
    #[inline]
    #[must_use]
    pub fn len_min(&self) -> usize {
        self.len_min
    }

    /// Bytes of the longest.
    #[inline]
    #[must_use]
    pub fn len_max(&self) -> usize {
        self.len_max
    }

    /// The separator, from `from` on, that ends first; of those that end there, the shortest.
    #[inline]
    #[must_use]
    pub fn find(&self, bytes: &[u8], from: usize) -> Option<Found> {
        let rest = bytes.get(from..)?;
        let found = match &self.all {
            Kind::Byte(byte) => memchr(*byte, rest).map(|start| Found { start, end: start + 1 }),
            Kind::One(one) => memmem::find(rest, one).map(|start| Found { start, end: start + one.len() }),
            Kind::Several(all) => find_several(all, self.len_max, rest),
        };
        found.map(|Found { start, end }| Found { start: start + from, end: end + from })
    }
}

/// Searches one window after another, each with all separators: what ends in a window begins less than the longest
/// separator before it.
fn find_several(all: &[Box<[u8]>], len_max: usize, bytes: &[u8]) -> Option<Found> {
    let (mut searched, mut size) = (0, WINDOW_BYTES);
    while searched < bytes.len() {
        let begin = (searched + 1).saturating_sub(len_max);
        let mut end = bytes.len().min(searched + size);
        let mut best: Option<Found> = None;
        for separator in all {
            let Some(at) = bytes.get(begin..end).and_then(|window| memmem::find(window, separator)) else { continue };
            let found = Found { start: begin + at, end: begin + at + separator.len() };
            if best.is_none_or(|best| found.end < best.end) {
                best = Some(found);
                // Nothing that ends later is of interest any more.
                end = found.end;
            }
        }
        if best.is_some() {
            return best;
        }
        (searched, size) = (searched + size, size * 2);
    }
    None
}
