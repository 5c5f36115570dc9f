//! The transport below: one of our sockets, reached directly, or any other that is as asyncio's.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::TlsTransport;
use crate::transports::SocketTransport;

/// The transport below.
pub(super) enum Lower<'py> {
    Socket(Bound<'py, SocketTransport>),
    Other(Bound<'py, PyAny>),
}

impl<'py> Lower<'py> {
    pub fn of(transport: Bound<'py, PyAny>) -> Self {
        match transport.cast_into_exact::<SocketTransport>() {
            Ok(socket) => Self::Socket(socket),
            Err(other) => Self::Other(other.into_inner()),
        }
    }

    pub fn as_any(&self) -> &Bound<'py, PyAny> {
        match self {
            Self::Socket(socket) => socket.as_any(),
            Self::Other(other) => other,
        }
    }

    /// The context that the connection was made in, where the transport knows it.
    pub fn context(&self) -> PyResult<Option<Py<PyAny>>> {
        match self {
            Self::Socket(socket) => Ok(SocketTransport::context(socket)),
            Self::Other(other) => match other.cast_exact::<TlsTransport>() {
                Ok(tls) => tls.get().context(other.py()),
                Err(_) => Ok(None),
            },
        }
    }

    /// Sends ciphertext.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> PyResult<()> {
        match self {
            Self::Socket(socket) => SocketTransport::send_now(socket, bytes),
            Self::Other(other) => {
                let py = other.py();
                other.call_method1(intern!(py, "write"), (PyBytes::new(py, bytes),)).map(drop)
            }
        }
    }

    /// Closes when everything is sent.
    pub fn close(&self) -> PyResult<()> {
        self.call("close")
    }

    /// Closes at once.
    pub fn force_close(&self, error: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
        match self {
            Self::Socket(socket) => SocketTransport::force_close(socket, error),
            Self::Other(other) => {
                let py = other.py();
                match other.getattr_opt(intern!(py, "_force_close"))? {
                    Some(force_close) => force_close.call1((error,)).map(drop),
                    None => self.call("abort"),
                }
            }
        }
    }

    pub fn pause_reading(&self) -> PyResult<()> {
        self.call("pause_reading")
    }

    pub fn resume_reading(&self) -> PyResult<()> {
        self.call("resume_reading")
    }

    pub fn is_closing(&self) -> PyResult<bool> {
        self.as_any().call_method0(intern!(self.as_any().py(), "is_closing"))?.is_truthy()
    }

    fn call(&self, method: &str) -> PyResult<()> {
        self.as_any().call_method0(method).map(drop)
    }
}
