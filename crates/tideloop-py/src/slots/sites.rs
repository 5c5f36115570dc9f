//! Where Python code stands: kept as it is, and made readable only when somebody asks.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The code objects of functions of ours that stand between a primitive and the one who uses it. They live for ever.
/// Filled from the front.
static OURS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];

/// Notes a code object of ours.
///
/// # Errors
/// `RuntimeError` if there are more of them than places.
#[pyfunction]
pub fn is_ours(code: Py<PyAny>) -> PyResult<()> {
    let address = code.as_ptr() as usize;
    let vacant =
        |place: &&AtomicUsize| matches!(place.load(Ordering::Relaxed), 0) || place.load(Ordering::Relaxed) == address;
    let place = OURS.iter().find(vacant).ok_or_else(|| PyRuntimeError::new_err("too many functions of ours"))?;
    if place.swap(address, Ordering::Relaxed) == 0 {
        std::mem::forget(code);
    }
    Ok(())
}

/// A code object, and an offset in it.
pub type ShownSite = (Py<PyAny>, c_int);

/// A place in a program: a code object, and how far it has come.
pub struct Site {
    pub code: Option<Py<PyAny>>,
    /// The offset of its last instruction, in bytes.
    pub offset: c_int,
}

impl Site {
    /// Nowhere.
    pub const NONE: Self = Self { code: None, offset: -1 };

    /// Where the Python function stands that has called us; nowhere, if none has.
    #[inline]
    pub fn here(py: Python<'_>) -> Self {
        // SAFETY: attached, so that there is a current thread state.
        let state = unsafe { ffi::PyThreadState_Get() };
        // SAFETY: it is this thread's own.
        let mut frame = unsafe { ffi::PyThreadState_GetFrame(state) };
        while !frame.is_null() {
            // SAFETY: a frame, of which we have a reference.
            let code = unsafe { ffi::PyFrame_GetCode(frame) };
            // SAFETY: as above.
            let offset = unsafe { ffi::PyFrame_GetLasti(frame) };
            // SAFETY: a new reference to an object, or null.
            let code = unsafe { Bound::from_owned_ptr_or_opt(py, code.cast()) };
            let address = code.as_ref().map_or(0, |code| code.as_ptr() as usize);
            let mut known = OURS.iter().map(|ours| ours.load(Ordering::Relaxed)).take_while(|ours| *ours != 0);
            let is_ours = known.any(|ours| ours == address);
            // SAFETY: as above; null, or a new reference.
            let back = if is_ours { unsafe { ffi::PyFrame_GetBack(frame) } } else { std::ptr::null_mut() };
            // SAFETY: the reference is ours to give back; the frame runs, so that it is not the last.
            unsafe { ffi::Py_DECREF(frame.cast()) };
            if !is_ours {
                return Self { code: code.map(Bound::unbind), offset };
            }
            frame = back;
        }
        Self::NONE
    }

    /// As Python gets it: None if it is nowhere.
    pub fn shown(&self, py: Python<'_>) -> Option<ShownSite> {
        self.code.as_ref().map(|code| (code.clone_ref(py), self.offset))
    }
}
