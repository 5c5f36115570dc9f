//! `add_reader` and its kin, and how the `sock_*` calls wait.
//!
//! A descriptor has one watcher, with room for one that reads and one that writes; whoever comes later takes the place
//! of whoever was there, as on asyncio. There are two kinds of watchers:
//!
//! - With a handle of `add_reader` or `add_writer` it is **level-triggered**, registered for just the directions in use.
//! - With calls on a `socket.socket` alone it is **kept**: registered edge-triggered once, and left so between calls, so
//!   that a wait costs no system call. A call waits only after the kernel said "would block", so each edge after that is
//!   its; one that comes while nobody waits is forgotten. A kept watcher knows its socket by a weak reference: if the
//!   socket was closed and another has its number now, the watcher is made anew (the kernel has dropped its part).

use std::os::fd::RawFd;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;

use super::io::{Interest, IoTarget};
use super::{Entry, EventLoop, Handle, LoopState, Readiness};
use crate::error::{os_error, unraisable};
use crate::names;
use crate::sock::SockCall;

/// Which half of a watcher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// What waits for one direction.
pub enum Watch {
    /// Called whenever the descriptor is ready.
    Handle(Py<Handle>),
    /// Woken once.
    Call(Py<SockCall>),
}

/// All that waits for one descriptor.
#[derive(Default)]
pub struct Watcher {
    reader: Option<Watch>,
    writer: Option<Watch>,
    /// Kept for this socket.
    socket: Option<Py<PyWeakrefReference>>,
}

/// What a call waits for.
pub struct Wanted<'a, 'py> {
    pub fd: RawFd,
    pub direction: Direction,
    /// The `socket.socket` whose descriptor it is; None if it is something else that has one.
    pub socket: Option<&'a Bound<'py, PyAny>>,
    /// The call has not been told "would block": the kernel has to look.
    pub unseen: bool,
}

/// What is there already for the descriptor of a call.
enum Found {
    Nothing,
    /// A transport or listener.
    Owner,
    Level(Token),
    Kept(Token, Py<PyWeakrefReference>),
}

impl Watch {
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Handle(handle) => visit.call(handle),
            Self::Call(call) => visit.call(call),
        }
    }

    /// It was replaced or removed.
    fn retire(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Handle(handle) => Handle::cancel(handle.bind(py)),
            Self::Call(call) => {
                drop(call);
                Ok(())
            }
        }
    }
}

impl Watcher {
    fn of(direction: Direction, watch: Watch, socket: Option<Py<PyWeakrefReference>>) -> Self {
        let mut watcher = Self { socket, ..Self::default() };
        *watcher.half(direction) = Some(watch);
        watcher
    }

    fn half(&mut self, direction: Direction) -> &mut Option<Watch> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    /// Whether it is registered edge-triggered, and stays so when nobody waits.
    pub(super) fn is_kept(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        self.reader.is_none() && self.writer.is_none()
    }

    fn interest(&self) -> Interest {
        Interest { readable: self.reader.is_some(), writable: self.writer.is_some() }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for watch in [&self.reader, &self.writer].into_iter().flatten() {
            watch.visit(visit)?;
        }
        visit.call(&self.socket)
    }

    /// The loop closes: calls give their sockets back.
    pub(super) fn let_go(&self, py: Python<'_>) {
        for watch in [&self.reader, &self.writer].into_iter().flatten() {
            if let Watch::Call(call) = watch {
                SockCall::give_socket_back(call.bind(py));
            }
        }
    }
}

impl LoopState {
    fn watcher(&mut self, token: Token) -> Option<(&mut Watcher, &mut Interest)> {
        let registration = self.registrations.get_mut(token)?;
        match &mut registration.target {
            IoTarget::Watcher(watcher) => Some((watcher, &mut registration.interest)),
            _ => None,
        }
    }
}

impl EventLoop {
    /// `add_reader` and `add_writer`: replaces what waits in this direction.
    pub(super) fn watch(
        slf: &Bound<'_, Self>,
        fd: RawFd,
        direction: Direction,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
    ) -> PyResult<Py<Handle>> {
        let py = slf.py();
        let this = slf.get();
        let debug = this.usable_and_debug(py)?;
        let handle = Handle::create(slf, callback, args, None, debug)?;
        let watch = Watch::Handle(handle.clone_ref(py));
        let Some(token) = this.with_state(py, |state| state.by_fd.get(&fd).copied()) else {
            let target = IoTarget::Watcher(Watcher::of(direction, watch, None));
            this.io_register(py, fd, target, alone(direction)).map_err(|error| os_error(py, &error))?;
            return Ok(handle);
        };
        this.put(py, token, direction, watch, fd)?;
        Ok(handle)
    }

