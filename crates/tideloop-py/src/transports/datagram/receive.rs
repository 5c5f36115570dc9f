//! Datagrams in. Those of IP are received many in one system call, into memory that all transports of the loop share;
//! a datagram that was received and cannot be delivered (the protocol has paused, or a `KeyboardInterrupt` has left
//! the loop) is held until it can.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::RawFd;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tideloop_sys::datagram::{self, BATCH_MAX, Batch};
use tideloop_sys::socket::Name;

use super::DatagramTransport;
use super::state::{Family, Held};
use crate::error::os_error;
use crate::event_loop::{Entry, EventLoop, READ_BUFFER_BYTES, Readiness};
use crate::slots;
use crate::transports::address::Address;
use crate::transports::report::debug;

/// Batches received in one turn at most, so that no socket starves the others: 64 datagrams take some 100 µs.
const BATCHES_PER_TURN_MAX: usize = 4;
/// Datagrams received one by one in a turn at most.
const DATAGRAMS_PER_TURN_MAX: usize = BATCHES_PER_TURN_MAX * BATCH_MAX;

const READ_FAILED: &str = "Fatal read error on datagram transport";

impl DatagramTransport {
    /// Delivers what is held and what has come, if datagrams are wanted at all.
    pub(super) fn receive_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = slf.py();
        let wanted = slf.get().state.with(py, |state| {
            let context = if state.receives() { state.context.cloned(py) } else { None };
            context.map(|context| (context, state.fd, state.family))
        });
        let Some((context, fd, family)) = wanted else { return Ok(()) };
        let outcome = slots::in_context(context.bind(py), || {
            if !Self::deliver_held(slf, event_loop)? {
                return Ok(());
            }
            match family {
                Family::V4 | Family::V6 => Self::receive_batches(slf, event_loop, fd),
                Family::Unix => Self::receive_unix(slf, event_loop, fd),
                Family::Other => Self::receive_by_python(slf, event_loop),
            }
        });
        outcome.and_then(|outcome| outcome)
    }

    fn receive_batches(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, fd: RawFd) -> PyResult<()> {
        let py = slf.py();
        let mut batch = event_loop.get().take_batch(py);
        let mut outcome = Ok(());
        for _ in 0..BATCHES_PER_TURN_MAX {
            // Where several came at once, more have come meanwhile; where one came, nothing has most times.
            outcome = match batch.receive(fd) {
                Ok(count) => match Self::deliver_batch(slf, event_loop, &mut batch, count) {
                    Ok(true) if count > 1 => continue,
                    outcome => outcome.map(drop),
                },
                Err(error) => Self::receive_failed(slf, &error),
            };
            break;
        }
        event_loop.get().return_batch(py, batch);
        outcome
    }

    /// Whether more is wanted.
    fn deliver_batch(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        batch: &mut Batch,
        count: usize,
    ) -> PyResult<bool> {
        let py = slf.py();
        for index in 0..count {
            let Some((bytes, sender)) = batch.take(index) else { break };
            let data = PyBytes::new(py, bytes);
            let delivered = Self::sender(slf, sender).and_then(|sender| Self::deliver(slf, event_loop, data, sender));
            if !matches!(delivered, Ok(true)) {
                Self::hold_rest(slf, event_loop, batch, index + 1..count);
                return delivered;
            }
        }
        Ok(true)
    }

    /// Keeps what was received and is not delivered now.
    #[cold]
    fn hold_rest(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        batch: &mut Batch,
        rest: std::ops::Range<usize>,
    ) {
        let py = slf.py();
        for index in rest {
            let Some((bytes, sender)) = batch.take(index) else { break };
            let data = PyBytes::new(py, bytes).unbind();
            let Ok(sender) = Self::sender(slf, sender) else { continue };
            let held = Held { data, sender: sender.unbind() };
            let dropped = slf.get().state.with(py, |state| {
                if state.closing {
                    return Some(held);
                }
                state.held.push_back(held);
                None
            });
            drop(dropped);
        }
        Self::deliver_later(slf, event_loop);
    }

    /// Has what is held delivered in the next turn, if it is wanted.
    pub(super) fn deliver_later(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) {
        let py = slf.py();
        let token = slf
            .get()
            .state
            .with(py, |state| if state.receives() && !state.held.is_empty() { state.token } else { None });
        if let Some(token) = token {
            event_loop.get().push(py, Entry::Io(token, Readiness { readable: true, writable: false }));
        }
    }

    /// Whether more is wanted.
    fn deliver_held(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<bool> {
        let py = slf.py();
        while let Some(held) = slf.get().state.with(py, |state| state.held.pop_front()) {
            let delivered = Self::deliver(slf, event_loop, held.data.into_bound(py), held.sender.into_bound(py));
            if !matches!(delivered, Ok(true)) {
                Self::deliver_later(slf, event_loop);
                return delivered;
            }
        }
        Ok(true)
    }

    /// Gives one datagram to the protocol; whether more is wanted. What the protocol raises is reported, and is no
    /// reason to lose the next datagram.
    #[inline]
    fn deliver(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        data: Bound<'_, PyBytes>,
        sender: Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let py = slf.py();
        let Some(protocol) = slf.get().state.with(py, |state| state.protocol.cloned(py)) else { return Ok(false) };
        let told = protocol.bind(py).call_method1(intern!(py, "datagram_received"), (data, sender)).map(drop);
        if told.is_err() {
            Self::tell(slf, event_loop, told, "_read_ready()")?;
        }
        Ok(slf.get().state.with(py, |state| state.receives()))
    }

    /// The sender of a datagram, as the protocol sees it.
    #[inline]
    fn sender<'py>(slf: &Bound<'py, Self>, address: Option<SocketAddr>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let Some(address) = address else { return Ok(py.None().into_bound(py)) };
        if let Some(shown) = slf.get().state.with(py, |state| state.peers.shown(py, &address)) {
            return Ok(shown.into_bound(py));
        }
        let shown = Address::from(Some(Name::Ip(address))).to_python(py)?;
        let kept = shown.clone().unbind();
        let replaced = slf.get().state.with(py, |state| state.peers.remember(address, kept));
        drop(replaced);
        Ok(shown)
    }

    /// A Unix socket's datagrams may be larger than those of IP, and are received one by one.
    fn receive_unix(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, fd: RawFd) -> PyResult<()> {
        let py = slf.py();
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            let received = event_loop.get().with_read_buffer(py, |buffer| {
                let (length, sender) = datagram::receive_one(fd, buffer)?;
                io::Result::Ok((PyBytes::new(py, buffer.get(..length).unwrap_or_default()), sender))
            });
            let (data, sender) = match received {
                Ok(received) => received,
                Err(error) => return Self::receive_failed(slf, &error),
            };
            let sender = Address::from(sender).to_python(py)?;
            if !Self::deliver(slf, event_loop, data, sender)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn receive_by_python(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = slf.py();
        let Some(socket) = slf.get().state.with(py, |state| state.socket.cloned(py)) else { return Ok(()) };
        match socket.bind(py).call_method1(intern!(py, "recvfrom"), (READ_BUFFER_BYTES,)) {
            Ok(received) => {
                let (data, sender) = received.extract()?;
                Self::deliver(slf, event_loop, data, sender).map(drop)
            }
            Err(error)
                if error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py) =>
            {
                Ok(())
            }
            Err(error) if error.is_instance_of::<PyOSError>(py) => Self::error_received(slf, error),
            Err(error) => Self::fail_unless_leaving(slf, error, READ_FAILED),
        }
    }

    #[cold]
    fn receive_failed(slf: &Bound<'_, Self>, error: &io::Error) -> PyResult<()> {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
            return Ok(());
        }
        Self::error_received(slf, os_error(slf.py(), error))
    }

    /// `pause_reading()`: nothing is received until `resume_reading()`.
    pub(super) fn pause(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (changed, event_loop) = slf.get().state.with(py, |state| {
            let changed = !state.closing && !std::mem::replace(&mut state.paused, true);
            (changed, state.event_loop.cloned(py))
        });
        match event_loop {
            Some(event_loop) if changed => {
                Self::sync_interest(slf)?;
                debug(event_loop.bind(py), "%r pauses reading", slf.as_any())
            }
            _ => Ok(()),
        }
    }

    /// `resume_reading()`.
    pub(super) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (changed, event_loop) = slf.get().state.with(py, |state| {
            let changed = !state.closing && std::mem::replace(&mut state.paused, false);
            (changed, state.event_loop.cloned(py))
        });
        match event_loop {
            Some(event_loop) if changed => {
                Self::sync_interest(slf)?;
                Self::deliver_later(slf, event_loop.bind(py));
                debug(event_loop.bind(py), "%r resumes reading", slf.as_any())
            }
            _ => Ok(()),
        }
    }
}
