//! `SockCall`: the coroutine that a `sock_*` method returns.
//!
//! # The life of a call
//!
//! *fresh* until its first step, which checks the socket. A step makes it *running*; it attempts its system call, and
//! either is *done* or *waits*: its future is awaited by the task, and the loop's watcher of the descriptor refers to
//! the call. Readiness finishes the future, the task makes the next step. A step that has done a lot *gives way* for a
//! turn. Whatever ends it, also `throw` and `close`, takes it out of the watcher.
//!
//! While it waits the call holds a share of the `socket.socket`, as a file made by `makefile()` does: `close()` takes
//! effect when the call is done, and meanwhile the descriptor's number cannot become somebody else's.

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::registrations::Token;

use super::attempt::{self, Attempt, Op};
use super::share;
use crate::cell::{Cell, Slot};
use crate::error::unraisable;
use crate::event_loop::{Direction, EventLoop, Wanted};
use crate::slots::buffers::HeldBuffer;
use crate::slots::sockets::peek;
use crate::slots::{self, Slotted};
use crate::task::{self, Future, WaitReason, thrown};

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Running,
    Waiting,
    GivingWay,
    Done,
}

/// What a step of a call brings.
pub enum Stepped<'py> {
    /// What the task has to wait for: a future, or None for a turn.
    Yield(Bound<'py, PyAny>),
    /// The call's result.
    Return(Bound<'py, PyAny>),
}

struct State {
    phase: Phase,
    op: Op,
    /// The socket's share is held.
    shares: bool,
    /// The watcher that it was put into, and has not been woken by.
    token: Option<Token>,
    event_loop: Slot<EventLoop>,
    sock: Slot,
    /// The first and second argument after the socket.
    first: Slot,
    second: Slot,
    future: Slot<Future>,
    /// What `sock_sendall` has left to send.
    unsent: Option<HeldBuffer>,
}

/// A `sock_*` call: a coroutine in all but its exact class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct SockCall {
    state: Cell<State>,
}

impl Slotted for SockCall {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

/// References of one's own to what a call is about.
pub(super) struct Subject<'py> {
    pub event_loop: Bound<'py, EventLoop>,
    pub sock: Bound<'py, PyAny>,
    pub first: Option<Bound<'py, PyAny>>,
    pub second: Option<Bound<'py, PyAny>>,
}

impl SockCall {
    /// A call that is done.
    pub fn blank() -> Self {
        Self {
            state: Cell::new(State {
                phase: Phase::Done,
                op: Op::Recv,
                shares: false,
                token: None,
                event_loop: Slot::EMPTY,
                sock: Slot::EMPTY,
                first: Slot::EMPTY,
                second: Slot::EMPTY,
                future: Slot::EMPTY,
                unsent: None,
            }),
        }
    }

