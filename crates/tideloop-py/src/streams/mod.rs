//! Streams (DESIGN §5): what a connection brings, for tasks to read.
//!
//! | file | what it holds |
//! |---|---|
//! | `reader.rs` | `StreamReader`: its state, how it is fed, how it wakes who waits and pauses the transport |
//! | `reader_methods.rs` | what Python sees of it |
//! | `buffer.rs` | what was received: native bytes, or the `bytearray` that somebody looked at |
//! | `reading.rs` | the methods that read: which request they make |
//! | `request.rs` | what one wants to read, and whether it is there |
//! | `protocol.rs`, `protocol_methods.rs` | `StreamReaderProtocol`: what a transport tells, for reader and writers |
//! | `connected.rs` | a server's connection: the callback, and the task that it becomes |
//! | `writer.rs` | `StreamWriter`, before a transport |
//! | `draining.rs` | the coroutines of `drain()` and `wait_closed()` |
//! | `plain.rs` | whether methods are ours, so that nobody has to call them |
//! | `read_call.rs` | the coroutine of a read: attempts its request, waits, attempts again |
//!
//! A reader that derives from ours and overrides `feed_data` is fed by calling that; one that overrides what a method
//! is made of in asyncio (`readline` calls `readuntil`) gets asyncio's own method, which works on our attributes.

mod buffer;
mod connected;
mod draining;
mod plain;
mod protocol;
mod protocol_methods;
mod read_call;
mod reader;
mod reader_methods;
pub mod reading;
mod request;
mod writer;

use pyo3::prelude::*;
use pyo3::types::PyType;

pub use plain::receives_plainly;
pub use protocol::StreamReaderProtocol;
pub use reader::StreamReader;
pub use writer::StreamWriter;

use crate::slots;

/// Gives the class that programs use, which derives from ours, the methods that read.
#[pyfunction(name = "_register_stream_reader")]
fn register_stream_reader(class: &Bound<'_, PyType>) -> PyResult<()> {
    slots::stream_reads::install(class)
}

/// Gives the class that programs use, which derives from ours, the hot methods.
#[pyfunction(name = "_register_stream_writer")]
fn register_stream_writer(class: &Bound<'_, PyType>) -> PyResult<()> {
    slots::stream_methods::install(class)
}

/// Adds the classes.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // What our class falls back to, before anybody puts ours in its place.
    crate::names::stock_stream_reader(module.py())?;
    module.add_class::<StreamReader>()?;
    module.add_class::<StreamReaderProtocol>()?;
    module.add_class::<StreamWriter>()?;
    module.setattr("_register_stream_reader", wrap_pyfunction!(register_stream_reader, module)?)?;
    module.setattr("_register_stream_writer", wrap_pyfunction!(register_stream_writer, module)?)?;
    slots::coroutine::register::<draining::DrainCall>(module)?;
    slots::coroutine::register::<draining::WaitClosedCall>(module)?;
    slots::coroutine::register::<read_call::ReadCall>(module)
}
