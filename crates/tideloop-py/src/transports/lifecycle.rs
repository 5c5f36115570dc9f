//! How a transport begins, fails and ends. The states are those of `state.rs`.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use pyo3::exceptions::{PyConnectionError, PyOSError, PyResourceWarning};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use tideloop_sys::socket::{self, Name};

use super::SocketTransport;
use super::address::Address;
use super::report::{debug_error, report};
use super::state::{Closing, State};
use super::tls::TlsProtocol;
use crate::cell::Slot;
use crate::error::{leaves_the_loop, os_error, unraisable};
use crate::event_loop::{Entry, EventLoop, IoTarget};
use crate::slots::finalizer::Finalize;
use crate::{names, slots, streams};

/// A connected socket, and what it is to become.
pub(super) struct Connection<'a, 'py> {
    pub event_loop: &'a Bound<'py, EventLoop>,
    pub protocol: &'a Bound<'py, PyAny>,
    pub server: Option<&'a Bound<'py, PyAny>>,
    /// The context that the protocol will be called in.
    pub context: Bound<'py, PyAny>,
}

/// Whether a protocol receives into memory of its own: an `asyncio.BufferedProtocol`, or one that is like it. (asyncio
/// asks for the class alone, and then fails on one that has `get_buffer()` and no `data_received()`; uvloop does not.)
pub(super) fn is_buffered(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = protocol.py();
    if protocol.is_instance(names::buffered_protocol_class(py)?)? {
        return Ok(true);
    }
    Ok(!protocol.hasattr(intern!(py, "data_received"))? && protocol.hasattr(intern!(py, "get_buffer"))?)
}

/// How a protocol is handed what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// By `data_received`.
    Plain,
    /// In its own memory: an `asyncio.BufferedProtocol`.
    Buffered,
    /// It is a `TlsProtocol`, which is handed bytes directly.
    Tls,
    /// It is a `StreamReaderProtocol`, whose reader is.
    Stream,
}

impl Receiver {
    /// What `protocol` is, from the connection's start or from `set_protocol` on.
    pub fn of(protocol: &Bound<'_, PyAny>) -> PyResult<Self> {
        if protocol.is_exact_instance_of::<TlsProtocol>() {
            return Ok(Self::Tls);
        }
        if streams::receives_plainly(protocol)? {
            return Ok(Self::Stream);
        }
        Ok(if is_buffered(protocol)? { Self::Buffered } else { Self::Plain })
    }
}

/// Puts `callback(argument)` on the loop, as `call_soon` does.
pub(super) fn schedule(
    event_loop: &Bound<'_, EventLoop>,
    callback: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
    context: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    let this = event_loop.get();
    if this.debug(py) || !this.schedules_natively() {
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "context"), context)?;
        event_loop.call_method(intern!(py, "call_soon"), (callback, argument), Some(&keywords))?;
        return Ok(());
    }
    this.check_usable(py)?;
    let context = match context {
        Some(context) => context.clone(),
        None => slots::copy_context(py)?,
    };
    let (callback, argument) = (callback.clone().unbind(), argument.clone().unbind());
    this.push(py, Entry::Call { callback, argument, context: context.unbind() });
    Ok(())
}

