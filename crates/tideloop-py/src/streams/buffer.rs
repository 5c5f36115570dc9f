//! What a reader has received: bytes of our own, until somebody looks at `reader._buffer`.
//!
//! Libraries do not only look: they clear it, cut it, extend it. So what they see is a real `bytearray`, and from then
//! on it is the buffer, for good. The functions here work on either; none runs inside of the reader's cell, but for
//! those of [`Buffer`] itself.
//!
//! What arrives while a `read(n)` waits for it becomes the object that this read returns at once, and is copied no more.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PySlice};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::read_buffer::ReadBuffer;

use super::StreamReader;
use crate::cell::{Cell, Slot};
use crate::slots;

/// Memory of the buffer that was emptied last, for the next one that fills.
static SPARE: Cell<Vec<u8>> = Cell::new(Vec::new());

/// Both kinds of buffer.
pub(super) struct Buffer {
    /// Empty as soon as there is an exposed one.
    pub native: ReadBuffer,
    pub exposed: Slot<PyByteArray>,
    /// What has arrived alone, for a `read(n)`; the others are empty then. All but that read settle it first.
    pub fresh: Slot<PyBytes>,
    /// How many bytes the read that waits takes at most; 0 where it has to look at them first.
    pub wanted: usize,
}

impl Buffer {
    /// An empty one.
    pub const EMPTY: Self = Self { native: ReadBuffer::new(), exposed: Slot::EMPTY, fresh: Slot::EMPTY, wanted: 0 };

    /// Whether `data` would be all that the read that waits returns.
    #[inline]
    pub fn is_for_a_read(&self, data: &[u8]) -> bool {
        data.len() <= self.wanted && self.fresh.is_none() && self.native.is_empty()
    }

    /// Makes what has arrived alone the beginning of what is there; the object is handed out.
    #[inline]
    #[must_use = "drop it outside of the cell"]
    pub fn settle(&mut self, py: Python<'_>, spare: &mut Vec<u8>) -> Option<Py<PyBytes>> {
        let fresh = self.fresh.take()?;
        self.native.push(fresh.as_bytes(py), spare);
        Some(fresh)
    }

    /// How many bytes there are, if nobody has looked at them.
    #[inline]
    pub fn len(&self, py: Python<'_>) -> usize {
        self.native.len() + self.fresh.as_ref().map_or(0, |fresh| fresh.as_bytes(py).len())
    }

    /// Shows what it holds to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.exposed.visit(visit)
    }
}

/// Lends the spare memory to `f`, which may use other cells.
#[inline]
pub(super) fn with_spare<R>(py: Python<'_>, f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut spare = SPARE.with(py, std::mem::take);
    let result = f(&mut spare);
    SPARE.with(py, |place| *place = spare);
    result
}

/// See [`Buffer::settle`].
#[inline]
pub(super) fn settle(reader: &Bound<'_, StreamReader>) {
    let py = reader.py();
    if reader.get().state.with(py, |state| state.buffer.fresh.is_some()) {
        drop(with_spare(py, |spare| reader.get().state.with(py, |state| state.buffer.settle(py, spare))));
    }
}

/// The `bytearray` that the reader's buffer has become, if it has.
#[inline]
pub(super) fn exposed<'py>(reader: &Bound<'py, StreamReader>) -> Option<Bound<'py, PyByteArray>> {
    let py = reader.py();
    reader.get().state.with(py, |state| state.buffer.exposed.cloned(py)).map(|array| array.into_bound(py))
}

/// The `bytearray` that the reader's buffer is from now on.
pub(super) fn expose<'py>(reader: &Bound<'py, StreamReader>) -> Bound<'py, PyByteArray> {
    let py = reader.py();
    if let Some(array) = exposed(reader) {
        return array;
    }
    settle(reader);
    let bytes = reader.get().state.with(py, |state| state.buffer.native.take());
    let array = PyByteArray::new(py, &bytes);
    adopt(reader, &array);
    array
}

