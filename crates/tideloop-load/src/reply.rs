//! What a reply has to be. Each byte that arrives is checked, so an answer that is counted is a right one.

use std::fmt;

/// The longest head of an HTTP reply, in bytes: a server that sends more has lost its way.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How much of a wrong answer is shown.
const EXCERPT_BYTES: usize = 40;

/// What answers a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes.
    Exact(Box<[u8]>),
    /// An HTTP/1.1 reply with status 200, a content-length, and this body; its other headers may say anything.
    Http(Box<[u8]>),
}

/// How much of a reply has arrived.
#[derive(Debug, Default)]
pub struct Progress {
    /// What there is of a head that is not complete.
    head: Vec<u8>,
    head_complete: bool,
    /// Bytes of the body, or of the exact reply.
    body_bytes: usize,
}

/// What some bytes meant that were right so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// All of them belong to the reply, and there is more to come.
    Partial,
    /// So many of them complete the reply; what follows belongs to the next one.
    Complete(usize),
}

/// What was wrong with a reply, for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Reply {
    /// Whether it has no bytes at all: such a reply never arrives.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Exact(bytes) if bytes.is_empty())
    }

    /// Check bytes that have arrived, at least one, against what is still missing of the reply.
    pub fn check(&self, progress: &mut Progress, bytes: &[u8]) -> Result<Checked, Wrong> {
        match self {
            Self::Exact(expected) => progress.compare(expected, bytes),
            Self::Http(body) => {
                let head = if progress.head_complete { 0 } else { progress.read_head(body.len(), bytes)? };
                if !progress.head_complete {
                    return Ok(Checked::Partial);
                }
                match progress.compare(body, &bytes[head..])? {
                    Checked::Partial => Ok(Checked::Partial),
                    Checked::Complete(used) => {
                        progress.head_complete = false;
                        Ok(Checked::Complete(head + used))
                    }
                }
            }
        }
    }
}

impl Progress {
    /// Compare what has arrived with what is missing of `expected`.
    fn compare(&mut self, expected: &[u8], bytes: &[u8]) -> Result<Checked, Wrong> {
        let missing = &expected[self.body_bytes..];
        let length = missing.len().min(bytes.len());
        if bytes[..length] != missing[..length] {
            return Err(difference(expected, self.body_bytes, &bytes[..length]));
        }
        if length == missing.len() {
            self.body_bytes = 0;
            return Ok(Checked::Complete(length));
        }
        self.body_bytes += length;
        Ok(Checked::Partial)
    }

    /// Take the head, or a part of it, from bytes that have arrived; how many of them belong to it.
    fn read_head(&mut self, body_bytes: usize, bytes: &[u8]) -> Result<usize, Wrong> {
        // Nearly always the whole head is there: then nothing is copied.
        if self.head.is_empty()
            && let Some(end) = end_of_head(bytes)
        {
            check_head(&bytes[..end], body_bytes)?;
            self.head_complete = true;
            return Ok(end);
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        if let Some(end) = end_of_head(&self.head) {
            check_head(&self.head[..end], body_bytes)?;
            self.head.clear();
            self.head_complete = true;
            return Ok(end - before);
        }
        if self.head.len() > HEAD_BYTES_MAX {
            return Err(Wrong(format!("no end of the head in {} bytes: {}", self.head.len(), excerpt(&self.head))));
        }
        Ok(bytes.len())
    }
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn check_head(head: &[u8], body_bytes: usize) -> Result<(), Wrong> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let status = lines.next().unwrap_or_default();
    if !(status == b"HTTP/1.1 200" || status.starts_with(b"HTTP/1.1 200 ")) {
        return Err(Wrong(format!("status line is not 200 of HTTP/1.1: {}", excerpt(status))));
    }
    let mut lengths = 0;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Wrong(format!("not framed by a content-length: {}", excerpt(line))));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths += 1;
            if value != body_bytes.to_string().as_bytes() {
                return Err(Wrong(format!("the body has {body_bytes} bytes, not {}", excerpt(line))));
            }
        }
    }
    if lengths == 1 { Ok(()) } else { Err(Wrong(format!("{lengths} headers content-length: {}", excerpt(head)))) }
}

/// Says where bytes that begin at `at` differ from what was expected.
fn difference(expected: &[u8], at: usize, bytes: &[u8]) -> Wrong {
    let same = bytes.iter().zip(&expected[at..]).take_while(|(left, right)| left == right).count();
    let (got, wanted) = (excerpt(&bytes[same..]), excerpt(&expected[at + same..]));
    Wrong(format!("byte {} of {} differs: {got} instead of {wanted}", at + same, expected.len()))
}

fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(EXCERPT_BYTES)].escape_ascii();
    format!("b\"{shown}\"{}", if bytes.len() > EXCERPT_BYTES { "…" } else { "" })
}