    /// A call that nobody has stepped.
    #[inline]
    pub fn create<'py>(
        event_loop: &Bound<'py, EventLoop>,
        op: Op,
        sock: Bound<'py, PyAny>,
        first: Option<Bound<'py, PyAny>>,
        second: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let state = State {
            phase: Phase::Fresh,
            op,
            shares: false,
            token: None,
            event_loop: Slot::holding(event_loop.clone().unbind()),
            sock: Slot::holding(sock.unbind()),
            first: Slot::maybe(first.map(Bound::unbind)),
            second: Slot::maybe(second.map(Bound::unbind)),
            future: Slot::EMPTY,
            unsent: None,
        };
        slots::sock_calls::new_sock_call(event_loop.py(), Self { state: Cell::new(state) })
    }

    /// One step.
    #[inline]
    pub fn step<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let (phase, op, future) = slf.get().state.with(py, |state| {
            let before = state.phase;
            if !matches!(before, Phase::Running | Phase::Done) {
                state.phase = Phase::Running;
            }
            (before, state.op, state.future.take())
        });
        match phase {
            Phase::Running => return Err(PyValueError::new_err("coroutine already executing")),
            Phase::Done => return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            _ => {}
        }
        let attempted = woken(py, future).and_then(|()| Self::attempt(slf, op, phase == Phase::Fresh));
        let stepped = match attempted {
            Ok(Attempt::Done(value)) => Ok(Stepped::Return(value)),
            Ok(Attempt::WouldBlock) => Self::wait(slf, op).map(Stepped::Yield),
            Ok(Attempt::GiveWay) => {
                slf.get().state.with(py, |state| state.phase = Phase::GivingWay);
                Ok(Stepped::Yield(py.None().into_bound(py)))
            }
            Err(error) => Err(error),
        };
        if !matches!(stepped, Ok(Stepped::Yield(_))) {
            Self::end(slf);
        }
        stepped
    }

    #[inline]
    fn attempt<'py>(slf: &Bound<'py, Self>, op: Op, fresh: bool) -> PyResult<Attempt<'py>> {
        let Some(subject) = Self::subject(slf) else { return Ok(Attempt::Done(slf.py().None().into_bound(slf.py()))) };
        if fresh {
            attempt::check(&subject)?;
        }
        match op {
            _ if fresh && op.waits_first() => Ok(Attempt::WouldBlock),
            Op::Connected => attempt::connected(&subject),
            Op::WaitReadable | Op::WaitWritable => Ok(Attempt::Done(slf.py().None().into_bound(slf.py()))),
            Op::SendAll => attempt::send_all(&subject, |held| {
                slf.get().state.with(slf.py(), |state| std::mem::replace(&mut state.unsent, held))
            }),
            _ => attempt::once(&subject, op),
        }
    }

    fn subject<'py>(slf: &Bound<'py, Self>) -> Option<Subject<'py>> {
        let py = slf.py();
        slf.get().state.with(py, |state| {
            Some(Subject {
                event_loop: state.event_loop.cloned(py)?.into_bound(py),
                sock: state.sock.cloned(py)?.into_bound(py),
                first: state.first.cloned(py).map(|object| object.into_bound(py)),
                second: state.second.cloned(py).map(|object| object.into_bound(py)),
            })
        })
    }

    /// Has the loop wake this call when the socket is ready: the future to be awaited.
    fn wait<'py>(slf: &Bound<'py, Self>, op: Op) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let Some(Subject { event_loop, sock, .. }) = Self::subject(slf) else {
            return Err(PyRuntimeError::new_err("Event loop is closed"));
        };
        let peeked = peek(&sock)?;
        let fd = attempt::descriptor(&sock)?;
        if attempt::is_socket(&sock)? && !slf.get().state.with(py, |state| state.shares) {
            share::take(&sock)?;
            slf.get().state.with(py, |state| state.shares = true);
        }
        let future = task::create_future(py, &event_loop)?;
        future.get().await_at_once(py);
        future.get().set_reason(py, WaitReason::Socket);
        // A derived class may say "would block" for reasons of its own.
        let socket = peeked.is_some().then_some(&sock);
        // The kernel does not tell the sender of a datagram when its receiver has room, if they are not connected.
        let is_stream = peeked.is_some_and(|socket| socket.kind == tideloop_sys::socket::STREAM);
        let unseen = op.waits_first() || (op.direction() == Direction::Write && !is_stream);
        let wanted = Wanted { fd, direction: op.direction(), socket, unseen };
        let token = EventLoop::wait_for_call(&event_loop, &wanted, slf)?;
        let kept = future.clone().unbind();
        let before = slf.get().state.with(py, |state| {
            (state.phase, state.token) = (Phase::Waiting, Some(token));
            state.future.replace(Some(kept))
        });
        drop(before);
        Ok(future.into_any())
    }

    /// The socket is ready: called by the loop, which has taken the call out of the watcher.
    #[inline]
    pub fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let future = slf.get().state.with(py, |state| {
            state.token = None;
            state.future.cloned(py)
        });
        let Some(future) = future else { return Ok(()) };
        let future = future.into_bound(py);
        if future.get().is_done(py) { Ok(()) } else { Future::finish(&future, py.None().into_bound(py)) }
    }

    /// Lets everything go.
    fn end(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let (contents, token, op) = slf.get().state.with(py, |state| {
            state.phase = Phase::Done;
            (state.take_contents(), state.token.take(), state.op)
        });
        if let (Some(event_loop), Some(token)) = (&contents.event_loop, token) {
            event_loop.get().forget_call(py, token, op.direction(), slf);
        }
        Self::give_socket_back_to(slf, contents.sock.as_ref());
        contents.release(py);
    }

    /// The loop closes: the socket is not kept open any longer.
    pub fn give_socket_back(slf: &Bound<'_, Self>) {
        let sock = slf.get().state.with(slf.py(), |state| state.sock.cloned(slf.py()));
        Self::give_socket_back_to(slf, sock.as_ref());
    }

    fn give_socket_back_to(slf: &Bound<'_, Self>, sock: Option<&Py<PyAny>>) {
        let py = slf.py();
        let shares = slf.get().state.with(py, |state| std::mem::replace(&mut state.shares, false));
        if let (true, Some(sock)) = (shares, sock)
            && let Err(error) = share::give_back(sock.bind(py))
        {
            unraisable(py, error, Some(slf));
        }
    }

    /// Whether nothing has to be done before it is gone.
    #[inline]
    pub(crate) fn dies_silently(&self) -> bool {
        self.state.during_gc(|state| state.phase == Phase::Done).unwrap_or(true)
    }

    /// Nobody can step it any more: one that was never stepped is a mistake, of which the program is told.
    pub(crate) fn finalize(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let (phase, op) = slf.get().state.with(py, |state| (state.phase, state.op));
        if phase == Phase::Fresh {
            let text = std::ffi::CString::new(format!("coroutine 'EventLoop.{}' was never awaited", op.name()));
            let text = text.as_deref().unwrap_or(c_str!("coroutine was never awaited"));
            if let Err(error) = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1) {
                unraisable(py, error, Some(slf));
            }
        }
        Self::end(slf);
    }

    /// Drops what it holds: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        self.state.get_mut().take_contents().release(py);
    }
}