    /// `remove_reader` and `remove_writer`: whether there was one.
    pub(super) fn unwatch(slf: &Bound<'_, Self>, fd: RawFd, direction: Direction) -> PyResult<bool> {
        let py = slf.py();
        let this = slf.get();
        let removed = this.with_state(py, |state| {
            let token = *state.by_fd.get(&fd)?;
            let watch = state.watcher(token)?.0.half(direction).take()?;
            Some((token, watch))
        });
        let Some((token, watch)) = removed else { return Ok(false) };
        this.settle(py, token);
        watch.retire(py)?;
        Ok(true)
    }

    /// Has `call` woken when the descriptor is ready; the token is for [`Self::forget_call`].
    pub(crate) fn wait_for_call(
        slf: &Bound<'_, Self>,
        wanted: &Wanted<'_, '_>,
        call: &Bound<'_, SockCall>,
    ) -> PyResult<Token> {
        let py = slf.py();
        let this = slf.get();
        this.check_usable(py)?;
        let watch = Watch::Call(call.clone().unbind());
        match this.found(py, wanted.fd) {
            Found::Nothing => {
                this.check_no_transport(py, wanted.fd)?;
                this.begin(py, wanted, watch)
            }
            Found::Level(token) => {
                this.put(py, token, wanted.direction, watch, wanted.fd)?;
                Ok(token)
            }
            Found::Kept(token, known) => {
                let known = known.bind(py).upgrade();
                match (known, wanted.socket) {
                    (Some(known), Some(socket)) if known.is(socket) => {
                        this.put_kept(py, token, wanted, watch)?;
                        Ok(token)
                    }
                    // Two objects for one descriptor.
                    (Some(known), _) if descriptor_of(&known) == Some(wanted.fd) => {
                        this.put(py, token, wanted.direction, watch, wanted.fd)?;
                        Ok(token)
                    }
                    _ => this.begin(py, wanted, watch),
                }
            }
            Found::Owner => {
                this.check_no_transport(py, wanted.fd)?;
                Err(used_by_transport(wanted.fd))
            }
        }
    }

    /// `call` waits no longer. Somebody else may wait in its place.
    pub(crate) fn forget_call(&self, py: Python<'_>, token: Token, direction: Direction, call: &Bound<'_, SockCall>) {
        let removed = self.with_state(py, |state| {
            let half = state.watcher(token)?.0.half(direction);
            match half {
                Some(Watch::Call(waiting)) if waiting.is(call) => half.take(),
                _ => None,
            }
        });
        if removed.is_some() {
            self.settle(py, token);
        }
    }

    /// A watched descriptor is ready: handles will run, calls are woken.
    pub(super) fn watcher_event(&self, py: Python<'_>, token: Token, readiness: Readiness) {
        let (calls, level) = self.with_state(py, |state| {
            let LoopState { registrations, ready, .. } = state;
            let Some(registration) = registrations.get_mut(token) else { return ([None, None], false) };
            let IoTarget::Watcher(watcher) = &mut registration.target else { return ([None, None], false) };
            let level = !watcher.is_kept();
            let mut take = |is_ready: bool, half: &mut Option<Watch>| match half {
                Some(Watch::Handle(handle)) if is_ready => {
                    ready.push(Entry::Handle(handle.clone_ref(py)));
                    None
                }
                Some(Watch::Call(_)) if is_ready => half.take(),
                _ => None,
            };
            let calls = [take(readiness.readable, &mut watcher.reader), take(readiness.writable, &mut watcher.writer)];
            (calls, level)
        });
        if level && calls.iter().any(Option::is_some) {
            self.settle(py, token);
        }
        for call in calls.into_iter().flatten() {
            if let Watch::Call(call) = call
                && let Err(error) = SockCall::wake(call.bind(py))
            {
                unraisable(py, error, Some(call.bind(py)));
            }
        }
    }

    fn found(&self, py: Python<'_>, fd: RawFd) -> Found {
        self.with_state(py, |state| {
            let Some(token) = state.by_fd.get(&fd).copied() else { return Found::Nothing };
            match state.watcher(token) {
                None => Found::Owner,
                Some((Watcher { socket: Some(socket), .. }, _)) => Found::Kept(token, socket.clone_ref(py)),
                Some(_) => Found::Level(token),
            }
        })
    }

