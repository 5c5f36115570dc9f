//! What a datagram transport knows about itself, and the transitions between its states.
//!
//! *open* until `close()` or a fatal error. `close()` while datagrams are queued makes it *closing*: it receives no more,
//! and still sends. With nothing left to send, or after an error or `abort()`, it is *lost* (`conn_lost > 0`):
//! `connection_lost` is scheduled. When that has run it is *gone*: the descriptor is closed, and loop and protocol are
//! let go. A transport that was never given a socket counts as gone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;
use tideloop_core::water_marks::WaterMarks;

use super::peers::Peers;
use crate::cell::Slot;
use crate::event_loop::{EventLoop, Interest};

/// What a queued datagram counts for beside its bytes: from 3.13 on, asyncio counts a header.
const HEADER_BYTES: usize = if cfg!(Py_3_13) { 8 } else { 0 };

/// The family of a socket, as far as it decides how addresses are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Unix,
    /// One whose addresses only Python's `socket` understands.
    Other,
}

/// Where a datagram goes.
pub(super) enum Target {
    /// To the peer that the socket is connected to.
    Connected,
    Ip(SocketAddr),
    /// To what Python's `socket` makes of this.
    Named(Py<PyAny>),
}

/// A datagram that waits for the kernel to take it.
pub(super) struct Queued {
    pub data: PyBackedBytes,
    pub target: Target,
}

/// A datagram that was received, and waits for the protocol.
pub(super) struct Held {
    pub data: Py<PyBytes>,
    pub sender: Py<PyAny>,
}

/// The state of a `DatagramTransport`.
pub(super) struct State {
    /// `None` before the transport has a socket and after `connection_lost` has run.
    pub event_loop: Slot<EventLoop>,
    pub protocol: Slot,
    /// The `contextvars.Context` that the protocol is called in.
    pub context: Slot,
    /// The `socket.socket`, owner of the descriptor.
    pub socket: Slot,
    pub extra: Slot<PyDict>,
    /// The only address that may be sent to, if the endpoint was made with one.
    pub remote: Slot,
    /// The same, where it is an IP address.
    pub remote_ip: Option<SocketAddr>,
    /// The registration with the loop, while the descriptor is watched.
    pub token: Option<Token>,
    pub fd: RawFd,
    pub family: Family,
    /// The socket is connected to a peer that has a name: only that one can be sent to.
    pub connected: bool,
    /// The socket is connected, if only to a peer without a name.
    pub has_peer: bool,
    pub peers: Peers,
    pub queue: VecDeque<Queued>,
    /// What the queue counts for.
    pub queued_bytes: usize,
    pub held: VecDeque<Held>,
    pub marks: WaterMarks,
    /// 0 until lost, then 1 more for each datagram that was dropped.
    pub conn_lost: u32,
    /// Reading began: `connection_made` has been called.
    pub read_started: bool,
    /// `pause_reading` was called.
    pub paused: bool,
    /// The kernel has refused a datagram, and is watched for taking more.
    pub blocked: bool,
    /// `close` was called, or something like it.
    pub closing: bool,
    /// `connection_lost` has run.
    pub gone: bool,
    /// `pause_writing` was called and `resume_writing` not since.
    pub protocol_paused: bool,
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
            context: Slot::EMPTY,
            socket: Slot::EMPTY,
            extra: Slot::EMPTY,
            remote: Slot::EMPTY,
            remote_ip: None,
            token: None,
            fd: -1,
            family: Family::Other,
            connected: false,
            has_peer: false,
            peers: Peers::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            held: VecDeque::new(),
            marks: WaterMarks::default(),
            conn_lost: 1,
            read_started: false,
            paused: false,
            blocked: false,
            closing: true,
            gone: true,
            protocol_paused: false,
        }
    }

    /// Whether the descriptor is ours still.
    pub fn is_open(&self) -> bool {
        self.event_loop.is_some()
    }

    /// Whether datagrams that arrive are wanted now.
    #[inline]
    pub fn receives(&self) -> bool {
        self.read_started && !self.paused && !self.closing && self.conn_lost == 0
    }

    /// What the descriptor has to be watched for.
    pub fn interest(&self) -> Interest {
        Interest { readable: self.receives(), writable: self.blocked }
    }

    /// Queues a datagram that the kernel has refused, or that comes behind such a one.
    pub fn queue(&mut self, datagram: Queued) {
        self.queued_bytes += datagram.data.len() + HEADER_BYTES;
        self.queue.push_back(datagram);
        self.blocked = true;
    }

    /// Takes the first of the queue, to be sent.
    pub fn unqueue(&mut self) -> Option<Queued> {
        let datagram = self.queue.pop_front()?;
        self.queued_bytes -= datagram.data.len() + HEADER_BYTES;
        Some(datagram)
    }

    /// Puts the first of the queue back: the kernel has refused it again.
    pub fn requeue(&mut self, datagram: Queued) {
        self.queued_bytes += datagram.data.len() + HEADER_BYTES;
        self.queue.push_front(datagram);
    }

    /// *open* to *closing* or *lost*, and what was held for the protocol.
    pub fn close(&mut self) -> (Closing, VecDeque<Held>) {
        if std::mem::replace(&mut self.closing, true) {
            return (Closing::Already, VecDeque::new());
        }
        let held = std::mem::take(&mut self.held);
        if !self.queue.is_empty() {
            return (Closing::Drains, held);
        }
        self.conn_lost += 1;
        self.blocked = false;
        (Closing::Lost, held)
    }

    /// To *lost*, with everything thrown away; `None` if it was lost before.
    #[must_use = "drop it outside of the cell"]
    pub fn lose(&mut self) -> Option<(VecDeque<Queued>, VecDeque<Held>)> {
        if self.conn_lost > 0 {
            return None;
        }
        (self.conn_lost, self.closing, self.blocked, self.queued_bytes) = (1, true, false, 0);
        Some((std::mem::take(&mut self.queue), std::mem::take(&mut self.held)))
    }

    /// Everything that may be a Python object, for dropping outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        (
            (self.event_loop.take(), self.protocol.take(), self.context.take(), self.socket.take()),
            (self.extra.take(), self.remote.take(), std::mem::take(&mut self.peers)),
            (std::mem::take(&mut self.queue), std::mem::take(&mut self.held)),
        )
    }

    /// Shows everything to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.visit(visit)?;
        self.protocol.visit(visit)?;
        self.context.visit(visit)?;
        self.socket.visit(visit)?;
        self.extra.visit(visit)?;
        self.remote.visit(visit)?;
        self.peers.visit(visit)?;
        for datagram in &self.queue {
            if let Target::Named(address) = &datagram.target {
                visit.call(address)?;
            }
        }
        for datagram in &self.held {
            visit.call(&datagram.sender)?;
        }
        Ok(())
    }
}
