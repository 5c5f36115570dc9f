//! The hot methods of `StreamWriter` as plain C functions; `slots/methods.rs` says why.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned};
use crate::streams::StreamWriter;

slot_functions! {
    fn write(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let writer = unsafe { argument::<StreamWriter>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let written = data(&arguments).and_then(|data| StreamWriter::write_native(&writer, &data));
        returned(py, written.map(|()| py.None().into_bound(py)))
    } or ptr::null_mut();

    fn drain(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let writer = unsafe { argument::<StreamWriter>(py, slf) };
        returned(py, StreamWriter::drain_native(&writer))
    } or ptr::null_mut();
}

/// The one argument of `write()`.
#[inline]
fn data<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    if let [data] = arguments.positional()
        && arguments.keywords().next().is_none()
    {
        return Ok(arguments.own(data));
    }
    named_data(arguments)
}

#[cold]
fn named_data<'py>(arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let given = arguments.positional().len();
    let mut keywords = arguments.keywords();
    match (given, keywords.next(), keywords.next()) {
        (0, None, _) => {
            Err(PyTypeError::new_err("StreamWriter.write() missing 1 required positional argument: 'data'"))
        }
        (0, Some((name, data)), None) if name.eq(intern!(name.py(), "data"))? => Ok(data),
        (0 | 1, Some((name, _)), _) => {
            Err(PyTypeError::new_err(format!("StreamWriter.write() got an unexpected keyword argument '{name}'")))
        }
        _ => {
            let given = given + 1;
            Err(PyTypeError::new_err(format!(
                "StreamWriter.write() takes 2 positional arguments but {given} were given"
            )))
        }
    }
}

/// Adds the methods to the class that programs use.
pub fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    use ffi::PyMethodDefPointer as Call;
    let methods = vec![
        definition(
            c"write",
            Call { PyCFunctionFastWithKeywords: write },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            WRITE,
        ),
        definition(c"drain", Call { PyCFunction: drain }, ffi::METH_NOARGS, DRAIN),
    ];
    add(class, methods)
}

const WRITE: &CStr = c"write($self, /, data)\n--\n\nWrite `data` (bytes, bytearray or memoryview) without waiting. \
    Raises what the transport raises: TypeError for anything else, RuntimeError after `write_eof`. Corresponds to \
    `asyncio.StreamWriter.write`.";
const DRAIN: &CStr = c"drain($self, /)\n--\n\nWait until the transport takes more; raises what has ended the \
    connection, ConnectionResetError if nothing has. Corresponds to `asyncio.StreamWriter.drain`.";
