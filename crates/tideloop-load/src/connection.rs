//! One connection, and the round that is under way on it: requests that were sent together, and their replies.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::failure::Failure;
use crate::pace::Window;
use crate::reply::{Checked, Progress, Reply, Wrong};

pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// When the round went out, or was to.
    began_ns: u64,
    /// Bytes of the round's requests that the kernel has taken.
    sent_bytes: usize,
    /// Replies of the round that have not arrived.
    missing: usize,
    progress: Progress,
    /// The kernel takes no more at the moment: we wait until it does.
    pub(crate) blocked: bool,
    /// Rounds that were to begin, at these times, while another was under way.
    owed: VecDeque<u64>,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        let (progress, owed) = (Progress::default(), VecDeque::new());
        Self { socket, began_ns: 0, sent_bytes: 0, missing: 0, progress, blocked: false, owed }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.missing == 0
    }

    /// Begin a round of so many requests; `send` has to follow.
    pub(crate) fn begin(&mut self, requests: usize, began_ns: u64) {
        self.began_ns = began_ns;
        self.sent_bytes = 0;
        self.missing = requests;
    }

    /// Begin a round later, when there is none under way.
    pub(crate) fn owe(&mut self, began_ns: u64) {
        self.owed.push_back(began_ns);
    }

    pub(crate) fn next_owed(&mut self) -> Option<u64> {
        self.owed.pop_front()
    }

    /// Send what is left of the round's requests; whether all of it went.
    pub(crate) fn send(&mut self, requests: &[u8]) -> Result<bool, Failure> {
        while self.sent_bytes < requests.len() {
            match send(&self.socket, &requests[self.sent_bytes..], SendFlags::NOSIGNAL) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Failure::at("send")(error)),
            }
        }
        Ok(true)
    }

    /// Bytes that have arrived, in `buffer`; `None` when there are none after all.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        match recv(&self.socket, buffer, RecvFlags::empty()) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(Failure::at("recv")(error)),
        }
    }

    /// Check what has arrived, and count each reply that is complete by it.
    pub(crate) fn check(
        &mut self,
        reply: &Reply,
        mut bytes: &[u8],
        now_ns: u64,
        window: &mut Window,
    ) -> Result<(), Wrong> {
        while !bytes.is_empty() {
            if self.missing == 0 {
                return Err(Wrong(format!("{} bytes that answer no request", bytes.len())));
            }
            match reply.check(&mut self.progress, bytes)? {
                Checked::Partial => break,
                Checked::Complete(used) => {
                    self.missing -= 1;
                    window.count(self.began_ns, now_ns);
                    bytes = &bytes[used..];
                }
            }
        }
        Ok(())
    }

    /// Check a datagram, which is a reply or it is wrong.
    pub(crate) fn check_datagram(
        &mut self,
        reply: &Reply,
        bytes: &[u8],
        now_ns: u64,
        window: &mut Window,
    ) -> Result<(), Wrong> {
        self.check(reply, bytes, now_ns, window)?;
        if self.missing == 0 { Ok(()) } else { Err(Wrong(format!("a datagram of {} bytes is too short", bytes.len()))) }
    }
}
