//! A reference to an event loop that knows whether the loop is native, so that nobody has to ask again.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::cell::Slot;
use crate::event_loop::EventLoop;

/// A slot for an event loop.
pub struct LoopSlot {
    object: Slot,
    /// The object is an [`EventLoop`] whose ready queue may be used directly.
    native: bool,
}

/// A reference to an event loop.
pub enum LoopRef<'py> {
    /// One whose ready queue may be used directly.
    Native(Bound<'py, EventLoop>),
    /// Any other.
    Foreign(Bound<'py, PyAny>),
}

impl LoopSlot {
    /// A slot without a loop.
    pub const EMPTY: Self = Self { object: Slot::EMPTY, native: false };

    /// A slot that holds `event_loop`.
    #[inline]
    pub fn holding(event_loop: &LoopRef<'_>) -> Self {
        let native = matches!(event_loop, LoopRef::Native(_));
        Self { object: Slot::holding(event_loop.as_any().clone().unbind()), native }
    }

    /// Whether there is a loop.
    #[inline]
    pub fn is_some(&self) -> bool {
        self.object.is_some()
    }

    /// Where the loop lies, to compare it with another slot's; 0 without a loop.
    #[inline]
    pub fn address(&self) -> usize {
        self.object.as_ref().map_or(0, |object| object.as_ptr() as usize)
    }

    /// The loop.
    #[inline]
    pub fn get<'py>(&self, py: Python<'py>) -> Option<LoopRef<'py>> {
        let object = self.object.cloned(py)?.into_bound(py);
        if !self.native {
            return Some(LoopRef::Foreign(object));
        }
        // SAFETY: `LoopRef` has checked the class of this very object.
        Some(LoopRef::Native(unsafe { object.cast_into_unchecked() }))
    }

    /// Takes the loop out; the caller drops it outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take(&mut self) -> Option<Py<PyAny>> {
        self.native = false;
        self.object.take()
    }

    /// Shows the loop to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.object.visit(visit)
    }
}

impl<'py> LoopRef<'py> {
    /// What `event_loop` is.
    #[inline]
    pub fn to(event_loop: &Bound<'py, PyAny>) -> Self {
        match EventLoop::of(event_loop) {
            Some(native) => Self::to_native(native),
            None => Self::Foreign(event_loop.clone()),
        }
    }

    /// The same for one that is native, but perhaps with a `call_soon` of its own.
    #[inline]
    pub fn to_native(event_loop: &Bound<'py, EventLoop>) -> Self {
        if event_loop.get().schedules_natively() {
            Self::Native(event_loop.clone())
        } else {
            Self::Foreign(event_loop.clone().into_any())
        }
    }

    /// The loop as an object.
    #[inline]
    pub fn into_any(self) -> Bound<'py, PyAny> {
        match self {
            Self::Native(event_loop) => event_loop.into_any(),
            Self::Foreign(event_loop) => event_loop,
        }
    }

    /// The loop as an object, borrowed.
    #[inline]
    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Native(event_loop) => event_loop.as_any(),
            Self::Foreign(event_loop) => event_loop,
        }
    }
}
