//! Whether an object's methods are ours: then what they do may be done without calling them.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::{StreamReader, StreamReaderProtocol};
use crate::names;

/// Whether nobody, neither a derived class nor the object itself, has methods of their own by these names.
fn are_ours(object: &Bound<'_, PyAny>, class: &Bound<'_, PyType>, methods: &[&Bound<'_, PyString>]) -> PyResult<bool> {
    let py = object.py();
    for method in methods {
        let ours = class.getattr(method)?.call_method1(intern!(py, "__get__"), (object,))?;
        if !object.getattr_opt(method)?.is_some_and(|found| found.eq(&ours).unwrap_or(false)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a reader takes in what arrives as ours do.
pub fn is_plain_reader(reader: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = reader.py();
    if !reader.is_instance_of::<StreamReader>() {
        return Ok(false);
    }
    let methods = [intern!(py, "feed_data"), intern!(py, "exception")];
    are_ours(reader, names::stream_reader_class(py)?, &methods)
}

/// Whether a protocol passes on what arrives as ours does.
pub fn receives_plainly(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = protocol.py();
    if !protocol.is_instance_of::<StreamReaderProtocol>() {
        return Ok(false);
    }
    are_ours(protocol, names::stream_reader_protocol_class(py)?, &[intern!(py, "data_received")])
}

/// Whether a protocol has writers wait as ours does.
pub(super) fn drains_plainly(protocol: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = protocol.py();
    if !protocol.is_instance_of::<StreamReaderProtocol>() {
        return Ok(false);
    }
    let methods = [intern!(py, "_drain_helper"), intern!(py, "_get_close_waiter")];
    are_ours(protocol, names::stream_reader_protocol_class(py)?, &methods)
}
