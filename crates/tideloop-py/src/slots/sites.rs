//! Where Python code stands: kept as it is, and made readable only when somebody asks.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

/// What a function is that may stand between a primitive and the program that uses it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    /// One of ours that was called by the one who is meant.
    Ours = 0,
    /// Calls what it was given: whoever gave it is not there any more.
    Runner = 1,
    /// The same, in a thread that calls for others.
    Pool = 2,
}

/// The code objects of these functions, which live for ever, each with what it is. Filled from the front.
static KNOWN: [(AtomicUsize, AtomicU8); 32] = [const { (AtomicUsize::new(0), AtomicU8::new(0)) }; 32];

/// Notes a code object: 0, one of ours; 1, it calls what it was given; 2, it does so for others.
///
/// # Errors
/// `RuntimeError` if there are more of them than places.
#[pyfunction]
pub fn stands_between(code: Py<PyAny>, what: u8) -> PyResult<()> {
    let address = code.as_ptr() as usize;
    let vacant = |(place, _): &&(AtomicUsize, AtomicU8)| [0, address].contains(&place.load(Ordering::Relaxed));
    let found = KNOWN.iter().find(vacant);
    let (place, kind) = found.ok_or_else(|| PyRuntimeError::new_err("too many functions stand between"))?;
    kind.store(what, Ordering::Relaxed);
    if place.swap(address, Ordering::Relaxed) == 0 {
        std::mem::forget(code);
    }
    Ok(())
}

/// What a code object is, if it is one of those.
#[inline]
fn known(address: usize) -> Option<Between> {
    for (place, kind) in &KNOWN {
        match place.load(Ordering::Relaxed) {
            0 => return None,
            known if known == address => {
                return Some(match kind.load(Ordering::Relaxed) {
                    0 => Between::Ours,
                    1 => Between::Runner,
                    _ => Between::Pool,
                });
            }
            _ => {}
        }
    }
    None
}

/// A code object, and an offset in it.
pub type ShownSite = (Py<PyAny>, c_int);

/// A place in a program: a code object, and how far it has come.
pub struct Site {
    pub code: Option<Py<PyAny>>,
    /// The offset of its last instruction, in bytes.
    pub offset: c_int,
    /// Nobody stands there: a pool's thread calls the primitive itself, for whoever gets the result.
    pub for_others: bool,
}

impl Site {
    /// Nowhere.
    pub const NONE: Self = Self { code: None, offset: -1, for_others: false };

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
            let between = known(address);
            let is_ours = between == Some(Between::Ours);
            // SAFETY: as above; null, or a new reference.
            let back = if is_ours { unsafe { ffi::PyFrame_GetBack(frame) } } else { std::ptr::null_mut() };
            // SAFETY: the reference is ours to give back; the frame runs, so that it is not the last.
            unsafe { ffi::Py_DECREF(frame.cast()) };
            match between {
                None => return Self { code: code.map(Bound::unbind), offset, for_others: false },
                Some(Between::Ours) => frame = back,
                Some(Between::Runner) => return Self::NONE,
                Some(Between::Pool) => return Self { for_others: true, ..Self::NONE },
            }
        }
        Self::NONE
    }

    /// As Python gets it: None if it is nowhere.
    pub fn shown(&self, py: Python<'_>) -> Option<ShownSite> {
        self.code.as_ref().map(|code| (code.clone_ref(py), self.offset))
    }
}
