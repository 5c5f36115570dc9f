//! `Listener`: accepts a server's connections.
//!
//! Connections are accepted in batches, and when the system is out of descriptors or memory the listener waits a
//! second: the kernel would report it as ready in every poll, and the loop would spin.

use std::io::ErrorKind;
use std::os::fd::{OwnedFd, RawFd};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;
use tideloop_sys::socket::{self, Name};

use super::SocketTransport;
use super::lifecycle::Connection;
use super::report::report;
use crate::cell::{Cell, Slot};
use crate::error::{leaves_the_loop, os_error};
use crate::event_loop::{EventLoop, Interest, IoTarget, Readiness};
use crate::{names, slots};

/// Connections accepted in one turn at most: more would delay the connections that are there.
const ACCEPTS_PER_TURN_MAX: usize = 128;
/// Seconds to wait after the system ran out of something; asyncio's `ACCEPT_RETRY_DELAY`.
const ACCEPT_RETRY_SECONDS: f64 = 1.0;

struct ListenerState {
    event_loop: Slot<EventLoop>,
    sock: Slot,
    protocol_factory: Slot,
    server: Slot,
    context: Slot,
    /// The timer that ends a wait.
    retry: Slot,
    token: Option<Token>,
    fd: RawFd,
    batch_max: usize,
}

/// Accepts connections on a listening socket and makes a `SocketTransport` of each; for `Server`.
#[pyclass(frozen, weakref, module = "tideloop._native")]
pub struct Listener {
    state: Cell<ListenerState>,
}

/// What is needed to make a transport.
struct Parts<'py> {
    factory: Bound<'py, PyAny>,
    server: Option<Bound<'py, PyAny>>,
    context: Bound<'py, PyAny>,
}

impl ListenerState {
    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> impl Sized + use<> {
        (
            self.event_loop.take(),
            self.sock.take(),
            self.protocol_factory.take(),
            self.server.take(),
            self.context.take(),
            self.retry.take(),
        )
    }
}

impl Listener {
    /// Connections wait: called by the loop. Only `SystemExit` and `KeyboardInterrupt` come out.
    pub fn on_ready(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, _ready: Readiness) -> PyResult<()> {
        let py = slf.py();
        let batch_max = slf.get().state.with(py, |state| state.batch_max);
        for _ in 0..batch_max {
            // A protocol factory may have closed this listener.
            let Some((fd, parts)) = slf.get().parts(py) else { return Ok(()) };
            match socket::accept(fd) {
                Ok((connection, peer)) => Self::connect(slf, event_loop, parts, connection, peer)?,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
                Err(error) => return Self::back_off(slf, event_loop, os_error(py, &error)),
            }
        }
        Ok(())
    }

