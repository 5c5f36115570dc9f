//! What a socket transport knows about itself, and the transitions between its states.
//!
//! # The life of a transport
//!
//! *open* until `close()`, the peer's end of stream, or an error. `close()` with bytes that the kernel has refused
//! makes it *closing*: it reads no more, and still sends. With nothing left to send, or after an error or `abort()`,
//! it is *lost* (`conn_lost > 0`): `connection_lost` is scheduled, and writes are dropped and counted. When
//! `connection_lost` has run it is *gone*: the descriptor is closed, and loop, protocol and server are let go.
//! A transport that was never given a socket counts as lost.
//!
//! # The life of a written byte
//!
//! *collected* in this turn, then offered to the kernel: at the end of the turn, or earlier where asyncio's semantics
//! need it (see `write.rs`). What the kernel refuses is *blocked*: only this counts as the write buffer's size, and
//! only while something is blocked is the descriptor watched for writability.

use std::io::ErrorKind;
use std::os::fd::{OwnedFd, RawFd};

use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;
use tideloop_core::water_marks::WaterMarks;
use tideloop_sys::socket;

use super::address::Address;
use super::lifecycle::Receiver;
use super::outgoing::{Outgoing, Retired};
use crate::cell::Slot;
use crate::event_loop::{EventLoop, Interest};

/// Bytes written in one turn that are sent at once instead of being collected further: beyond this a system call
/// costs little per byte, and the peer can begin.
const COLLECTED_BYTES_MAX: usize = 64 * 1024;

/// The state of a `SocketTransport`. Small, because there may be many that are idle: what few need is in [`Rare`].
pub(super) struct State {
    /// `None` before the transport has a socket and after `connection_lost` has run.
    pub event_loop: Slot<EventLoop>,
    pub protocol: Slot,
    pub server: Slot,
    /// The `contextvars.Context` that the protocol is called in.
    pub context: Slot,
    /// The registration with the loop, while the descriptor is watched.
    pub token: Option<Token>,
    pub outgoing: Outgoing,
    pub rare: Option<Box<Rare>>,
    pub peer: Address,
    /// The descriptor's number; it stays after the descriptor is closed.
    pub fd: RawFd,
    /// The descriptor, while no Python socket object owns it.
    pub owned: Option<OwnedFd>,
    /// Bytes that came with the latest read, if it filled what it was given or was large enough to matter.
    pub latest_read: u32,
    /// 0 until lost, then 1 more for each write that was dropped.
    pub conn_lost: u32,
    /// Reading began: `connection_made` has been called.
    pub read_started: bool,
    /// The peer's end of stream was seen.
    pub read_ended: bool,
    /// `pause_reading` was called.
    pub paused: bool,
    /// `write_eof` was called.
    pub write_ended: bool,
    /// `close` was called, or something like it.
    pub closing: bool,
    /// `connection_lost` has run.
    pub gone: bool,
    pub receiver: Receiver,
    /// `pause_writing` was called and `resume_writing` not since.
    pub protocol_paused: bool,
    /// The loop will call `flush` at the end of this turn.
    pub flush_pending: bool,
    /// The kernel has refused what is in `outgoing`.
    pub blocked: bool,
}

/// What few transports need.
pub(super) struct Rare {
    /// The caller's `extra`.
    pub extra: Slot<PyDict>,
    /// The `socket.socket`: then it is the owner of the descriptor.
    pub socket: Slot,
    /// The `TransportSocket` around it.
    pub wrapper: Slot,
    /// `sendfile` waits for everything to be sent.
    pub empty_waiter: Slot,
    /// `sendfile` waits until the kernel takes bytes again.
    pub writable_waiter: Slot,
    pub marks: WaterMarks,
    /// Our own address, kept from before the descriptor was closed.
    pub local: Address,
}

impl Rare {
    const fn new(marks: WaterMarks) -> Self {
        Self {
            extra: Slot::EMPTY,
            socket: Slot::EMPTY,
            wrapper: Slot::EMPTY,
            empty_waiter: Slot::EMPTY,
            writable_waiter: Slot::EMPTY,
            marks,
            local: Address::Unknown,
        }
    }
}

/// What a write has to do next.
#[must_use]
pub(super) enum Written {
    /// Collected; the loop knows of it already.
    Collected,
    /// Collected; the loop must be told to flush.
    FlushLater,
    /// Collected; send it now.
    FlushNow,
    /// Behind what the kernel has refused.
    Queued,
    /// Dropped, because the connection is lost; so many writes were dropped before.
    Dropped(u32, PyBackedBytes),
}

/// What became of bytes that were to go out at once.
#[must_use]
pub(super) enum SentNow {
    /// The kernel has taken so many.
    Part(usize),
    /// They wait behind what was collected.
    Behind,
    /// Dropped, because the connection is lost.
    Dropped,
    Failed(std::io::Error),
}

/// What came of sending.
#[must_use]
pub(super) enum Sent {
    /// There was nothing to send, or it has to wait for the kernel anyway.
    Nothing,
    Everything,
    /// The kernel has refused some for the first time.
    Blocked,
    Failed(std::io::Error),
}

/// What `close` has to do next.
#[must_use]
pub(super) enum Closing {
    /// It was closing before.
    Already,
    /// Wait until the kernel has taken the rest.
    Drains,
    /// Nothing is left to send: schedule `connection_lost`.
    Lost,
}

impl State {
    /// A transport without a socket.
    pub fn blank() -> Self {
        Self {
            event_loop: Slot::EMPTY,
            protocol: Slot::EMPTY,
            server: Slot::EMPTY,
            context: Slot::EMPTY,
            token: None,
            outgoing: Outgoing::Empty,
            rare: None,
            peer: Address::Unknown,
            fd: -1,
            owned: None,
            latest_read: 0,
            conn_lost: 1,
            read_started: false,
            read_ended: false,
            paused: false,
            write_ended: false,
            closing: true,
            gone: true,
            receiver: Receiver::Plain,
            protocol_paused: false,
            flush_pending: false,
            blocked: false,
        }
    }

