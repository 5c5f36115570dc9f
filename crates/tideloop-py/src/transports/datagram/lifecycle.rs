//! How a datagram transport begins, fails and ends. The states are those of `state.rs`.

use std::sync::OnceLock;

use pyo3::exceptions::{PyOSError, PyResourceWarning};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use tideloop_sys::socket::{self, Name};

use super::DatagramTransport;
use super::peers;
use super::state::{Closing, Family, State};
use crate::cell::Slot;
use crate::error::{leaves_the_loop, os_error, unraisable};
use crate::event_loop::{EventLoop, IoTarget};
use crate::slots::finalizer::Finalize;
use crate::transports::lifecycle::schedule;
use crate::transports::report::{debug_error, report};
use crate::{names, slots};

impl DatagramTransport {
    /// Takes over a socket object: it stays the owner of its descriptor.
    pub(super) fn take_socket(
        slf: &Bound<'_, Self>,
        sock: &Bound<'_, PyAny>,
        remote: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let fd: i32 = sock.call_method0(intern!(py, "fileno"))?.extract()?;
        let family = match socket::local_name(fd) {
            Ok(Some(Name::Ip(address))) if address.is_ipv4() => Family::V4,
            Ok(Some(Name::Ip(_))) => Family::V6,
            Ok(Some(Name::Unix(_))) => Family::Unix,
            _ => Family::Other,
        };
        let extra = extra.map_or_else(|| PyDict::new(py), Clone::clone);
        extra.set_item("socket", names::transport_socket(py)?.call1((sock,))?)?;
        extra.set_item("sockname", name_or_none(sock, "getsockname")?)?;
        if !extra.contains("peername")? {
            extra.set_item("peername", name_or_none(sock, "getpeername")?)?;
        }
        let peer = extra.as_any().get_item("peername")?;
        let (connected, has_peer) = (peer.is_truthy()?, !peer.is_none());
        // An address that is empty is none, as on asyncio.
        let remote = match remote {
            Some(remote) if remote.is_truthy()? => Some(remote),
            _ => None,
        };
        let remote_ip = remote.and_then(|remote| peers::parse(remote, family));
        let (sock, extra, remote) =
            (sock.clone().unbind(), extra.unbind(), remote.map(|remote| remote.clone().unbind()));
        slf.get().state.with(py, |state| {
            (state.fd, state.family, state.connected, state.remote_ip) = (fd, family, connected, remote_ip);
            state.has_peer = has_peer;
            state.socket = Slot::holding(sock);
            state.extra = Slot::holding(extra);
            state.remote = Slot::maybe(remote);
        });
        Ok(())
    }

    /// Connects transport, protocol and loop: `connection_made` and the start of reading are scheduled, in this order.
    pub(super) fn begin(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        protocol: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let connection_made = protocol.getattr(intern!(py, "connection_made"))?;
        let context = slots::copy_context(py)?;
        slf.get().state.with(py, |state| {
            state.event_loop = Slot::holding(event_loop.clone().unbind());
            state.protocol = Slot::holding(protocol.clone().unbind());
            state.context = Slot::holding(context.clone().unbind());
            (state.conn_lost, state.closing, state.gone) = (0, false, false);
        });
        let for_connection_made = context.call_method0(intern!(py, "copy"))?;
        schedule(event_loop, &connection_made, slf.as_any(), Some(&for_connection_made))?;
        schedule(event_loop, start_receiving_function(py)?, slf.as_any(), Some(&context))
    }

    /// Brings what the loop watches the descriptor for in line with what the state wants. Without any interest there is
    /// no registration, and so nothing on the loop's side that keeps the transport alive.
    pub(super) fn sync_interest(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (event_loop, token, fd, interest) =
            slf.get().state.with(py, |state| (state.event_loop.cloned(py), state.token, state.fd, state.interest()));
        let Some(event_loop) = event_loop else { return Ok(()) };
        let this = event_loop.get();
        match token {
            None if interest.is_none() => Ok(()),
            None => {
                this.check_usable(py)?;
                let token = this
                    .io_register(py, fd, IoTarget::Datagram(slf.clone().unbind()), interest)
                    .map_err(|error| os_error(py, &error))?;
                slf.get().state.with(py, |state| state.token = Some(token));
                Ok(())
            }
            Some(token) if interest.is_none() => {
                slf.get().state.with(py, |state| state.token = None);
                this.io_deregister(py, token);
                Ok(())
            }
            Some(token) => this.io_interest(py, token, interest).map_err(|error| os_error(py, &error)),
        }
    }

    /// Reports an error that ends the transport, and ends it.
    pub(super) fn fail(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        let py = slf.py();
        let (event_loop, protocol) =
            slf.get().state.with(py, |state| (state.event_loop.cloned(py), state.protocol.cloned(py)));
        let Some(event_loop) = event_loop else { return Ok(()) };
        let event_loop = event_loop.bind(py);
        let reported = if error.is_instance_of::<PyOSError>(py) {
            debug_error(event_loop, slf.as_any(), message, &error)
        } else {
            let protocol = protocol.into_pyobject(py)?;
            let subjects = [("transport", slf.as_any()), ("protocol", &protocol)];
            report(event_loop, message, error.clone_ref(py), &subjects)
        };
        Self::force_close(slf, Some(error.value(py).as_any()))?;
        reported
    }

