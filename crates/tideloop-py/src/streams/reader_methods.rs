//! What Python sees of a `StreamReader`: asyncio's methods and attributes, private ones that programs use included.

use pyo3::exceptions::{PyAssertionError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyInt, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::StreamReader;
use super::buffer;
use super::reader::LIMIT_DEFAULT;
use super::reading;
use crate::cell::Slot;
use crate::names;
use crate::slots::loop_slot::{LoopRef, LoopSlot};
use crate::task;

/// A limit as a number of bytes, and the object itself where that says less than it.
fn limit_of(limit: &Bound<'_, PyAny>) -> PyResult<(isize, Option<Py<PyAny>>)> {
    if limit.is_exact_instance_of::<PyInt>() {
        match limit.extract::<isize>() {
            Ok(bytes) => return Ok((bytes, None)),
            Err(error) if error.is_instance_of::<PyOverflowError>(limit.py()) => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = limit.extract::<f64>()?;
    // Saturates; a fraction of a byte is never reached.
    Ok((bytes.floor() as isize, Some(limit.clone().unbind())))
}

fn or_none(py: Python<'_>, object: Option<Py<PyAny>>) -> Py<PyAny> {
    object.unwrap_or_else(|| py.None())
}

fn none_is_nothing(object: Bound<'_, PyAny>) -> Option<Py<PyAny>> {
    (!object.is_none()).then(|| object.unbind())
}

#[pymethods]
impl StreamReader {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limit=65536, loop=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    #[pyo3(signature = (limit=None, r#loop=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        limit: Option<&Bound<'_, PyAny>>,
        r#loop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let (limit, object) = match limit {
            None => (LIMIT_DEFAULT, None),
            Some(limit) if limit.le(0)? => return Err(PyValueError::new_err("Limit cannot be <= 0")),
            Some(limit) => limit_of(limit)?,
        };
        let event_loop = match r#loop.filter(|event_loop| !event_loop.is_none()) {
            Some(event_loop) => LoopRef::to(event_loop),
            None => LoopRef::to(&names::get_event_loop(py)?.call0()?),
        };
        let source_traceback =
            if task::is_debug(&event_loop)? { Some(names::extract_stack(py)?.call0()?.unbind()) } else { None };
        let mut fresh = Self::blank();
        let state = fresh.state.get_mut();
        (state.limit, state.event_loop) = (limit, LoopSlot::holding(&event_loop));
        if object.is_some() || source_traceback.is_some() {
            (state.rare().limit, state.rare().source_traceback) = (object, source_traceback);
        }
        // What was there before is dropped with `fresh`.
        slf.get().state.with(py, |state| std::mem::swap(state, fresh.state.get_mut()));
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let (eof, limit, paused) = slf.get().state.with(py, |state| (state.eof, state.limit, state.paused));
        let mut info = String::from("<StreamReader");
        let len = buffer::len(slf);
        if len > 0 {
            info += &format!(" {len} bytes");
        }
        if eof {
            info += " eof";
        }
        if limit != LIMIT_DEFAULT {
            info += &format!(" limit={}", slf.get().limit(py)?.bind(py).str()?);
        }
        let shown = [
            ("waiter", slf.get().waiter(py)),
            ("exception", slf.get().exception(py)),
            ("transport", slf.get().transport(py)),
        ];
        for (name, object) in shown {
            if object.bind(py).is_truthy()? {
                info += &format!(" {name}={}", object.bind(py).repr()?);
            }
        }
        if paused {
            info += " paused";
        }
        Ok(info + ">")
    }

    /// Return the exception that was set, or None.
    fn exception(&self, py: Python<'_>) -> Py<PyAny> {
        or_none(py, self.exception_native(py))
    }

    /// Have every read raise `exc` from now on, the one that waits included.
    fn set_exception(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::fail(slf, exc)
    }

    /// Say which transport is to be paused while too much is unread; AssertionError if there is one already.
    fn set_transport(slf: &Bound<'_, Self>, transport: Bound<'_, PyAny>) -> PyResult<()> {
        if slf.get().state.with(slf.py(), |state| state.transport.is_some()) {
            return Err(PyAssertionError::new_err("Transport already set"));
        }
        slf.get().set_transport_object(transport.py(), Some(transport.clone()));
        Ok(())
    }

    fn _replace_transport(slf: &Bound<'_, Self>, transport: Bound<'_, PyAny>) -> PyResult<()> {
        if slf.get().state.with(slf.py(), |state| state.transport.is_none()) {
            return Err(PyAssertionError::new_err("Transport not set"));
        }
        slf.get().set_transport_object(transport.py(), Some(transport.clone()));
        Ok(())
    }

    /// Add bytes and wake who waits for them; AssertionError after feed_eof().
    fn feed_data(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return Self::feed(slf, bytes.as_bytes());
        }
        if slf.get().state.with(py, |state| state.eof) || !data.is_truthy()? {
            return Self::feed(slf, &[]);
        }
        let copied = PyByteArray::new(py, &[]);
        copied.call_method1(intern!(py, "extend"), (data,))?;
        Self::feed(slf, &copied.to_vec())
    }

    /// Say that no more bytes will come, and wake who waits for them.
    fn feed_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::end(slf)
    }

    /// Return True if everything has been read and feed_eof() was called.
    fn at_eof(slf: &Bound<'_, Self>) -> bool {
        slf.get().state.with(slf.py(), |state| state.eof) && buffer::len(slf) == 0
    }

    fn _wakeup_waiter(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::wake_waiter(slf)
    }

    fn _maybe_resume_transport(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::resume_if_low(slf)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        reading::next(slf)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// What was received and not yet read: the buffer itself, from the first look on.
    #[getter(_buffer)]
    fn buffer<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyByteArray> {
        buffer::expose(slf)
    }

    #[setter(_buffer)]
    fn set_buffer(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(array) = value.cast::<PyByteArray>() else {
            return Err(PyTypeError::new_err("StreamReader._buffer must be a bytearray"));
        };
        buffer::adopt(slf, array);
        Ok(())
    }

    #[getter(_limit)]
    fn limit(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (limit, object) = self.state.with(py, |state| {
            let object = state.rare.as_ref().and_then(|rare| rare.limit.as_ref().map(|limit| limit.clone_ref(py)));
            (state.limit, object)
        });
        match object {
            Some(object) => Ok(object),
            None => Ok(limit.into_pyobject(py)?.into_any().unbind()),
        }
    }

    #[setter(_limit)]
    fn set_limit(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (limit, object) = limit_of(value)?;
        let old = self.state.with(value.py(), |state| {
            state.limit = limit;
            if object.is_some() || state.rare.is_some() {
                std::mem::replace(&mut state.rare().limit, object)
            } else {
                None
            }
        });
        drop(old);
        Ok(())
    }

    #[getter(_eof)]
    fn eof(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.eof)
    }

    #[setter(_eof)]
    fn set_eof(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value_is_true = value.is_truthy()?;
        self.state.with(value.py(), |state| state.eof = value_is_true);
        Ok(())
    }

    #[getter(_paused)]
    fn paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value_is_true = value.is_truthy()?;
        self.state.with(value.py(), |state| state.paused = value_is_true);
        Ok(())
    }

    #[getter(_waiter)]
    fn waiter(&self, py: Python<'_>) -> Py<PyAny> {
        or_none(py, self.state.with(py, |state| state.waiter.cloned(py)))
    }

    #[setter(_waiter)]
    fn set_waiter(&self, value: Bound<'_, PyAny>) {
        let py = value.py();
        let value = none_is_nothing(value);
        drop(self.state.with(py, |state| state.waiter.replace(value)));
    }

    #[getter(_exception)]
    fn exception_attribute(&self, py: Python<'_>) -> Py<PyAny> {
        self.exception(py)
    }

    #[setter(_exception)]
    fn set_exception_attribute(&self, value: Bound<'_, PyAny>) {
        let py = value.py();
        let value = none_is_nothing(value);
        drop(self.state.with(py, |state| state.exception.replace(value)));
    }

    #[getter(_transport)]
    fn transport(&self, py: Python<'_>) -> Py<PyAny> {
        or_none(py, self.state.with(py, |state| state.transport.cloned(py)))
    }

    #[setter(_transport)]
    fn set_transport_attribute(&self, value: Bound<'_, PyAny>) {
        self.set_transport_object(value.py(), Some(value.clone()));
    }

    #[getter(_loop)]
    fn event_loop_attribute(slf: &Bound<'_, Self>) -> Py<PyAny> {
        or_none(slf.py(), Self::event_loop(slf).map(|event_loop| event_loop.into_any().unbind()))
    }

    #[setter(_loop)]
    fn set_event_loop_attribute(&self, value: &Bound<'_, PyAny>) {
        let mut slot = LoopSlot::holding(&LoopRef::to(value));
        self.state.with(value.py(), |state| std::mem::swap(&mut state.event_loop, &mut slot));
        drop(slot.take());
    }

    #[getter(_source_traceback)]
    fn source_traceback(&self, py: Python<'_>) -> Py<PyAny> {
        let kept = self.state.with(py, |state| {
            state.rare.as_ref().and_then(|rare| rare.source_traceback.as_ref().map(|stack| stack.clone_ref(py)))
        });
        or_none(py, kept)
    }

    #[setter(_source_traceback)]
    fn set_source_traceback(&self, value: Bound<'_, PyAny>) {
        let py = value.py();
        let value = none_is_nothing(value);
        drop(self.state.with(py, |state| std::mem::replace(&mut state.rare().source_traceback, value)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state.during_gc(|state| state.visit(&visit)).unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), super::reader::State::take_contents));
    }
}

impl StreamReader {
    fn set_transport_object(&self, py: Python<'_>, transport: Option<Bound<'_, PyAny>>) {
        let transport = transport.and_then(none_is_nothing);
        let old: Option<Py<PyAny>> = self.state.with(py, |state| Slot::replace(&mut state.transport, transport));
        drop(old);
    }
}
