//! Descriptors: who owns a registration, and what the poller is told of it.
//!
//! A descriptor has at most one registration, and a registration one owner. The kernel is given a token of index and
//! generation, so an event that arrives late can never reach whoever reuses the descriptor's number (DESIGN §4.4).

use std::io;
use std::os::fd::RawFd;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;
pub use tideloop_sys::poll::Interest;

use super::watchers::Watcher;
use super::{Entry, EventLoop, Readiness};
use crate::transports::{DatagramTransport, Listener, ReadPipeTransport, SocketTransport, WritePipeTransport};

/// Tokens that are not registrations; a registration's generation never reaches these.
pub(super) const TOKEN_WAKE: u64 = u64::MAX;
pub(super) const TOKEN_TIMER: u64 = u64::MAX - 1;
pub(super) const TOKEN_SIGNALS: u64 = u64::MAX - 2;

/// Whose descriptor it is.
pub enum IoTarget {
    Socket(Py<SocketTransport>),
    Datagram(Py<DatagramTransport>),
    Listener(Py<Listener>),
    ReadPipe(Py<ReadPipeTransport>),
    WritePipe(Py<WritePipeTransport>),
    /// `add_reader` and `add_writer`, and the `sock_*` calls.
    Watcher(Watcher),
}

/// One registered descriptor.
pub(crate) struct Registration {
    pub(super) fd: RawFd,
    pub(super) interest: Interest,
    /// The poller knows the descriptor. One without any interest is taken out: a hang-up would be reported for it
    /// in every poll.
    polled: bool,
    pub(super) target: IoTarget,
}

impl Registration {
    /// The object that owns it, for reports.
    pub(super) fn owner(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.target {
            IoTarget::Socket(transport) => Some(transport.clone_ref(py).into_any()),
            IoTarget::Datagram(transport) => Some(transport.clone_ref(py).into_any()),
            IoTarget::Listener(listener) => Some(listener.clone_ref(py).into_any()),
            IoTarget::ReadPipe(transport) => Some(transport.clone_ref(py).into_any()),
            IoTarget::WritePipe(transport) => Some(transport.clone_ref(py).into_any()),
            IoTarget::Watcher(_) => None,
        }
    }

    /// The loop closes: sockets that were lent to it are given back.
    pub(super) fn let_go(&self, py: Python<'_>) {
        if let IoTarget::Watcher(watcher) = &self.target {
            watcher.let_go(py);
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.target {
            IoTarget::Socket(transport) => visit.call(transport),
            IoTarget::Datagram(transport) => visit.call(transport),
            IoTarget::Listener(listener) => visit.call(listener),
            IoTarget::ReadPipe(transport) => visit.call(transport),
            IoTarget::WritePipe(transport) => visit.call(transport),
            IoTarget::Watcher(watcher) => watcher.visit(visit),
        }
    }
}

impl EventLoop {
    /// Registers a descriptor that has no registration yet. A stale one, whose descriptor was closed behind our
    /// back and whose number came up again, gives way.
    pub fn io_register(&self, py: Python<'_>, fd: RawFd, target: IoTarget, interest: Interest) -> io::Result<Token> {
        let registration = Registration { fd, interest, polled: false, target };
        let (token, stale) = self.with_state(py, |state| {
            let stale = state.by_fd.remove(&fd).and_then(|token| state.registrations.remove(token));
            let token = state.registrations.insert(registration);
            state.by_fd.insert(fd, token);
            let unwatched = if state.unwatched.is_empty() { None } else { state.unwatched.remove(&fd) };
            (token, (stale, unwatched))
        });
        drop(stale);
        match self.io_apply(py, token, interest) {
            Ok(()) => Ok(token),
            Err(error) => {
                drop(self.io_forget(py, token));
                Err(error)
            }
        }
    }

    /// Whether the poller watches this very descriptor for somebody, and not for one before it that had its number.
    pub fn io_is_watched(&self, py: Python<'_>, fd: RawFd) -> bool {
        let found = self.with_state(py, |state| {
            let token = *state.by_fd.get(&fd)?;
            let registration = state.registrations.get(token)?;
            let (kept, idle) = match &registration.target {
                IoTarget::Watcher(watcher) => (watcher.is_kept(), watcher.is_idle()),
                _ => (false, false),
            };
            (registration.polled && !idle).then_some((token, registration.interest, kept))
        });
        let (Some((token, interest, kept)), Ok(kernel)) = (found, self.kernel(py)) else { return false };
        let (poller, raw) = (&kernel.poller, token.to_u64());
        let known = if kept { poller.modify_edge(fd, raw, interest) } else { poller.modify(fd, raw, interest) };
        known.is_ok()
    }

    /// Changes what a registration waits for. A stale token changes nothing.
    pub fn io_interest(&self, py: Python<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let before = self.with_state(py, |state| {
            let registration = state.registrations.get_mut(token)?;
            Some(std::mem::replace(&mut registration.interest, interest))
        });
        match before {
            Some(before) if before != interest => self.io_apply(py, token, interest),
            _ => Ok(()),
        }
    }