    /// Registers a descriptor for a call.
    fn begin(&self, py: Python<'_>, wanted: &Wanted<'_, '_>, watch: Watch) -> PyResult<Token> {
        let socket = wanted.socket.map(PyWeakrefReference::new).transpose()?.map(Bound::unbind);
        let target = IoTarget::Watcher(Watcher::of(wanted.direction, watch, socket));
        self.io_register(py, wanted.fd, target, alone(wanted.direction)).map_err(|error| os_error(py, &error))
    }

    /// Puts a call into a kept watcher: the kernel is asked only if it has to look, or does not know the direction.
    fn put_kept(&self, py: Python<'_>, token: Token, wanted: &Wanted<'_, '_>, watch: Watch) -> PyResult<()> {
        let (old, apply) = self.with_state(py, |state| {
            let Some((watcher, interest)) = state.watcher(token) else { return (Some(watch), None) };
            let more = interest.with(wanted.direction);
            let known = std::mem::replace(interest, more) == more;
            (watcher.half(wanted.direction).replace(watch), (wanted.unseen || !known).then_some(more))
        });
        drop(old);
        match apply {
            None => Ok(()),
            Some(interest) => self.io_apply(py, token, interest).map_err(|error| os_error(py, &error)),
        }
    }

    /// Puts somebody into a watcher that is level-triggered, or is so from here on. The poller is told in any case: the
    /// descriptor may have been closed behind our back, and its number be somebody else's.
    fn put(&self, py: Python<'_>, token: Token, direction: Direction, watch: Watch, fd: RawFd) -> PyResult<()> {
        let (replaced, socket, interest) = self.with_state(py, |state| {
            let Some((watcher, interest)) = state.watcher(token) else { return (Some(watch), None, None) };
            let socket = watcher.socket.take();
            let replaced = watcher.half(direction).replace(watch);
            *interest = watcher.interest();
            (replaced, socket, Some(*interest))
        });
        drop(socket);
        let Some(interest) = interest else { return Err(used_by_transport(fd)) };
        let applied = self.io_apply(py, token, interest);
        if let Some(replaced) = replaced {
            replaced.retire(py)?;
        }
        let Err(error) = applied else { return Ok(()) };
        let failed = self.with_state(py, |state| state.watcher(token)?.0.half(direction).take());
        self.settle(py, token);
        if let Some(failed) = failed {
            failed.retire(py)?;
        }
        Err(os_error(py, &error))
    }

    /// Somebody has left a watcher.
    fn settle(&self, py: Python<'_>, token: Token) {
        let wanted = self.with_state(py, |state| {
            let (watcher, _) = state.watcher(token)?;
            (!watcher.is_kept()).then(|| watcher.interest())
        });
        match wanted {
            None => {}
            Some(interest) if interest.is_none() => self.io_deregister(py, token),
            // The descriptor may be closed already; then the poller has forgotten it.
            Some(interest) => drop(self.io_interest(py, token, interest)),
        }
    }

    /// The descriptor's number of an int or a file object.
    pub(super) fn descriptor(py: Python<'_>, file: &Bound<'_, PyAny>) -> PyResult<RawFd> {
        if let Ok(fd) = file.extract::<RawFd>()
            && fd >= 0
        {
            return Ok(fd);
        }
        let fd: i64 = names::fileobj_to_fd(py)?.call1((file,))?.extract()?;
        RawFd::try_from(fd).map_err(|_| PyValueError::new_err(format!("Invalid file descriptor: {fd}")))
    }
}

trait With {
    fn with(self, direction: Direction) -> Self;
}

impl With for Interest {
    fn with(self, direction: Direction) -> Self {
        match direction {
            Direction::Read => Self { readable: true, ..self },
            Direction::Write => Self { writable: true, ..self },
        }
    }
}

fn alone(direction: Direction) -> Interest {
    Interest::NONE.with(direction)
}

fn descriptor_of(socket: &Bound<'_, PyAny>) -> Option<RawFd> {
    socket.call_method0(intern!(socket.py(), "fileno")).and_then(|fd| fd.extract()).ok()
}

#[cold]
fn used_by_transport(fd: RawFd) -> PyErr {
    PyRuntimeError::new_err(format!("File descriptor {fd} is used by a transport"))
}
