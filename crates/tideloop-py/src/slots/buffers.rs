//! Memory of buffer objects that is held for longer than one call.

use pyo3::ffi;
use pyo3::prelude::*;

/// The bytes of a buffer object, and how many of them are done with. While it is held nobody can resize the object.
pub struct HeldBuffer {
    view: Box<ffi::Py_buffer>,
    advanced: usize,
}

// SAFETY: made, read and dropped by attached threads alone, of which there is one at a time: the module declares
// `gil_used`.
unsafe impl Send for HeldBuffer {}

impl HeldBuffer {
    /// Holds the bytes of a contiguous buffer object; `TypeError` or `BufferError` for any other object.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: attached; without a format or shape being asked for, the exporter gives plain contiguous bytes.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, ffi::PyBUF_SIMPLE) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self { view, advanced: 0 })
    }

    /// What is left. The object may be a mutable one: to be read before Python runs again.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let length = usize::try_from(self.view.len).unwrap_or(0);
        if length == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps `length` bytes there until the release; only attached threads may change them.
        let bytes = unsafe { std::slice::from_raw_parts(self.view.buf.cast::<u8>(), length) };
        bytes.get(self.advanced..).unwrap_or_default()
    }

    /// So many more bytes are done with.
    pub fn advance(&mut self, count: usize) {
        self.advanced += count;
    }

    /// How many bytes are done with.
    pub fn advanced(&self) -> usize {
        self.advanced
    }
}

impl Drop for HeldBuffer {
    fn drop(&mut self) {
        // SAFETY: filled by `of` and released once; whoever drops it is attached.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) };
    }
}
