//! Pipes: one end of a pipe or FIFO, a socket used as one, a terminal, another character device.
//!
//! The behaviour is that of asyncio's Unix pipe transports, callback by callback. The file object that the caller
//! handed over owns the descriptor and is closed exactly once, by its transport. Where the loop watches the same
//! descriptor for somebody else already (a terminal's read and write transports), the transport polls a duplicate of
//! its own: a descriptor has one registration.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod.rs` | what both directions share: taking the pipe over, the registration, the end |
//! | `read.rs` | `ReadPipeTransport` |
//! | `write.rs`, `outgoing.rs` | `WritePipeTransport`: its Python surface, and its bytes |

mod outgoing;
mod read;
mod write;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use pyo3::PyClass;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;
use tideloop_sys::pipe::{self, Kind};

use super::lifecycle::{schedule, wake_function};
use crate::cell::Slot;
use crate::error::os_error;
use crate::event_loop::{EventLoop, Interest, IoTarget};
use crate::slots;

pub use read::ReadPipeTransport;
pub use write::WritePipeTransport;

/// What a pipe transport of either direction knows about itself.
///
/// *open* until *closing*: it was closed, its peer has gone or an error came. Then, or for a writer when its last byte
/// is written, it is *ending*: `connection_lost` is scheduled. When that has run everything is let go.
pub(super) struct Base {
    pub event_loop: Slot<EventLoop>,
    pub protocol: Slot,
    /// The `contextvars.Context` that the protocol is called in.
    pub context: Slot,
    /// The caller's file object, which owns the descriptor.
    pub pipe: Slot,
    pub extra: Slot<PyDict>,
    /// The registration with the loop, while the descriptor is watched.
    pub token: Option<Token>,
    /// The number that is read, written and watched.
    pub fd: RawFd,
    /// The duplicate behind that number, where the pipe's own is watched for somebody else.
    pub duplicate: Option<OwnedFd>,
    /// `connection_made` has been called.
    pub started: bool,
    pub closing: bool,
    pub ending: bool,
}

impl Base {
    pub const fn blank() -> Self {
        Self {
            event_loop: Slot::EMPTY,
            protocol: Slot::EMPTY,
            context: Slot::EMPTY,
            pipe: Slot::EMPTY,
            extra: Slot::EMPTY,
            token: None,
            fd: -1,
            duplicate: None,
            started: false,
            closing: true,
            ending: true,
        }
    }

    /// Everything that may be a Python object, for dropping outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take_contents(&mut self) -> impl Sized + use<> {
        (self.event_loop.take(), self.protocol.take(), self.context.take(), self.pipe.take(), self.extra.take())
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.event_loop.visit(visit)?;
        self.protocol.visit(visit)?;
        self.context.visit(visit)?;
        self.pipe.visit(visit)?;
        self.extra.visit(visit)
    }
}

/// A transport of either direction.
pub(super) trait PipeTransport: PyClass<Frozen = True> + Sync {
    /// What is said of a descriptor that is no pipe.
    const REFUSAL: &'static str;

