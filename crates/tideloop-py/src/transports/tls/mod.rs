//! TLS between a transport and a protocol: asyncio's `sslproto`, with the same states and the same promises.
//!
//! A [`TlsProtocol`] is the protocol of the transport below and holds all state; its [`TlsTransport`] is what the
//! program's own protocol is given. The transport below may be any, another `TlsTransport` too. Where it is a
//! [`SocketTransport`](super::SocketTransport), bytes go between the loop's shared buffer, OpenSSL and the socket without a
//! Python object or call between, and what the program writes in a turn is encrypted and sent at its end.
//!
//! | file | what it holds |
//! |---|---|
//! | `protocol.rs`, `transport.rs` | the two classes, their Python surface |
//! | `state.rs` | what a TLS connection knows, and the transitions between its phases |
//! | `engine.rs` | the `ssl.SSLObject`, and the way of its bytes |
//! | `handshake.rs`, `shutdown.rs` | how it begins, and how it ends |
//! | `read.rs`, `write.rs` | plaintext in, plaintext out |
//! | `lower.rs` | the transport below |

mod engine;
mod handshake;
mod lower;
mod protocol;
mod read;
mod shutdown;
mod state;
mod transport;
mod write;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use protocol::TlsProtocol;
pub use transport::TlsTransport;

use crate::slots;

/// Adds the classes, after a check that their instances lie in memory as was assumed.
pub(super) fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let protocol = slots::create(py, TlsProtocol::blank())?;
    let transport = slots::create(py, TlsTransport::of(protocol.clone().unbind()))?;
    if !slots::verify(&protocol) || !slots::verify(&transport) {
        return Err(PyImportError::new_err("the layout of tideloop's transports is not what was assumed"));
    }
    module.add_class::<TlsProtocol>()?;
    module.add_class::<TlsTransport>()
}
