//! What a TLS connection knows about itself, and the transitions between its phases.
//!
//! # The phases
//!
//! *unwrapped* until the transport below is there; then *handshake*; then *wrapped*, while bytes go both ways. `close()`
//! or the end of the peer's stream makes it *flushing*: what was written still goes out. With nothing left to encrypt it is
//! *shutdown*: both sides say that they send no more. After an error, an abort or the loss of the transport below it is
//! *unwrapped* again, for good.
//!
//! # The life of a written byte
//!
//! *collected* in this turn, then encrypted and given to the transport below. While that one is paused, or OpenSSL waits
//! for the peer, it is *stuck*: only then does it count as the write buffer's size.

use std::sync::Arc;

use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::water_marks::WaterMarks;
use tideloop_core::write_buffer::WriteBuffer;

use super::TlsTransport;
use super::engine::Engine;
use crate::cell::Slot;
use crate::event_loop::EventLoop;
use crate::transports::lifecycle::Receiver;

/// asyncio's defaults, in bytes.
const OUTGOING_HIGH_DEFAULT: usize = 512 * 1024;
const INCOMING_HIGH_DEFAULT: usize = 256 * 1024;
const HIGH_TO_LOW: usize = 4;

/// The phase of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Unwrapped,
    Handshake,
    Wrapped,
    Flushing,
    Shutdown,
}

/// What the program's protocol has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Made,
    Eof,
    Lost,
}

/// The state of a `TlsProtocol`.
pub(super) struct State {
    pub event_loop: Slot<EventLoop>,
    /// The program's protocol; `None` after the connection is lost.
    pub app: Slot,
    pub transport: Slot<TlsTransport>,
    /// The transport below. It stays after the connection is lost, for `get_extra_info`.
    pub lower: Slot,
    pub waiter: Slot,
    pub context: Slot,
    /// The timer of the handshake, and then that of the shutdown.
    pub timer: Slot,
    /// Seconds, as the caller gave them.
    pub handshake_timeout: Slot,
    pub shutdown_timeout: Slot,
    pub server_hostname: Slot,
    /// `None` before it is set up.
    pub engine: Option<Arc<Engine>>,
    /// Plaintext to be sent.
    pub backlog: WriteBuffer<PyBackedBytes>,
    /// Plaintext that a buffered protocol has not taken, because it has paused, and how much of it has been.
    pub undelivered: Slot<PyBytes>,
    pub undelivered_read: usize,
    pub outgoing_marks: WaterMarks,
    pub incoming_marks: WaterMarks,
    pub phase: Phase,
    pub told: Told,
    /// Writes that were dropped.
    pub dropped_writes: u32,
    pub server_side: bool,
    /// The handshake was completed once.
    pub shaken: bool,
    /// `close` or `abort` was called, or the connection is lost.
    pub closed: bool,
    /// `close` was called again: nobody will ask for anything any more.
    pub forgotten: bool,
    /// The transport below has no more for us.
    pub eof: bool,
    /// The transport below is gone.
    pub lost: bool,
    /// How the program's protocol is handed plaintext.
    pub receiver: Receiver,
    /// `pause_reading` was called by the program.
    pub app_reading_paused: bool,
    /// We have paused the transport below.
    pub lower_reading_paused: bool,
    /// The program's protocol was told to pause.
    pub app_writing_paused: bool,
    /// The transport below has told us to pause.
    pub lower_writing_paused: bool,
    /// What is in `backlog` was tried, and has to wait.
    pub stuck: bool,
    /// `flush` is at work.
    pub flushing: bool,
}

impl State {
    /// A connection of nobody.
    pub fn blank() -> Self {
        Self {
            event_loop: Slot::EMPTY,
            app: Slot::EMPTY,
            transport: Slot::EMPTY,
            lower: Slot::EMPTY,
            waiter: Slot::EMPTY,
            context: Slot::EMPTY,
            timer: Slot::EMPTY,
            handshake_timeout: Slot::EMPTY,
            shutdown_timeout: Slot::EMPTY,
            server_hostname: Slot::EMPTY,
            engine: None,
            backlog: WriteBuffer::new(),
            undelivered: Slot::EMPTY,
            undelivered_read: 0,
            outgoing_marks: WaterMarks { high: OUTGOING_HIGH_DEFAULT, low: OUTGOING_HIGH_DEFAULT / HIGH_TO_LOW },
            incoming_marks: WaterMarks { high: INCOMING_HIGH_DEFAULT, low: INCOMING_HIGH_DEFAULT / HIGH_TO_LOW },
            phase: Phase::Unwrapped,
            told: Told::Nothing,
            dropped_writes: 0,
            server_side: false,
            shaken: false,
            closed: false,
            forgotten: false,
            eof: false,
            lost: false,
            receiver: Receiver::Plain,
            app_reading_paused: false,
            lower_reading_paused: false,
            app_writing_paused: false,
            lower_writing_paused: false,
            stuck: false,
            flushing: false,
        }
    }

    /// Whether plaintext that arrives is for the program.
    #[inline]
    pub fn reads(&self) -> bool {
        matches!(self.phase, Phase::Wrapped | Phase::Flushing) && !self.app_reading_paused
    }

    /// Whether plaintext can be encrypted.
    #[inline]
    pub fn encrypts(&self) -> bool {
        matches!(self.phase, Phase::Wrapped | Phase::Flushing)
    }

    /// Whether what is written is thrown away.
    #[inline]
    pub fn drops_writes(&self) -> bool {
        self.closed || matches!(self.phase, Phase::Flushing | Phase::Shutdown | Phase::Unwrapped)
    }

    /// Whether what is written now has to wait: it need not be tried to know that.
    #[inline]
    pub fn has_to_wait(&self) -> bool {
        self.stuck || self.lower_writing_paused || self.phase == Phase::Handshake
    }

    /// Bytes of plaintext that had to wait.
    #[inline]
    pub fn stuck_bytes(&self) -> usize {
        if self.has_to_wait() { self.backlog.len_bytes() } else { 0 }
    }

    /// *unwrapped*, for good; what was written and not encrypted is handed out.
    #[must_use = "drop it outside of the cell"]
    pub fn unwrap(&mut self) -> Vec<PyBackedBytes> {
        self.phase = Phase::Unwrapped;
        self.stuck = false;
        self.backlog.drain()
    }

    /// Lets go of what `get_extra_info` is answered from, once the connection is lost and nobody will ask.
    #[must_use = "drop it outside of the cell"]
    pub fn forget(&mut self) -> impl Sized + use<> {
        (self.lost && self.forgotten).then(|| (self.engine.take(), self.context.take(), self.lower.take()))
    }

    /// Everything that may be a Python object, for dropping outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        let objects = [
            self.app.take(),
            self.lower.take(),
            self.waiter.take(),
            self.context.take(),
            self.timer.take(),
            self.handshake_timeout.take(),
            self.shutdown_timeout.take(),
            self.server_hostname.take(),
        ];
        let typed = (self.event_loop.take(), self.transport.take(), self.undelivered.take());
        (objects, typed, self.engine.take(), self.unwrap())
    }

    /// Shows everything to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let slots = [
            &self.app,
            &self.lower,
            &self.waiter,
            &self.context,
            &self.timer,
            &self.handshake_timeout,
            &self.shutdown_timeout,
            &self.server_hostname,
        ];
        slots.into_iter().try_for_each(|slot| slot.visit(visit))?;
        self.event_loop.visit(visit)?;
        self.transport.visit(visit)?;
        self.engine.as_ref().map_or(Ok(()), |engine| engine.visit(visit))
    }
}