    /// Removes a registration; the descriptor must still be open, and is closed by its owner afterwards.
    pub fn io_deregister(&self, py: Python<'_>, token: Token) {
        if let Some(registration) = self.io_forget(py, token)
            && registration.polled
        {
            // A descriptor that was closed behind our back is gone from the poller already; a closed loop has none.
            let _ = self.kernel(py).map(|kernel| kernel.poller.remove(registration.fd));
        }
    }

    #[must_use]
    fn io_forget(&self, py: Python<'_>, token: Token) -> Option<Registration> {
        self.with_state(py, |state| {
            let registration = state.registrations.remove(token)?;
            if state.by_fd.get(&registration.fd) == Some(&token) {
                state.by_fd.remove(&registration.fd);
            }
            Some(registration)
        })
    }

    /// Tells the poller. A descriptor number that was reused is added anew where the poller has lost it.
    pub(super) fn io_apply(&self, py: Python<'_>, token: Token, wanted: Interest) -> io::Result<()> {
        let registered = self.with_state(py, |state| {
            let registration = state.registrations.get(token)?;
            let edge = matches!(&registration.target, IoTarget::Watcher(watcher) if watcher.is_kept());
            Some((registration.fd, registration.polled, edge))
        });
        let Some((fd, polled, edge)) = registered else { return Ok(()) };
        let Ok(kernel) = self.kernel(py) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (poller, raw) = (&kernel.poller, token.to_u64());
        let add = || if edge { poller.add_edge(fd, raw, wanted) } else { poller.add(fd, raw, wanted) };
        let modify = || if edge { poller.modify_edge(fd, raw, wanted) } else { poller.modify(fd, raw, wanted) };
        let result = match (polled, wanted == Interest::NONE) {
            (false, true) => Ok(()),
            (true, true) => poller.remove(fd),
            (true, false) => match modify() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => add(),
                other => other,
            },
            (false, false) => match add() {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => modify(),
                other => other,
            },
        };
        if result.is_ok() {
            self.with_state(py, |state| {
                if let Some(registration) = state.registrations.get_mut(token) {
                    registration.polled = wanted != Interest::NONE;
                }
            });
        }
        result
    }

    /// Makes all registrations known to a new poller.
    pub(super) fn io_register_again(&self, py: Python<'_>) -> io::Result<()> {
        let all = self.with_state(py, |state| {
            let tokens: Vec<Token> = state.by_fd.values().copied().collect();
            let wanted = tokens.into_iter().filter_map(|token| {
                let registration = state.registrations.get_mut(token)?;
                registration.polled = false;
                Some((token, registration.interest))
            });
            wanted.collect::<Vec<_>>()
        });
        all.into_iter().try_for_each(|(token, interest)| self.io_apply(py, token, interest))
    }

    /// Turns an event of the poller into entries of the ready queue.
    pub(super) fn io_event(&self, py: Python<'_>, token: Token, readiness: Readiness) {
        let watched = self.with_state(py, |state| match &state.registrations.get(token)?.target {
            IoTarget::Watcher(_) => Some(()),
            _ => {
                state.ready.push(Entry::Io(token, readiness));
                None
            }
        });
        if watched.is_some() {
            self.watcher_event(py, token, readiness);
        }
    }

    /// Hands a readiness to the registration's owner, if it still is there.
    pub(super) fn io_dispatch(slf: &Bound<'_, Self>, token: Token, readiness: Readiness) -> PyResult<()> {
        enum Owner {
            Socket(Py<SocketTransport>),
            Datagram(Py<DatagramTransport>),
            Listener(Py<Listener>),
            ReadPipe(Py<ReadPipeTransport>),
            WritePipe(Py<WritePipeTransport>),
        }
        let py = slf.py();
        let owner = slf.get().with_state(py, |state| match &state.registrations.get(token)?.target {
            IoTarget::Socket(transport) => Some(Owner::Socket(transport.clone_ref(py))),
            IoTarget::Datagram(transport) => Some(Owner::Datagram(transport.clone_ref(py))),
            IoTarget::Listener(listener) => Some(Owner::Listener(listener.clone_ref(py))),
            IoTarget::ReadPipe(transport) => Some(Owner::ReadPipe(transport.clone_ref(py))),
            IoTarget::WritePipe(transport) => Some(Owner::WritePipe(transport.clone_ref(py))),
            IoTarget::Watcher(_) => None,
        });
        match owner {
            Some(Owner::Socket(transport)) => SocketTransport::on_ready(transport.bind(py), slf, readiness),
            Some(Owner::Datagram(transport)) => DatagramTransport::on_ready(transport.bind(py), slf, readiness),
            Some(Owner::Listener(listener)) => Listener::on_ready(listener.bind(py), slf, readiness),
            Some(Owner::ReadPipe(transport)) => ReadPipeTransport::on_ready(transport.bind(py), slf, readiness),
            Some(Owner::WritePipe(transport)) => WritePipeTransport::on_ready(transport.bind(py), slf, readiness),
            None => Ok(()),
        }
    }
}
