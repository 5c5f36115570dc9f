//! The methods of `StreamReader` that read as plain C functions; `slots/methods.rs` says why.
//!
//! They are put into the Python class that derives from the native one: the interpreter's specialised calls want the
//! class that defines a method to be the object's own.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned};
use super::sock_calls::Signature;
use crate::streams::{StreamReader, reading};

const READ: Signature<1> = Signature { parameters: ["n"], required: 0 };
const READEXACTLY: Signature<1> = Signature { parameters: ["n"], required: 1 };
const READUNTIL: Signature<1> = Signature { parameters: ["separator"], required: 0 };

slot_functions! {
    fn read(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let reader = unsafe { argument::<StreamReader>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let bound = READ.bind("StreamReader.read", &arguments);
        returned(py, bound.and_then(|[n]| reading::read(&reader, n.as_ref())))
    } or ptr::null_mut();

    fn readexactly(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let reader = unsafe { argument::<StreamReader>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let bound = READEXACTLY.bind("StreamReader.readexactly", &arguments);
        returned(py, bound.and_then(|[n]| reading::readexactly(&reader, &n.unwrap_or_else(|| arguments.none()))))
    } or ptr::null_mut();

    fn readuntil(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let reader = unsafe { argument::<StreamReader>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        let bound = READUNTIL.bind("StreamReader.readuntil", &arguments);
        returned(py, bound.and_then(|[separator]| reading::readuntil(&reader, separator.as_ref())))
    } or ptr::null_mut();

    fn readline(py, slf: Object, _unused: Object) -> Object {
        // SAFETY: the method of this class.
        let reader = unsafe { argument::<StreamReader>(py, slf) };
        returned(py, reading::readline(&reader))
    } or ptr::null_mut();
}

const READ_HELP: &CStr = c"read($self, /, n=-1)\n--\n\nRead at most `n` bytes, as soon as there are any; without n or \
    with -1, all until the end. Empty at the end. Corresponds to `asyncio.StreamReader.read`.";
const READEXACTLY_HELP: &CStr = c"readexactly($self, /, n)\n--\n\nRead exactly `n` bytes. Raises IncompleteReadError \
    with the rest if the stream ends before, ValueError below 0. Corresponds to `asyncio.StreamReader.readexactly`.";
const READUNTIL_HELP: &CStr = c"readuntil($self, /, separator=b'\\n')\n--\n\nRead until and with `separator`, or the \
    first of a tuple of separators. Raises IncompleteReadError with the rest if the stream ends before, LimitOverrunError \
    if there is more than the limit before it, which stays to be read. Corresponds to `asyncio.StreamReader.readuntil`.";
const READLINE_HELP: &CStr = c"readline($self, /)\n--\n\nRead one line with its newline; the rest without one at the \
    end of the stream. Raises ValueError if it is longer than the limit; then it is lost, or what has come of it. \
    Corresponds to `asyncio.StreamReader.readline`.";

/// Puts the functions above into the class that derives from the native one.
pub fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    use ffi::PyMethodDefPointer as Call;
    let fast = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    if !class.is_subclass_of::<StreamReader>()? {
        return Err(PyTypeError::new_err("a class that derives from the native reader is needed"));
    }
    let definitions = vec![
        definition(c"read", Call { PyCFunctionFastWithKeywords: read }, fast, READ_HELP),
        definition(c"readexactly", Call { PyCFunctionFastWithKeywords: readexactly }, fast, READEXACTLY_HELP),
        definition(c"readuntil", Call { PyCFunctionFastWithKeywords: readuntil }, fast, READUNTIL_HELP),
        definition(c"readline", Call { PyCFunction: readline }, ffi::METH_NOARGS, READLINE_HELP),
    ];
    add(class, definitions)
}