    /// Whether the descriptor is ours still.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.event_loop.is_some()
    }

    /// What is rare, made where it is not there.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new(WaterMarks::default())))
    }

    /// The water marks.
    #[inline]
    pub fn marks(&self) -> WaterMarks {
        self.rare.as_ref().map_or_else(WaterMarks::default, |rare| rare.marks)
    }

    /// Bytes that the kernel has refused.
    #[inline]
    pub fn blocked_bytes(&self) -> usize {
        if self.blocked { self.outgoing.len_bytes() } else { 0 }
    }

    /// Whether bytes that arrive are wanted now.
    #[inline]
    pub fn receives(&self) -> bool {
        self.read_started && !self.paused && !self.closing && !self.read_ended && self.conn_lost == 0
    }

    /// Whether `sendfile` has the socket for itself.
    #[inline]
    pub fn sendfile_in_progress(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.empty_waiter.is_some())
    }

    /// What the descriptor has to be watched for.
    pub fn interest(&self) -> Interest {
        let sendfile_waits = self.rare.as_ref().is_some_and(|rare| rare.writable_waiter.is_some());
        Interest { readable: self.receives(), writable: self.blocked || sendfile_waits }
    }

    /// Takes a segment that is not empty.
    #[inline]
    pub fn write(&mut self, segment: PyBackedBytes) -> Written {
        if self.conn_lost > 0 {
            let before = self.conn_lost;
            self.conn_lost = before.saturating_add(1);
            return Written::Dropped(before, segment);
        }
        self.outgoing.push(segment);
        if self.blocked {
            return Written::Queued;
        }
        let collected = self.outgoing.len_bytes();
        if collected >= COLLECTED_BYTES_MAX || self.marks().is_above_high(collected) {
            return Written::FlushNow;
        }
        if std::mem::replace(&mut self.flush_pending, true) { Written::Collected } else { Written::FlushLater }
    }

    /// Offers what was collected to the kernel.
    #[inline]
    pub fn send_collected(&mut self) -> (Sent, Retired) {
        if self.blocked || self.outgoing.len_bytes() == 0 {
            return (Sent::Nothing, Retired::default());
        }
        let (outcome, retired) = self.outgoing.send(self.fd);
        let sent = match outcome {
            Err(error) => Sent::Failed(error),
            Ok(()) if self.outgoing.len_bytes() == 0 => Sent::Everything,
            Ok(()) => {
                self.blocked = true;
                Sent::Blocked
            }
        };
        (sent, retired)
    }

    /// Offers bytes to the kernel that belong to the caller.
    #[inline]
    pub fn send_now(&mut self, bytes: &[u8]) -> SentNow {
        if self.conn_lost > 0 {
            self.conn_lost = self.conn_lost.saturating_add(1);
            return SentNow::Dropped;
        }
        if self.outgoing.len_bytes() > 0 {
            return SentNow::Behind;
        }
        match socket::send(self.fd, bytes) {
            Ok(sent) => SentNow::Part(sent),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => SentNow::Part(0),
            Err(error) => SentNow::Failed(error),
        }
    }

    /// Queues what the kernel did not take of such bytes.
    pub fn queue(&mut self, segment: PyBackedBytes) {
        self.outgoing.push(segment);
        self.blocked = true;
    }

    /// Offers what the kernel has refused before.
    pub fn send_blocked(&mut self) -> (Sent, Retired) {
        if !self.blocked || self.conn_lost > 0 {
            return (Sent::Nothing, Retired::default());
        }
        let (outcome, retired) = self.outgoing.send(self.fd);
        let sent = match outcome {
            Err(error) => Sent::Failed(error),
            Ok(()) if self.outgoing.len_bytes() == 0 => {
                self.blocked = false;
                Sent::Everything
            }
            Ok(()) => Sent::Blocked,
        };
        (sent, retired)
    }

    /// *open* to *closing* or *lost*. What was collected has been offered to the kernel before.
    pub fn close(&mut self) -> Closing {
        if std::mem::replace(&mut self.closing, true) {
            return Closing::Already;
        }
        if self.blocked {
            return Closing::Drains;
        }
        self.conn_lost += 1;
        Closing::Lost
    }

    /// To *lost*, with everything unsent thrown away; `None` if it was lost before.
    pub fn lose(&mut self) -> Option<Retired> {
        if self.conn_lost > 0 {
            return None;
        }
        self.conn_lost = 1;
        self.closing = true;
        self.blocked = false;
        Some(self.outgoing.take_all())
    }

    /// Everything that may be a Python object, for dropping outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        let rare = self.rare.as_deref_mut().map(|rare| {
            let waiters = (rare.empty_waiter.take(), rare.writable_waiter.take());
            (rare.extra.take(), rare.socket.take(), rare.wrapper.take(), waiters)
        });
        (
            self.event_loop.take(),
            self.protocol.take(),
            self.server.take(),
            self.context.take(),
            self.outgoing.take_all(),
            rare,
        )
    }

    /// Shows everything to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.visit(visit)?;
        self.protocol.visit(visit)?;
        self.server.visit(visit)?;
        self.context.visit(visit)?;
        if let Some(rare) = &self.rare {
            rare.extra.visit(visit)?;
            rare.socket.visit(visit)?;
            rare.wrapper.visit(visit)?;
            rare.empty_waiter.visit(visit)?;
            rare.writable_waiter.visit(visit)?;
        }
        Ok(())
    }
}
