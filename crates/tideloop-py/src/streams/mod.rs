//! Streams (DESIGN §5): what a connection brings, for tasks to read.
//!
//! | file | what it holds |
//! |---|---|
//! | `reader.rs` | `StreamReader`: its state, how it is fed, how it wakes who waits and pauses the transport |
//! | `reader_methods.rs` | what Python sees of it |
//! | `buffer.rs` | what was received: native bytes, or the `bytearray` that somebody looked at |
//! | `reading.rs` | the methods that read: which request they make |
//! | `request.rs` | what one wants to read, and whether it is there |
//! | `read_call.rs` | the coroutine of a read: attempts its request, waits, attempts again |
//!
//! A reader that derives from ours and overrides `feed_data` is fed by calling that; one that overrides what a method
//! is made of in asyncio (`readline` calls `readuntil`) gets asyncio's own method, which works on our attributes.

mod buffer;
mod read_call;
mod reader;
mod reader_methods;
mod reading;
mod request;

use pyo3::prelude::*;

pub use reader::StreamReader;

use crate::slots;

/// Adds the classes.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // What our class falls back to, before anybody puts ours in its place.
    crate::names::stock_stream_reader(module.py())?;
    module.add_class::<StreamReader>()?;
    slots::coroutine::register::<read_call::ReadCall>(module)
}
