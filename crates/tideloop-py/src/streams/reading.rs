//! The methods that read: the request that each makes of a reader, or asyncio's own method in its place.
//!
//! asyncio's own serves where somebody derived a class and overrode what that method calls, and for arguments of types
//! that nobody would give, so that it says itself what is wrong with them.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyTuple};
use tideloop_core::separators::Separators;

use super::StreamReader;
use super::read_call::ReadCall;
use super::request::Request;
use crate::names;
use crate::slots::buffers::HeldBuffer;

const EMPTY: &str = "Separator should be at least one-byte string";
const NO_SEPARATOR: &str = "Separator should contain at least one element";
const NEGATIVE: Request =
    Request::Wrong { qualname: "StreamReader.readexactly", text: "readexactly size can not be less than zero" };

#[inline]
fn call<'py>(reader: &Bound<'py, StreamReader>, request: Request) -> PyResult<Bound<'py, PyAny>> {
    ReadCall::create(reader, request).map(Bound::into_any)
}

/// asyncio's own method, which works on our attributes.
#[cold]
fn stock<'py>(
    reader: &Bound<'py, StreamReader>,
    method: &str,
    argument: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let function = names::stock_stream_reader(reader.py())?.getattr(method)?;
    match argument {
        None => function.call1((reader,)),
        Some(argument) => function.call1((reader, argument)),
    }
}

/// Whether what asyncio's method `calls` is ours.
#[inline]
fn is_plain(reader: &Bound<'_, StreamReader>, calls: &str) -> PyResult<bool> {
    Ok(StreamReader::is_exact(reader)? || derives_plainly(reader, calls)?)
}

#[cold]
fn derives_plainly(reader: &Bound<'_, StreamReader>, calls: &str) -> PyResult<bool> {
    let py = reader.py();
    let (class, public) = (reader.get_type(), names::stream_reader_class(py)?);
    for name in [calls, "_wait_for_data", "_maybe_resume_transport"] {
        if !class.getattr(name)?.is(&public.getattr(name)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A number of bytes, however large; `None` if it is no number that could be one.
#[inline]
fn count(n: &Bound<'_, PyAny>) -> PyResult<Option<isize>> {
    match n.extract::<isize>() {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.is_instance_of::<PyOverflowError>(n.py()) => {
            Ok(Some(if n.lt(0)? { isize::MIN } else { isize::MAX }))
        }
        Err(_) => Ok(None),
    }
}

#[inline]
pub fn read<'py>(reader: &Bound<'py, StreamReader>, n: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let wanted = match n {
        None => Some(-1),
        Some(n) => count(n)?,
    };
    match wanted {
        Some(wanted) if is_plain(reader, "read")? => {
            call(reader, usize::try_from(wanted).map_or(Request::All(Vec::new()), Request::Some))
        }
        _ => stock(reader, "read", n),
    }
}

#[inline]
pub fn readexactly<'py>(reader: &Bound<'py, StreamReader>, n: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match count(n)? {
        // A number that does not fit is shown by the exception, so it must be kept as it is.
        Some(wanted) if wanted < isize::MAX && is_plain(reader, "readexactly")? => {
            call(reader, usize::try_from(wanted).map_or(NEGATIVE, Request::Exactly))
        }
        _ => stock(reader, "readexactly", Some(n)),
    }
}

#[inline]
pub fn readline<'py>(reader: &Bound<'py, StreamReader>) -> PyResult<Bound<'py, PyAny>> {
    if is_plain(reader, "readuntil")? { call(reader, Request::Line) } else { stock(reader, "readline", None) }
}

#[inline]
pub(super) fn next<'py>(reader: &Bound<'py, StreamReader>) -> PyResult<Bound<'py, PyAny>> {
    let plain = is_plain(reader, "readuntil")? && is_plain(reader, "readline")?;
    if plain { call(reader, Request::Next) } else { stock(reader, "__anext__", None) }
}

pub fn readuntil<'py>(
    reader: &Bound<'py, StreamReader>,
    separator: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    if !is_plain(reader, "readuntil")? {
        return stock(reader, "readuntil", separator);
    }
    let Some(separator) = separator else { return call(reader, Request::Until(Some(Box::new(Separators::NEWLINE)))) };
    let separators = match separator.cast::<PyTuple>() {
        Err(_) => match bytes_of(separator)? {
            Some(bytes) => Separators::one(&bytes).ok_or(EMPTY),
            None => return stock(reader, "readuntil", Some(separator)),
        },
        Ok(several) if several.is_empty() => Err(NO_SEPARATOR),
        Ok(several) => {
            let mut all = Vec::with_capacity(several.len());
            for one in several.iter() {
                match bytes_of(&one)? {
                    Some(bytes) => all.push(bytes),
                    None => return stock(reader, "readuntil", Some(separator)),
                }
            }
            let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            Separators::several(&all).ok_or(EMPTY)
        }
    };
    call(
        reader,
        match separators {
            Ok(separators) => Request::Until(Some(Box::new(separators))),
            Err(text) => Request::Wrong { qualname: "StreamReader.readuntil", text },
        },
    )
}

/// What is searched for; `None` if it is of no type that a separator has.
fn bytes_of(separator: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if let Ok(bytes) = separator.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes().to_vec()));
    }
    if let Ok(array) = separator.cast::<PyByteArray>() {
        return Ok(Some(array.to_vec()));
    }
    if separator.cast::<PyMemoryView>().is_ok() {
        return HeldBuffer::of(separator).map(|held| Some(held.bytes().to_vec()));
    }
    Ok(None)
}