impl SocketTransport {
    /// A transport for a connection that was accepted; its descriptor is ours alone.
    pub(super) fn accepted<'py>(
        connection: Connection<'_, 'py>,
        fd: OwnedFd,
        peer: Option<Name>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = connection.event_loop.py();
        let transport = slots::create(py, Self::blank())?;
        let peer = Address::from(peer);
        let is_ip = peer.is_ip();
        transport.get().state.with(py, |state| {
            state.fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
            state.owned = Some(fd);
            state.peer = peer;
        });
        match Self::begin(&transport, connection, is_ip) {
            Ok(()) => Ok(transport),
            Err(error) => {
                Self::abandon(&transport);
                Err(error)
            }
        }
    }

    /// Connects transport, protocol and loop: `connection_made` and the start of reading are scheduled, in this order.
    pub(super) fn begin(slf: &Bound<'_, Self>, connection: Connection<'_, '_>, is_ip: bool) -> PyResult<()> {
        let py = slf.py();
        let Connection { event_loop, protocol, server, context } = connection;
        let connection_made = protocol.getattr(intern!(py, "connection_made"))?;
        let receiver = Receiver::of(protocol)?;
        let fd = slf.get().state.with(py, |state| {
            state.event_loop = Slot::holding(event_loop.clone().unbind());
            state.protocol = Slot::holding(protocol.clone().unbind());
            state.server = Slot::maybe(server.map(|server| server.clone().unbind()));
            state.context = Slot::holding(context.clone().unbind());
            (state.conn_lost, state.closing, state.gone) = (0, false, false);
            state.receiver = receiver;
            state.fd
        });
        if is_ip {
            // A connection that is broken already says so when it is read.
            let _ = socket::set_nodelay(fd);
        }
        event_loop.get().note_unwatched(fd, slf.as_any())?;
        if let Some(server) = server {
            server.call_method1(intern!(py, "_attach"), (slf,))?;
        }
        let for_connection_made = context.call_method0(intern!(py, "copy"))?;
        schedule(event_loop, &connection_made, slf.as_any(), Some(&for_connection_made))?;
        schedule(event_loop, start_reading_function(py)?, slf.as_any(), Some(&context))
    }

    /// The context that the protocol is called in, until the end.
    pub(super) fn context(slf: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        slf.get().state.with(slf.py(), |state| state.context.cloned(slf.py()))
    }

    /// Lets go of a connection that never began: no protocol has heard of it.
    #[cold]
    fn abandon(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let contents = slf.get().state.with(py, |state| {
            (state.conn_lost, state.closing, state.gone) = (1, true, true);
            (state.owned.take(), state.take_contents())
        });
        drop(contents);
    }

    /// Brings what the loop watches the descriptor for in line with what the state wants.
    ///
    /// Without any interest there is no registration, and so nothing on the loop's side that keeps the transport
    /// alive: as with asyncio, one that is paused and forgotten is found out by the collector.
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
                    .io_register(py, fd, IoTarget::Socket(slf.clone().unbind()), interest)
                    .map_err(|error| os_error(py, &error))?;
                slf.get().state.with(py, |state| state.token = Some(token));
                Ok(())
            }
            Some(token) if interest.is_none() => {
                slf.get().state.with(py, |state| state.token = None);
                this.io_deregister(py, token);
                if slf.get().is_closing(py) { Ok(()) } else { this.note_unwatched(fd, slf.as_any()) }
            }
            Some(token) => this.io_interest(py, token, interest).map_err(|error| os_error(py, &error)),
        }
    }

    /// Reports an error that ends the connection, and ends it. A broken connection is no news: it is only logged in
    /// debug mode.
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

    /// What the protocol raised: reported and the connection ended, but `SystemExit` and `KeyboardInterrupt` leave.
    pub(super) fn fail_unless_leaving(slf: &Bound<'_, Self>, error: PyErr, message: &str) -> PyResult<()> {
        // What it wrote before counts as tried.
        Self::send_collected(slf)?;
        if leaves_the_loop(slf.py(), &error) { Err(error) } else { Self::fail(slf, error, message) }
    }

    /// Ends the connection at once; what was not sent is thrown away.
    pub(super) fn force_close(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let Some(retired) = slf.get().state.with(py, State::lose) else { return Ok(()) };
        drop(retired);
        Self::schedule_connection_lost(slf, error)
    }

    /// `close()`: sends what was written, then ends the connection.
    pub(super) fn close_gracefully(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        Self::send_written(slf)?;
        match slf.get().state.with(py, State::close) {
            Closing::Already => Ok(()),
            Closing::Drains => Self::sync_interest(slf),
            Closing::Lost => Self::schedule_connection_lost(slf, None),
        }
    }

    fn schedule_connection_lost(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let py = slf.py();
        Self::wake_sendfile(slf)?;
        Self::sync_interest(slf)?;
        let Some(event_loop) = slf.get().state.with(py, |state| state.event_loop.cloned(py)) else { return Ok(()) };
        let callback = slf.getattr(intern!(py, "_call_connection_lost"))?;
        let none = py.None().into_bound(py);
        schedule(event_loop.bind(py), &callback, error.unwrap_or(&none), None)
    }

    /// Tells the protocol, once, and lets everything go: descriptor, protocol, loop, server.
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
        let released = Self::release(slf);
        told.and(released)
    }

    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let closed = Self::close_descriptor(slf);
        let (waiter, rest) = slf.get().state.with(py, |state| {
            let waiter = state.rare.as_deref_mut().and_then(|rare| rare.empty_waiter.take());
            (waiter, (state.event_loop.take(), state.protocol.take(), state.context.take()))
        });
        drop(rest);
        let detached = Self::detach_from_server(slf);
        if let Some(waiter) = waiter {
            let error = PyConnectionError::new_err("Connection is closed by peer");
            fail_waiter(waiter.bind(py), error)?;
        }
        closed.and(detached)
    }

    fn detach_from_server(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.server.take()) {
            Some(server) => server.bind(py).call_method1(intern!(py, "_detach"), (slf,)).map(drop),
            None => Ok(()),
        }
    }

    /// Closes the descriptor through whoever owns it; our own address can be asked for ever after.
    pub(super) fn close_descriptor(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (owned, python_socket) = slf.get().state.with(py, |state| {
            let kept = state.rare.as_ref().is_some_and(|rare| rare.local.is_known());
            if state.is_open()
                && !kept
                && let Ok(local) = socket::local_name(state.fd)
            {
                state.rare_mut().local = Address::from(local);
            }
            let python_socket = state.rare.as_deref().and_then(|rare| rare.socket.cloned(py));
            (state.owned.take(), python_socket)
        });
        if let Some(fd) = owned {
            socket::close(fd);
        }
        match python_socket {
            Some(python_socket) => python_socket.bind(py).call_method0(intern!(py, "close")).map(drop),
            None => Ok(()),
        }
    }
}