    /// The same, but `SystemExit` and `KeyboardInterrupt` leave.
    pub(super) fn fail_unless_leaving(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        if leaves_the_loop(slf.py(), &error) { Err(error) } else { Self::fail(slf, error, message) }
    }

    /// Ends the transport at once; what was not sent is thrown away.
    pub(super) fn force_close(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let Some(thrown_away) = slf.get().state.with(py, State::lose) else { return Ok(()) };
        drop(thrown_away);
        Self::schedule_connection_lost(slf, error)
    }

    /// `close()`: sends what is queued, then ends the transport.
    pub(super) fn close_gracefully(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (closing, held) = slf.get().state.with(py, State::close);
        drop(held);
        match closing {
            Closing::Already => Ok(()),
            Closing::Drains => Self::sync_interest(slf),
            Closing::Lost => Self::schedule_connection_lost(slf, None),
        }
    }

    fn schedule_connection_lost(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        Self::sync_interest(slf)?;
        let Some(event_loop) = slf.get().state.with(py, |state| state.event_loop.cloned(py)) else { return Ok(()) };
        let callback = slf.getattr(intern!(py, "_call_connection_lost"))?;
        let none = py.None().into_bound(py);
        schedule(event_loop.bind(py), &callback, error.unwrap_or(&none), None)
    }

    /// Tells the protocol, once, and lets everything go: descriptor, protocol, loop.
    pub(super) fn connection_lost(slf: &Bound<'_, Self>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let first = slf.get().state.with(py, |state| {
            (!std::mem::replace(&mut state.gone, true)).then(|| (state.protocol.cloned(py), state.context.cloned(py)))
        });
        let Some((protocol, context)) = first else { return Ok(()) };
        let told = match protocol {
            Some(protocol) => slots::in_copy_of(py, context.as_ref(), || {
                protocol.bind(py).call_method1(intern!(py, "connection_lost"), (error,)).map(drop)
            }),
            None => Ok(()),
        };
        let closed = Self::close_descriptor(slf);
        let rest = slf.get().state.with(py, |state| {
            let queued = (std::mem::take(&mut state.queue), std::mem::take(&mut state.peers));
            (state.event_loop.take(), state.protocol.take(), state.context.take(), queued)
        });
        drop(rest);
        told.and(closed)
    }

    fn close_descriptor(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.socket.cloned(py)) {
            Some(socket) => socket.bind(py).call_method0(intern!(py, "close")).map(drop),
            None => Ok(()),
        }
    }
}

impl Finalize for DatagramTransport {
    fn deallocator() -> &'static OnceLock<ffi::destructor> {
        static ORIGINAL: OnceLock<ffi::destructor> = OnceLock::new();
        &ORIGINAL
    }

    fn dies_silently(&self, py: Python<'_>) -> bool {
        !self.state.with(py, |state| state.is_open())
    }

    /// Nobody has closed it, and nobody can any more: the program is told of its mistake.
    fn finalize(slf: &Bound<'_, Self>) {
        let py = slf.py();
        if slf.get().dies_silently(py) {
            return;
        }
        for outcome in [warn_unclosed(slf), Self::close_descriptor(slf)] {
            if let Err(error) = outcome {
                unraisable(py, error, Some(slf));
            }
        }
        let contents = slf.get().state.with(py, |state| {
            (state.conn_lost, state.closing, state.gone) = (1, true, true);
            state.take_contents()
        });
        drop(contents);
    }
}

fn warn_unclosed(slf: &Bound<'_, DatagramTransport>) -> PyResult<()> {
    let py = slf.py();
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "source"), slf)?;
    let text = format!("unclosed transport {}", slf.repr()?);
    names::warn(py)?.call((text, py.get_type::<PyResourceWarning>()), Some(&keywords))?;
    Ok(())
}

fn name_or_none<'py>(sock: &Bound<'py, PyAny>, method: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = sock.py();
    match sock.call_method0(method) {
        Err(error) if error.is_instance_of::<PyOSError>(py) => Ok(py.None().into_bound(py)),
        outcome => outcome,
    }
}

/// What comes after `connection_made`.
#[pyfunction]
fn start_receiving(transport: &Bound<'_, DatagramTransport>) -> PyResult<()> {
    transport.get().state.with(transport.py(), |state| state.read_started = true);
    DatagramTransport::sync_interest(transport)
}

fn start_receiving_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function =
        FUNCTION.get_or_try_init(py, || wrap_pyfunction!(start_receiving, py).map(|f| f.into_any().unbind()))?;
    Ok(function.bind(py))
}
