//! Bytes in: one `recv` per readiness, at most [`READ_BUFFER_BYTES`], so that no connection starves the others.
//!
//! A plain protocol's bytes are received into the buffer that all connections of the loop share, and copied once,
//! into a `bytes` of exactly their size. A buffered protocol's go straight into its own memory.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tideloop_sys::socket;

use super::SocketTransport;
use super::lifecycle::Receiver;
use super::report::debug;
use super::tls::TlsProtocol;
use crate::error::os_error;
use crate::event_loop::{EventLoop, READ_BUFFER_BYTES};
use crate::slots;
use crate::streams::StreamReaderProtocol;

/// A connection whose latest read was this large is read straight into the `bytes` of its next one: from here on the
/// copy costs more than to allocate more than is needed, and to give the rest back.
const DIRECT_READ_BYTES_MIN: u32 = 8 * 1024;

/// Ciphertext that is received at once. Its plaintext becomes one `bytes`, and from 128 KiB on glibc maps fresh memory
/// for each of them, whose pages cost more than to decrypt into them.
const TLS_READ_BYTES_MAX: usize = 96 * 1024;

const DATA_RECEIVED_FAILED: &str = "Fatal error: protocol.data_received() call failed.";
const GET_BUFFER_FAILED: &str = "Fatal error: protocol.get_buffer() call failed.";
const BUFFER_UPDATED_FAILED: &str = "Fatal error: protocol.buffer_updated() call failed.";
const EOF_RECEIVED_FAILED: &str = "Fatal error: protocol.eof_received() call failed.";
const READ_FAILED: &str = "Fatal read error on socket transport";

/// Where bytes come from.
#[derive(Clone, Copy)]
struct Source {
    fd: RawFd,
    latest_read: u32,
}

