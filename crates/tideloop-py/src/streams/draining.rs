//! What `drain()` and `wait_closed()` return.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::{StreamReaderProtocol, StreamWriter};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::slots;
use crate::task::Future;

struct DrainState {
    /// None for a wait of the protocol's own.
    writer: Slot<StreamWriter>,
    protocol: Slot<StreamReaderProtocol>,
    /// It has given way to `connection_lost()`, which may have something to say.
    gave_way: bool,
}

/// `StreamWriter.drain()`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct DrainCall {
    life: Life,
    state: Cell<DrainState>,
}

impl DrainCall {
    fn create(
        py: Python<'_>,
        writer: Option<Py<StreamWriter>>,
        protocol: Option<Py<StreamReaderProtocol>>,
    ) -> PyResult<Bound<'_, Self>> {
        let state = DrainState { writer: Slot::maybe(writer), protocol: Slot::maybe(protocol), gave_way: false };
        slots::coroutine::create(py, Self { life: Life::fresh(), state: Cell::new(state) })
    }

    /// `drain()`, of a writer whose protocol is ours.
    #[inline]
    pub(super) fn for_writer<'py>(writer: &Bound<'py, StreamWriter>) -> PyResult<Bound<'py, Self>> {
        Self::create(writer.py(), Some(writer.clone().unbind()), None)
    }

    /// `_drain_helper()`.
    pub(super) fn for_protocol<'py>(protocol: &Bound<'py, StreamReaderProtocol>) -> PyResult<Bound<'py, Self>> {
        Self::create(protocol.py(), None, Some(protocol.clone().unbind()))
    }

    fn protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, StreamReaderProtocol>> {
        let (writer, protocol) = self.state.with(py, |state| (state.writer.cloned(py), state.protocol.cloned(py)));
        match writer {
            Some(writer) => writer.get().native_protocol(py),
            None => protocol.map(|protocol| protocol.into_bound(py)),
        }
    }

    #[inline]
    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let writer = slf.get().state.with(py, |state| state.writer.cloned(py));
        if let Some(writer) = writer {
            let writer = writer.bind(py);
            StreamWriter::raise_exception_of_reader(writer)?;
            if StreamWriter::below_is_closing(writer)? {
                slf.get().state.with(py, |state| state.gave_way = true);
                return Ok(Stepped::Yield(py.None().into_bound(py)));
            }
        }
        Self::wait_for_room(slf)
    }

    #[inline]
    fn wait_for_room<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        slf.get().state.with(py, |state| state.gave_way = false);
        let Some(protocol) = slf.get().protocol(py) else { return Ok(Stepped::Return(py.None().into_bound(py))) };
        if !protocol.get().must_wait(py)? {
            return Ok(Stepped::Return(py.None().into_bound(py)));
        }
        let writer = slf.get().state.with(py, |state| state.writer.cloned(py));
        let future = match writer {
            Some(writer) => StreamReaderProtocol::enter_drain(&protocol, writer.bind(py).as_any())?,
            None => StreamReaderProtocol::enter_drain(&protocol, protocol.as_any())?,
        };
        Ok(Stepped::Wait(future))
    }

    fn leave(&self, future: Option<&Bound<'_, Future>>) {
        if let Some(future) = future
            && let Some(protocol) = self.protocol(future.py())
        {
            protocol.get().leave_drain(future);
        }
    }
}

impl NativeCoroutine for DrainCall {
    fn blank() -> Self {
        let state = DrainState { writer: Slot::EMPTY, protocol: Slot::EMPTY, gave_way: false };
        Self { life: Life::ended(), state: Cell::new(state) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        let of_writer = self.state.with(py, |state| state.writer.is_some());
        if of_writer { "StreamWriter.drain" } else { "FlowControlMixin._drain_helper" }
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        match resumed {
            Resumed::Start => Self::start(slf),
            Resumed::Woken(future) => {
                if slf.get().state.with(py, |state| state.gave_way) {
                    return Self::wait_for_room(slf);
                }
                slf.get().leave(future.as_ref());
                Ok(Stepped::Return(py.None().into_bound(py)))
            }
            Resumed::Thrown(exception, future) => {
                slf.get().leave(future.as_ref());
                Err(PyErr::from_value(exception))
            }
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.writer.visit(visit)?;
            state.protocol.visit(visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        drop(self.state.with(py, |state| (state.writer.take(), state.protocol.take())));
    }
}

native_coroutine!(DrainCall);

/// `StreamWriter.wait_closed()`.
#[pyclass(frozen, module = "tideloop._native")]
pub struct WaitClosedCall {
    life: Life,
    protocol: Cell<Slot<StreamReaderProtocol>>,
}

impl WaitClosedCall {
    /// Waits for the end of a connection whose protocol is ours.
    pub(super) fn of<'py>(protocol: &Bound<'py, StreamReaderProtocol>) -> PyResult<Bound<'py, Self>> {
        let call = Self { life: Life::fresh(), protocol: Cell::new(Slot::holding(protocol.clone().unbind())) };
        slots::coroutine::create(protocol.py(), call)
    }

    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let none = py.None().into_bound(py);
        let Some(protocol) = slf.get().protocol.with(py, |protocol| protocol.cloned(py)) else {
            return Ok(Stepped::Return(none));
        };
        let protocol = protocol.bind(py);
        if protocol.get().is_cleanly_closed(py) {
            return Ok(Stepped::Return(none));
        }
        let closed = StreamReaderProtocol::closed_future(protocol)?;
        if !closed.get().is_done(py) {
            return Ok(Stepped::Wait(closed));
        }
        closed.get().result_native(py)?;
        Ok(Stepped::Return(none))
    }
}

impl Drop for WaitClosedCall {
    fn drop(&mut self) {
        drop(self.protocol.get_mut().take());
    }
}

impl NativeCoroutine for WaitClosedCall {
    fn blank() -> Self {
        Self { life: Life::ended(), protocol: Cell::new(Slot::EMPTY) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        "StreamWriter.wait_closed"
    }

    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        match resumed {
            Resumed::Start => Self::start(slf),
            Resumed::Woken(_) => Ok(Stepped::Return(slf.py().None().into_bound(slf.py()))),
            Resumed::Thrown(exception, _) => Err(PyErr::from_value(exception)),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.protocol.during_gc(|protocol| protocol.visit(visit)).unwrap_or(Ok(()))
    }

    fn clear(&self, py: Python<'_>) {
        drop(self.protocol.with(py, Slot::take));
    }
}

native_coroutine!(WaitClosedCall);