impl Finalize for SocketTransport {
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
        for outcome in [warn_unclosed(slf), Self::close_descriptor(slf), Self::detach_from_server(slf)] {
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

fn warn_unclosed(slf: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = slf.py();
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "source"), slf)?;
    let text = format!("unclosed transport {}", slf.repr()?);
    names::warn(py)?.call((text, py.get_type::<PyResourceWarning>()), Some(&keywords))?;
    Ok(())
}

/// Gives an error to a future, unless it is done.
pub(super) fn fail_waiter(waiter: &Bound<'_, PyAny>, error: PyErr) -> PyResult<()> {
    let py = waiter.py();
    if !waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
        waiter.call_method1(intern!(py, "set_exception"), (error,))?;
    }
    Ok(())
}

/// Sets a future's result to None, unless it is done.
#[pyfunction]
pub(super) fn wake(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = waiter.py();
    if !waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
        waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// What comes after `connection_made`.
#[pyfunction]
fn start_reading(transport: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    transport.get().state.with(py, |state| state.read_started = true);
    match SocketTransport::sync_interest(transport) {
        Err(error) if error.is_instance_of::<PyOSError>(py) => cannot_be_watched(transport, error),
        outcome => outcome,
    }
}

/// The kernel has no room to watch one more descriptor. Nobody would ever hear of this connection again, so it ends.
#[cold]
fn cannot_be_watched(transport: &Bound<'_, SocketTransport>, error: PyErr) -> PyResult<()> {
    let py = transport.py();
    let event_loop = transport.get().state.with(py, |state| state.event_loop.cloned(py));
    if let Some(event_loop) = event_loop {
        let subjects = [("transport", transport.as_any())];
        report(event_loop.bind(py), "Cannot wait for a connection's data", error.clone_ref(py), &subjects)?;
    }
    SocketTransport::force_close(transport, Some(error.value(py).as_any()))
}

fn start_reading_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function =
        FUNCTION.get_or_try_init(py, || wrap_pyfunction!(start_reading, py).map(|f| f.into_any().unbind()))?;
    Ok(function.bind(py))
}

/// `wake` as a Python function.
pub(super) fn wake_function(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let function = FUNCTION.get_or_try_init(py, || wrap_pyfunction!(wake, py).map(|f| f.into_any().unbind()))?;
    Ok(function.bind(py))
}