    fn parts<'py>(&self, py: Python<'py>) -> Option<(RawFd, Parts<'py>)> {
        self.state.with(py, |state| {
            state.token?;
            let parts = Parts {
                factory: state.protocol_factory.cloned(py)?.into_bound(py),
                server: state.server.cloned(py).map(|server| server.into_bound(py)),
                context: state.context.cloned(py)?.into_bound(py),
            };
            Some((state.fd, parts))
        })
    }

    /// Makes protocol and transport of a new connection. If that fails the connection is closed, and the failure is
    /// reported.
    fn connect(
        slf: &Bound<'_, Self>,
        event_loop: &Bound<'_, EventLoop>,
        parts: Parts<'_>,
        fd: OwnedFd,
        peer: Option<Name>,
    ) -> PyResult<()> {
        let py = slf.py();
        let context = parts.context.call_method0(intern!(py, "copy"))?;
        let made = slots::in_context(&context, || parts.factory.call0()).and_then(|inner| inner);
        let protocol = match made {
            Ok(protocol) => protocol,
            Err(error) => {
                socket::close(fd);
                return Self::report_failure(event_loop, error, &[]);
            }
        };
        let server = parts.server.as_ref();
        let connection = Connection { event_loop, protocol: &protocol, server, context };
        match SocketTransport::accepted(connection, fd, peer) {
            Ok(transport) if event_loop.get().debug(py) => log_connection(server, &transport),
            Ok(_) => Ok(()),
            Err(error) => Self::report_failure(event_loop, error, &[("protocol", &protocol)]),
        }
    }

    #[cold]
    fn report_failure(
        event_loop: &Bound<'_, EventLoop>,
        error: PyErr,
        subjects: &[(&str, &Bound<'_, PyAny>)],
    ) -> PyResult<()> {
        if leaves_the_loop(event_loop.py(), &error) {
            return Err(error);
        }
        report(event_loop, "Error on transport creation for incoming connection", error, subjects)
    }

    /// Stops accepting for a while: what is wrong now may pass, and until then every poll would report the listener.
    #[cold]
    fn back_off(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        Self::deregister(slf, event_loop);
        let again = slf.getattr(intern!(py, "_resume"))?;
        let timer = event_loop.call_method1(intern!(py, "call_later"), (ACCEPT_RETRY_SECONDS, again))?;
        let (old, sock) =
            slf.get().state.with(py, |state| (state.retry.replace(Some(timer.unbind())), state.sock.cloned(py)));
        drop(old);
        let wrapper = names::transport_socket(py)?.call1((sock,))?;
        let message = match is_out_of_resources(&error, py)? {
            true => "socket.accept() out of system resource",
            false => "socket.accept() failed",
        };
        report(event_loop, message, error, &[("socket", &wrapper)])
    }

    fn register(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) -> PyResult<()> {
        let py = slf.py();
        let fd = slf.get().state.with(py, |state| state.fd);
        let target = IoTarget::Listener(slf.clone().unbind());
        let token =
            event_loop.get().io_register(py, fd, target, Interest::READ).map_err(|error| os_error(py, &error))?;
        slf.get().state.with(py, |state| state.token = Some(token));
        Ok(())
    }

    fn deregister(slf: &Bound<'_, Self>, event_loop: &Bound<'_, EventLoop>) {
        let py = slf.py();
        if let Some(token) = slf.get().state.with(py, |state| state.token.take()) {
            event_loop.get().io_deregister(py, token);
        }
    }
}

/// Debug mode tells of each connection.
#[cold]
fn log_connection(server: Option<&Bound<'_, PyAny>>, transport: &Bound<'_, SocketTransport>) -> PyResult<()> {
    let py = transport.py();
    let info = |key| transport.call_method1(intern!(py, "get_extra_info"), (key,));
    let arguments = ("%r got a new connection from %r: %r", server, info("peername")?, info("socket")?);
    names::logger(py)?.call_method1(intern!(py, "debug"), arguments)?;
    Ok(())
}

/// Whether the system has no descriptor or no memory for a connection.
#[cold]
fn is_out_of_resources(error: &PyErr, py: Python<'_>) -> PyResult<bool> {
    let number = error.value(py).getattr(intern!(py, "errno"))?;
    let errno = py.import(intern!(py, "errno"))?;
    for name in ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"] {
        if number.eq(errno.getattr(name)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.state.get_mut().take_contents());
    }
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (r#loop, sock, protocol_factory, server=None, backlog=100))]
    fn new<'py>(
        r#loop: &Bound<'py, EventLoop>,
        sock: &Bound<'py, PyAny>,
        protocol_factory: &Bound<'py, PyAny>,
        server: Option<&Bound<'py, PyAny>>,
        backlog: usize,
    ) -> PyResult<Bound<'py, Self>> {
        let py = sock.py();
        r#loop.get().check_usable(py)?;
        let fd: RawFd = sock.call_method0(intern!(py, "fileno"))?.extract()?;
        let state = ListenerState {
            event_loop: Slot::holding(r#loop.clone().unbind()),
            sock: Slot::holding(sock.clone().unbind()),
            protocol_factory: Slot::holding(protocol_factory.clone().unbind()),
            server: Slot::maybe(server.map(|server| server.clone().unbind())),
            context: Slot::holding(slots::copy_context(py)?.unbind()),
            retry: Slot::EMPTY,
            token: None,
            fd,
            batch_max: backlog.saturating_add(1).min(ACCEPTS_PER_TURN_MAX),
        };
        let listener = Bound::new(py, Self { state: Cell::new(state) })?;
        Self::register(&listener, r#loop)?;
        Ok(listener)
    }

    /// Accept no more. The socket stays open, it is the caller's.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (event_loop, retry) = slf.get().state.with(py, |state| (state.event_loop.cloned(py), state.retry.take()));
        if let Some(event_loop) = event_loop {
            Self::deregister(slf, event_loop.bind(py));
        }
        if let Some(retry) = retry {
            retry.bind(py).call_method0(intern!(py, "cancel"))?;
        }
        let contents = slf.get().state.with(py, ListenerState::take_contents);
        drop(contents);
        Ok(())
    }

    /// Accept again, after a wait.
    fn _resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (event_loop, timer) = slf.get().state.with(py, |state| (state.event_loop.cloned(py), state.retry.take()));
        drop(timer);
        match event_loop {
            Some(event_loop) => Self::register(slf, event_loop.bind(py)),
            None => Ok(()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (fd, accepting) = self.state.with(py, |state| (state.fd, state.token.is_some()));
        format!("<Listener fd={fd}{}>", if accepting { "" } else { " idle" })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.event_loop.visit(&visit)?;
            state.sock.visit(&visit)?;
            state.protocol_factory.visit(&visit)?;
            state.server.visit(&visit)?;
            state.context.visit(&visit)?;
            state.retry.visit(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), ListenerState::take_contents);
        drop(contents);
    }
}