impl SocketTransport {
    /// Receives once, if bytes are wanted at all. The protocol's answer leaves when it returns, while it is still in
    /// the processor's cache: what is waited for until the end of the turn are the writes of others, such as tasks.
    #[inline]
    pub(super) fn read_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = slf.py();
        let wanted = slf.get().state.with(py, |state| {
            if !state.receives() {
                return None;
            }
            let source = Source { fd: state.fd, latest_read: state.latest_read };
            let call = (state.protocol.cloned(py)?, state.context.cloned(py)?, source, state.receiver);
            // What the protocol answers at once is sent below: the loop need not be told.
            state.flush_pending |= state.receiver != Receiver::Stream;
            Some(call)
        });
        let Some((protocol, context, source, receiver)) = wanted else { return Ok(()) };
        let (protocol, context) = (protocol.into_bound(py), context.into_bound(py));
        if receiver == Receiver::Stream {
            return Self::read_stream(slf, event_loop, &protocol, &context, source.fd);
        }
        let outcome = slots::in_context(&context, || {
            let read = match receiver {
                Receiver::Tls => Self::read_tls(slf, event_loop, &protocol, source.fd),
                Receiver::Buffered => Self::read_into_protocol(slf, event_loop, &protocol, source.fd),
                Receiver::Plain | Receiver::Stream => Self::read_bytes(slf, event_loop, &protocol, source),
            };
            read.and(Self::send_written(slf))
        });
        match outcome {
            Ok(read) => read,
            // The context could not be entered.
            Err(error) => Self::send_written(slf).and(Err(error)),
        }
    }

    #[inline]
    fn read_bytes(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
        source: Source,
    ) -> PyResult<()> {
        let py = slf.py();
        let received = if source.latest_read < DIRECT_READ_BYTES_MIN {
            event_loop.get().with_read_buffer(py, |buffer| {
                let length = socket::recv(source.fd, buffer)?;
                let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty());
                io::Result::Ok(bytes.map(|bytes| PyBytes::new(py, bytes)))
            })
        } else {
            let room = (source.latest_read as usize + 1).next_power_of_two().min(READ_BUFFER_BYTES);
            slots::bytes::receive(py, source.fd, room)?
        };
        match received {
            Ok(Some(data)) => {
                let length = data.as_bytes().len() as u32;
                if length.max(source.latest_read) >= DIRECT_READ_BYTES_MIN {
                    slf.get().state.with(py, |state| state.latest_read = length);
                }
                match protocol.call_method1(intern!(py, "data_received"), (data,)) {
                    Ok(_) => Ok(()),
                    Err(error) => Self::fail_unless_leaving(slf, error, DATA_RECEIVED_FAILED),
                }
            }
            Ok(None) => Self::end_of_stream(slf, event_loop, protocol),
            Err(error) => Self::read_failed(slf, &error),
        }
    }

    /// Ciphertext goes from the shared buffer into OpenSSL, and becomes an object only as plaintext.
    #[inline]
    fn read_tls(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
        fd: RawFd,
    ) -> PyResult<()> {
        let tls = protocol.cast_exact::<TlsProtocol>()?;
        let received =
            event_loop.get().with_read_buffer(slf.py(), |buffer| match socket::recv(fd, first_part(buffer))? {
                0 => Ok(None),
                length => io::Result::Ok(Some(TlsProtocol::take_in(tls, buffer.get(..length).unwrap_or_default()))),
            });
        match received {
            Ok(Some(arrived)) => match arrived.and_then(|arrived| TlsProtocol::act_on(tls, arrived)) {
                Ok(()) => Ok(()),
                Err(error) => Self::fail_unless_leaving(slf, error, DATA_RECEIVED_FAILED),
            },
            Ok(None) => Self::end_of_stream(slf, event_loop, protocol),
            Err(error) => Self::read_failed(slf, &error),
        }
    }

    /// Bytes go from the shared buffer into the reader's. Nobody answers at once: a task that waits is woken.
    #[inline]
    fn read_stream(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
        fd: RawFd,
    ) -> PyResult<()> {
        let stream = protocol.cast::<StreamReaderProtocol>()?;
        let received = event_loop.get().with_read_buffer(slf.py(), |buffer| match socket::recv(fd, buffer)? {
            0 => Ok(None),
            length => {
                let bytes = buffer.get(..length).unwrap_or_default();
                io::Result::Ok(Some(StreamReaderProtocol::receive(stream, bytes, Some(context))))
            }
        });
        match received {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Self::fail_unless_leaving(slf, error, DATA_RECEIVED_FAILED),
            Ok(None) => slots::in_context(context, || Self::end_of_stream(slf, event_loop, protocol))?,
            Err(error) => Self::read_failed(slf, &error),
        }
    }

    fn read_into_protocol(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
        fd: RawFd,
    ) -> PyResult<()> {
        let py = slf.py();
        let buffer = match buffer_of(protocol) {
            Ok(buffer) => buffer,
            Err(error) => return Self::fail_unless_leaving(slf, error, GET_BUFFER_FAILED),
        };
        // get_buffer() is the user's: it may have closed the connection.
        if slf.get().state.with(py, |state| state.conn_lost > 0 || state.gone) {
            return Ok(());
        }
        let received = slots::with_writable_buffer(&buffer, |memory| {
            let length = memory.len().min(READ_BUFFER_BYTES);
            socket::recv(fd, memory.get_mut(..length).unwrap_or_default())
        });
        let class = buffer.get_type().name()?;
        drop(buffer);
        match received {
            Ok(Ok(0)) => Self::end_of_stream(slf, event_loop, protocol),
            Ok(Ok(length)) => match protocol.call_method1(intern!(py, "buffer_updated"), (length,)) {
                Ok(_) => Ok(()),
                Err(error) => Self::fail_unless_leaving(slf, error, BUFFER_UPDATED_FAILED),
            },
            Ok(Err(error)) => Self::read_failed(slf, &error),
            Err(_) => {
                let text = format!("get_buffer() must return a read-write bytes-like object, not {class}");
                Self::fail(slf, PyTypeError::new_err(text), READ_FAILED)
            }
        }
    }

    #[cold]
    fn read_failed(slf: &Bound<'_, Self>, error: &io::Error) -> PyResult<()> {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
            return Ok(());
        }
        Self::fail_unless_leaving(slf, os_error(slf.py(), error), READ_FAILED)
    }

    /// The peer sends nothing more: the protocol decides whether we may go on sending.
    fn end_of_stream(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        debug(event_loop, "%r received EOF", slf.as_any())?;
        let keep_open = protocol.call_method0(intern!(py, "eof_received")).and_then(|keep_open| keep_open.is_truthy());
        match keep_open {
            Ok(true) => {
                slf.get().state.with(py, |state| state.read_ended = true);
                Self::sync_interest(slf)
            }
            Ok(false) => Self::close_gracefully(slf),
            Err(error) => Self::fail_unless_leaving(slf, error, EOF_RECEIVED_FAILED),
        }
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
                debug(event_loop.bind(py), "%r resumes reading", slf.as_any())
            }
            _ => Ok(()),
        }
    }
}

fn first_part(buffer: &mut [u8]) -> &mut [u8] {
    let length = buffer.len().min(TLS_READ_BYTES_MAX);
    buffer.get_mut(..length).unwrap_or_default()
}

/// The protocol's own memory to receive into.
fn buffer_of<'py>(protocol: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let buffer = protocol.call_method1(intern!(protocol.py(), "get_buffer"), (-1,))?;
    if buffer.len()? == 0 {
        return Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer"));
    }
    Ok(buffer)
}