/// What was in a call, for dropping outside of its cell.
struct Contents {
    event_loop: Option<Py<EventLoop>>,
    sock: Option<Py<PyAny>>,
    first: Option<Py<PyAny>>,
    second: Option<Py<PyAny>>,
    future: Option<Py<Future>>,
    unsent: Option<HeldBuffer>,
}

impl Contents {
    #[inline]
    fn release(self, py: Python<'_>) {
        if let Some(event_loop) = self.event_loop {
            event_loop.drop_ref(py);
        }
        for object in [self.sock, self.first, self.second].into_iter().flatten() {
            object.drop_ref(py);
        }
        if let Some(future) = self.future {
            future.drop_ref(py);
        }
        drop(self.unsent);
    }
}

impl State {
    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> Contents {
        Contents {
            event_loop: self.event_loop.take(),
            sock: self.sock.take(),
            first: self.first.take(),
            second: self.second.take(),
            future: self.future.take(),
            unsent: self.unsent.take(),
        }
    }
}

/// Whether the future that was awaited says to go on.
#[inline]
fn woken(py: Python<'_>, future: Option<Py<Future>>) -> PyResult<()> {
    let Some(future) = future else { return Ok(()) };
    let future = future.into_bound(py);
    if !future.get().is_done(py) {
        return Err(PyRuntimeError::new_err("await wasn't used with future"));
    }
    future.get().result_native(py).map(drop)
}

#[pymethods]
impl SockCall {
    /// The raw slots stand in for these two as soon as the type is made.
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        sent(Self::step(slf)?).map(Some)
    }

    /// Make a step; what is sent must be None at first and has no meaning later.
    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let fresh = slf.get().state.with(slf.py(), |state| state.phase == Phase::Fresh);
        if fresh && !value.is_none() {
            return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
        }
        sent(Self::step(slf)?)
    }

    /// End the call and raise the exception.
    #[pyo3(signature = (r#type, value=None, traceback=None, /))]
    fn throw(
        slf: &Bound<'_, Self>,
        r#type: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let exception = thrown(r#type, value, traceback)?;
        match slf.get().state.with(slf.py(), |state| state.phase) {
            Phase::Running => Err(PyValueError::new_err("coroutine already executing")),
            Phase::Done => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            _ => {
                Self::end(slf);
                Err(PyErr::from_value(exception))
            }
        }
    }

    /// End the call.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().state.with(slf.py(), |state| state.phase == Phase::Running) {
            return Err(PyValueError::new_err("coroutine already executing"));
        }
        Self::end(slf);
        Ok(())
    }

    #[getter]
    fn __name__(&self, py: Python<'_>) -> &'static str {
        self.state.with(py, |state| state.op).name()
    }

    #[getter]
    fn __qualname__(&self, py: Python<'_>) -> String {
        format!("EventLoop.{}", self.__name__(py))
    }

    /// Whether a step is being made.
    #[getter]
    fn cr_running(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.phase == Phase::Running)
    }

    /// A frame of Python's, which it has not: None. Call graphs ask for it.
    #[getter]
    fn cr_frame(&self) -> Option<Py<PyAny>> {
        None
    }

    /// The future that it waits for, or None.
    #[getter]
    fn cr_await(&self, py: Python<'_>) -> Option<Py<Future>> {
        self.state.with(py, |state| state.future.cloned(py))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get().__qualname__(slf.py());
        Ok(format!("<coroutine object {name} at {:#x}>", slf.as_ptr() as usize))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_all = |state: &State| {
            state.event_loop.visit(&visit)?;
            state.sock.visit(&visit)?;
            state.first.visit(&visit)?;
            state.second.visit(&visit)?;
            state.future.visit(&visit)
        };
        self.state.during_gc(visit_all).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        Self::end(slf);
    }
}

/// What Python's `send` makes of a step.
fn sent(stepped: Stepped<'_>) -> PyResult<Bound<'_, PyAny>> {
    match stepped {
        Stepped::Yield(object) => Ok(object),
        Stepped::Return(value) => {
            slots::classes::raise_stop_iteration(value.py(), &value);
            Err(PyErr::fetch(value.py()))
        }
    }
}
