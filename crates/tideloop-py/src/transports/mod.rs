//! Transports: what carries a protocol's bytes.
//!
//! The behaviour is that of asyncio's selector transports, callback by callback. What differs is when bytes leave:
//! writes are collected and go out in one system call at the end of the turn (DESIGN §6, §10.13).
//!
//! | file | what it holds |
//! |---|---|
//! | `socket_transport.rs` | the class `SocketTransport`: a connected stream socket, its Python surface |
//! | `state.rs` | what a transport knows, and the transitions between its states |
//! | `lifecycle.rs` | how it begins, fails and ends |
//! | `read.rs`, `write.rs`, `outgoing.rs`, `flow.rs` | bytes in, bytes out, the queue of bytes out, water marks |
//! | `sendfile.rs` | the socket lent to `sendfile` |
//! | `extra.rs`, `address.rs` | `get_extra_info`, socket objects, addresses |
//! | `listener.rs` | `Listener`: accepts connections for a server |
//! | `datagram/` | `DatagramTransport`: UDP and Unix datagram sockets |
//! | `pipe/` | `ReadPipeTransport` and `WritePipeTransport` |
//! | `tls/` | TLS between any transport and a protocol |
//! | `report.rs` | what is told to the loop's exception handler |

mod address;
mod datagram;
mod extra;
mod flow;
mod lifecycle;
mod listener;
mod outgoing;
mod pipe;
mod read;
mod report;
mod sendfile;
mod socket_transport;
mod state;
mod tls;
mod write;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use datagram::DatagramTransport;
pub use listener::Listener;
pub use pipe::{ReadPipeTransport, WritePipeTransport};
pub use socket_transport::SocketTransport;
pub use tls::TlsTransport;

use crate::{names, slots};

/// Adds the classes, after a check that their instances lie in memory as was assumed.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::finalizer::install::<SocketTransport>(py);
    slots::finalizer::install::<DatagramTransport>(py);
    if !slots::verify(&slots::create(py, SocketTransport::blank())?)
        || !slots::verify(&slots::create(py, DatagramTransport::blank())?)
    {
        return Err(PyImportError::new_err("the layout of tideloop's transports is not what was assumed"));
    }
    // A transport that is still open when the interpreter ends warns of it, and nothing can be imported any more.
    names::warn(py)?;
    tls::init(module)?;
    module.add_class::<SocketTransport>()?;
    module.add_class::<DatagramTransport>()?;
    module.add_class::<ReadPipeTransport>()?;
    module.add_class::<WritePipeTransport>()?;
    module.add_class::<Listener>()
}
