//! The loop that a primitive belongs to, from the first time that somebody has to wait for it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::cell::Cell;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::slots::running::running_loop;

/// Corresponds to `asyncio.mixins._LoopBoundMixin`.
pub struct LoopBound(Cell<LoopSlot>);

impl LoopBound {
    /// Not bound yet.
    pub const fn new() -> Self {
        Self(Cell::new(LoopSlot::EMPTY))
    }

    /// The running loop, which `owner` belongs to from now on; `RuntimeError` where it belongs to another.
    #[inline]
    pub fn running<'py>(&self, owner: &Bound<'py, PyAny>) -> PyResult<LoopRef<'py>> {
        let py = owner.py();
        let running = running_loop(py)?;
        let address = running.as_any().as_ptr() as usize;
        let same = self.0.with(py, |slot| {
            if slot.is_some() {
                return slot.address() == address;
            }
            *slot = LoopSlot::holding(&running);
            true
        });
        if same {
            return Ok(running);
        }
        Err(PyRuntimeError::new_err(format!("{} is bound to a different event loop", owner.repr()?)))
    }

    /// The loop, if somebody has waited: `_loop`.
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.with(py, |slot| slot.get(py)).map(LoopRef::into_any)
    }

    /// Assigns `_loop`.
    pub fn set(&self, py: Python<'_>, event_loop: Option<&Bound<'_, PyAny>>) {
        let fresh = event_loop.map_or(LoopSlot::EMPTY, |event_loop| LoopSlot::holding(&LoopRef::to(event_loop)));
        let mut before = self.0.with(py, |slot| std::mem::replace(slot, fresh));
        drop(before.take());
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.during_gc(|slot| slot.visit(visit)).unwrap_or(Ok(()))
    }

    /// Lets the loop go.
    pub fn clear(&self, py: Python<'_>) {
        drop(self.0.with(py, LoopSlot::take));
    }
}

impl Drop for LoopBound {
    fn drop(&mut self) {
        drop(self.0.get_mut().take());
    }
}