    /// Gives `f` the shared part of the state; see [`crate::cell::Cell::with`] for what it must not do.
    fn base<R>(&self, py: Python<'_>, f: impl FnOnce(&mut Base) -> R) -> R;

    /// What the descriptor has to be watched for.
    fn interest(&self, py: Python<'_>) -> Interest;

    fn target(slf: &Bound<'_, Self>) -> IoTarget;
}

/// Takes over `file`, and schedules `connection_made`, the start and then the waiter, in this order. What leads here.
pub(super) fn begin<T: PipeTransport>(
    slf: &Bound<'_, T>,
    event_loop: &Bound<'_, EventLoop>,
    file: &Bound<'_, PyAny>,
    protocol: &Bound<'_, PyAny>,
    waiter: Option<&Bound<'_, PyAny>>,
    extra: Option<&Bound<'_, PyDict>>,
) -> PyResult<Kind> {
    let py = slf.py();
    let extra = extra.map_or_else(|| PyDict::new(py), Clone::clone);
    extra.set_item(intern!(py, "pipe"), file)?;
    let fd: RawFd = file.call_method0(intern!(py, "fileno"))?.extract()?;
    let kind = pipe::kind(fd).map_err(|error| os_error(py, &error))?;
    if kind == Kind::Other {
        return Err(PyValueError::new_err(T::REFUSAL));
    }
    pipe::set_nonblocking(fd).map_err(|error| os_error(py, &error))?;
    let connection_made = protocol.getattr(intern!(py, "connection_made"))?;
    let context = slots::copy_context(py)?;
    let for_connection_made = context.call_method0(intern!(py, "copy"))?;
    let kept = (
        event_loop.clone().unbind(),
        protocol.clone().unbind(),
        context.clone().unbind(),
        file.clone().unbind(),
        extra.unbind(),
    );
    let before = slf.get().base(py, |base| {
        let before = base.take_contents();
        base.event_loop = Slot::holding(kept.0);
        base.protocol = Slot::holding(kept.1);
        base.context = Slot::holding(kept.2);
        base.pipe = Slot::holding(kept.3);
        base.extra = Slot::holding(kept.4);
        (base.fd, base.started, base.closing, base.ending) = (fd, false, false, false);
        before
    });
    drop(before);
    schedule(event_loop, &connection_made, slf.as_any(), Some(&for_connection_made))?;
    let start = slf.as_any().getattr(intern!(py, "_start"))?;
    schedule(event_loop, &start, &py.None().into_bound(py), Some(&context))?;
    if let Some(waiter) = waiter {
        schedule(event_loop, wake_function(py)?, waiter, None)?;
    }
    Ok(kind)
}

/// Brings what the loop watches the descriptor for in line with what the state wants. Without any interest there is no
/// registration, and so nothing on the loop's side that keeps the transport alive.
pub(super) fn sync_interest<T: PipeTransport>(slf: &Bound<'_, T>) -> PyResult<()> {
    let py = slf.py();
    let this = slf.get();
    let interest = this.interest(py);
    let (event_loop, token) = this.base(py, |base| (base.event_loop.cloned(py), base.token));
    let Some(event_loop) = event_loop else { return Ok(()) };
    match token {
        None if interest.is_none() => Ok(()),
        None => register(slf, event_loop.get(), interest),
        Some(token) if interest.is_none() => {
            this.base(py, |base| base.token = None);
            event_loop.get().io_deregister(py, token);
            Ok(())
        }
        Some(token) => event_loop.get().io_interest(py, token, interest).map_err(|error| os_error(py, &error)),
    }
}

fn register<T: PipeTransport>(slf: &Bound<'_, T>, event_loop: &EventLoop, interest: Interest) -> PyResult<()> {
    let py = slf.py();
    let this = slf.get();
    event_loop.check_usable(py)?;
    let mut fd = this.base(py, |base| base.fd);
    if event_loop.io_is_watched(py, fd) {
        let duplicate = pipe::duplicate(fd).map_err(|error| os_error(py, &error))?;
        fd = duplicate.as_raw_fd();
        let before = this.base(py, |base| {
            base.fd = fd;
            base.duplicate.replace(duplicate)
        });
        drop(before);
    }
    let token = event_loop.io_register(py, fd, T::target(slf), interest).map_err(|error| os_error(py, &error))?;
    this.base(py, |base| base.token = Some(token));
    Ok(())
}

/// Ends the transport: nothing is watched any more, and `connection_lost(error)` comes in the next turn; once.
pub(super) fn schedule_end<T: PipeTransport>(slf: &Bound<'_, T>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let py = slf.py();
    let first = slf.get().base(py, |base| {
        base.closing = true;
        (!std::mem::replace(&mut base.ending, true)).then(|| base.event_loop.cloned(py))
    });
    let Some(Some(event_loop)) = first else { return Ok(()) };
    sync_interest(slf)?;
    let callback = slf.as_any().getattr(intern!(py, "_call_connection_lost"))?;
    let none = py.None().into_bound(py);
    schedule(event_loop.bind(py), &callback, error.unwrap_or(&none), None)
}

/// Tells the protocol and lets everything go: the pipe, the protocol, the loop.
pub(super) fn connection_lost<T: PipeTransport>(slf: &Bound<'_, T>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = slf.py();
    let first = slf.get().base(py, |base| {
        (base.closing, base.ending) = (true, true);
        base.event_loop.is_some().then(|| (base.protocol.cloned(py), base.context.cloned(py)))
    });
    let Some((protocol, context)) = first else { return Ok(()) };
    sync_interest(slf)?;
    let told = match protocol {
        Some(protocol) => slots::in_copy_of(py, context.as_ref(), || {
            protocol.bind(py).call_method1(intern!(py, "connection_lost"), (error,)).map(drop)
        }),
        None => Ok(()),
    };
    told.and(release(slf))
}

/// Closes the pipe, through the object that owns it, and forgets it with everything else.
pub(super) fn release<T: PipeTransport>(slf: &Bound<'_, T>) -> PyResult<()> {
    let py = slf.py();
    let (duplicate, pipe, rest) = slf.get().base(py, |base| {
        let rest = (base.event_loop.take(), base.protocol.take(), base.context.take());
        (base.duplicate.take(), base.pipe.take(), rest)
    });
    drop(duplicate);
    drop(rest);
    match pipe {
        Some(pipe) => pipe.bind(py).call_method0(intern!(py, "close")).map(drop),
        None => Ok(()),
    }
}

/// `get_extra_info()`.
pub(super) fn extra_info<'py, T: PipeTransport>(
    slf: &Bound<'py, T>,
    name: &Bound<'py, PyAny>,
    default: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let found = match slf.get().base(py, |base| base.extra.cloned(py)) {
        Some(extra) => extra.bind(py).get_item(name)?,
        None => None,
    };
    Ok(found.or_else(|| default.cloned()).unwrap_or_else(|| py.None().into_bound(py)))
}

/// `__repr__`; `polling` is said where the descriptor is watched for what the transport is for.
pub(super) fn shown<T: PipeTransport>(slf: &Bound<'_, T>, name: &str, polling: bool, more: &str) -> String {
    let py = slf.py();
    let (event_loop, open, closing, fd) =
        slf.get().base(py, |base| (base.event_loop.cloned(py), base.pipe.is_some(), base.closing, base.fd));
    let state = match (open, closing) {
        (false, _) => " closed",
        (true, true) => " closing",
        _ => "",
    };
    let watched = match (open, event_loop.is_none_or(|event_loop| event_loop.get().closed(py)), polling) {
        (false, ..) => "closed".to_owned(),
        (true, true, _) => "open".to_owned(),
        (true, false, true) => format!("polling{more}"),
        (true, false, false) => format!("idle{more}"),
    };
    format!("<{name}{state} fd={fd} {watched}>")
}