/// Has the reader use `array`.
pub(super) fn adopt(reader: &Bound<'_, StreamReader>, array: &Bound<'_, PyByteArray>) {
    let kept = Some(array.clone().unbind());
    let old = reader.get().state.with(reader.py(), |state| {
        state.buffer.native = ReadBuffer::new();
        (state.buffer.fresh.take(), state.buffer.exposed.replace(kept))
    });
    drop(old);
}

/// How many bytes there are.
#[inline]
pub(super) fn len(reader: &Bound<'_, StreamReader>) -> usize {
    let py = reader.py();
    let native = reader
        .get()
        .state
        .with(py, |state| if state.buffer.exposed.is_some() { None } else { Some(state.buffer.len(py)) });
    native.unwrap_or_else(|| exposed(reader).map_or(0, |array| array.len()))
}

/// Removes the first `count` bytes, or all if there are not so many.
pub(super) fn discard(reader: &Bound<'_, StreamReader>, count: usize) -> PyResult<()> {
    let py = reader.py();
    settle(reader);
    match exposed(reader) {
        Some(array) if count >= array.len() => array.call_method0(intern!(py, "clear")).map(drop),
        Some(array) => array.del_item(PySlice::new(py, 0, count as isize, 1)),
        None => {
            with_spare(py, |spare| reader.get().state.with(py, |state| state.buffer.native.consume(count, spare)));
            Ok(())
        }
    }
}

/// Removes the first `count` bytes, or all if there are not so many, and gives them out.
pub(super) fn take<'py>(reader: &Bound<'py, StreamReader>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
    let py = reader.py();
    settle(reader);
    let taken = match exposed(reader) {
        Some(array) => slots::with_writable_buffer(&array, |bytes| first(py, bytes, count))?,
        None => reader.get().state.with(py, |state| first(py, state.buffer.native.as_slice(), count)),
    };
    discard(reader, count)?;
    Ok(taken)
}

/// The first `count` bytes, or all if there are not so many.
#[inline]
pub(super) fn first<'py>(py: Python<'py>, bytes: &[u8], count: usize) -> Bound<'py, PyBytes> {
    PyBytes::new(py, bytes.get(..count).unwrap_or(bytes))
}

/// All of the bytes; nothing is left.
pub(super) fn take_all(reader: &Bound<'_, StreamReader>) -> PyResult<Vec<u8>> {
    let py = reader.py();
    settle(reader);
    match exposed(reader) {
        Some(array) => {
            let taken = array.to_vec();
            array.call_method0(intern!(py, "clear"))?;
            Ok(taken)
        }
        None => Ok(reader.get().state.with(py, |state| state.buffer.native.take())),
    }
}

/// Lets `f`, which runs no Python, look at the bytes of an exposed buffer.
pub(super) fn view<R>(reader: &Bound<'_, StreamReader>, f: impl FnOnce(&[u8]) -> R) -> PyResult<R> {
    settle(reader);
    match exposed(reader) {
        Some(array) => slots::with_writable_buffer(&array, |bytes| f(bytes)),
        None => Ok(reader.get().state.with(reader.py(), |state| f(state.buffer.native.as_slice()))),
    }
}

/// Adds bytes at the end.
pub(super) fn append(reader: &Bound<'_, StreamReader>, data: &[u8]) -> PyResult<()> {
    let py = reader.py();
    settle(reader);
    match exposed(reader) {
        Some(array) => array.call_method1(intern!(py, "extend"), (PyBytes::new(py, data),)).map(drop),
        None => {
            with_spare(py, |spare| reader.get().state.with(py, |state| state.buffer.native.push(data, spare)));
            Ok(())
        }
    }
}

/// Puts bytes back in front of the others.
pub(super) fn put_back(reader: &Bound<'_, StreamReader>, data: Vec<u8>) -> PyResult<()> {
    let py = reader.py();
    settle(reader);
    match exposed(reader) {
        Some(array) => array.set_item(PySlice::new(py, 0, 0, 1), PyBytes::new(py, &data)),
        None => {
            reader.get().state.with(py, |state| state.buffer.native.put_back(data));
            Ok(())
        }
    }
}
