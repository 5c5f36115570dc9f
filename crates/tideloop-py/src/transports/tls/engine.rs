//! What turns plaintext into ciphertext and back: an `ssl.SSLObject`, and the way its bytes take.
//!
//! The direct way is OpenSSL itself (`slots/openssl.rs`). Where that is not to be had, or where somebody has derived a
//! class of their own from `SSLObject`, bytes go through memory BIOs. Handshake and shutdown are the object's methods
//! either way, so that whoever overrides them is heard.
//!
//! Nothing here is called with a cell open: Python's callbacks (server names, key logs) may run.

use std::ops::Deref;

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::leaves_the_loop;
use crate::names;
use crate::slots::openssl::{self, Connection, Encrypted, Ended};

/// Bytes that one call of `SSLObject.read` is asked for; asyncio's `SSLProtocol.max_size`.
const READ_BYTES_MAX: usize = 256 * 1024;

/// An `ssl.SSLObject` and its ciphertext.
pub(super) struct Engine {
    object: Py<PyAny>,
    path: Path,
}

enum Path {
    Direct(Connection),
    Memory { incoming: Py<PyAny>, outgoing: Py<PyAny> },
}

/// Plaintext that came out of ciphertext.
#[must_use]
pub(super) struct Read<'py> {
    pub data: Option<Bound<'py, PyBytes>>,
    pub end: End,
}

/// Why there is not more of it.
pub(super) enum End {
    /// More ciphertext is needed.
    Starved,
    /// There may be more.
    More,
    /// The peer has said that it sends no more.
    Closed,
    Failed(PyErr),
}

/// What a step of a handshake or of a shutdown came to.
#[must_use]
pub(super) enum Step {
    Done,
    /// It goes on when more has come from the peer.
    Starved,
    Failed(PyErr),
}

/// What became of plaintext.
#[must_use]
pub(super) enum Written {
    Bytes(usize),
    /// Something must come from the peer first.
    Starved,
    Failed(PyErr),
}

/// Ciphertext for the peer.
pub(super) enum Outgoing<'py> {
    Shared(Vec<u8>),
    Bytes(Bound<'py, PyBytes>),
}

impl Deref for Outgoing<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Shared(memory) => memory,
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }
}

impl Drop for Outgoing<'_> {
    fn drop(&mut self) {
        if let Self::Shared(memory) = self {
            openssl::recycle(std::mem::take(memory));
        }
    }
}

impl Engine {
    /// Makes the object from the caller's context.
    pub fn new(
        context: &Bound<'_, PyAny>,
        server_side: bool,
        server_hostname: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = context.py();
        let bio = names::memory_bio_class(py)?;
        let (incoming, outgoing) = (bio.call0()?, bio.call0()?);
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "server_side"), server_side)?;
        keywords.set_item(intern!(py, "server_hostname"), server_hostname)?;
        let object = context.call_method(intern!(py, "wrap_bio"), (&incoming, &outgoing), Some(&keywords))?;
        let path = match reads_itself(&object)?.then(|| openssl::connect(&object)).flatten() {
            Some(connection) => Path::Direct(connection),
            None => Path::Memory { incoming: incoming.unbind(), outgoing: outgoing.unbind() },
        };
        Ok(Self { object: object.unbind(), path })
    }

    /// The `ssl.SSLObject`.
    pub fn object<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// Whether bytes take the direct way.
    pub fn is_direct(&self) -> bool {
        matches!(self.path, Path::Direct(_))
    }

    /// Keeps ciphertext for later.
    pub fn keep(&self, py: Python<'_>, incoming: &[u8]) -> PyResult<()> {
        match &self.path {
            Path::Direct(connection) => connection.keep(incoming),
            Path::Memory { incoming: memory, .. } => {
                if !incoming.is_empty() {
                    memory.bind(py).call_method1(intern!(py, "write"), (PyBytes::new(py, incoming),))?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of ciphertext that are kept.
    pub fn kept_len(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.path {
            Path::Direct(connection) => Ok(connection.kept_len()),
            Path::Memory { incoming, .. } => incoming.bind(py).getattr(intern!(py, "pending"))?.extract(),
        }
    }

    /// Bytes of ciphertext for the peer.
    pub fn outgoing_len(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.path {
            Path::Direct(connection) => Ok(connection.outgoing_len()),
            Path::Memory { outgoing, .. } => outgoing.bind(py).getattr(intern!(py, "pending"))?.extract(),
        }
    }

    /// Takes the ciphertext for the peer.
    #[inline]
    pub fn take_outgoing<'py>(&self, py: Python<'py>) -> PyResult<Outgoing<'py>> {
        match &self.path {
            Path::Direct(connection) => Ok(Outgoing::Shared(connection.take_outgoing())),
            Path::Memory { outgoing, .. } => {
                let bytes = outgoing.bind(py).call_method0(intern!(py, "read"))?;
                Ok(Outgoing::Bytes(bytes.cast_into::<PyBytes>()?))
            }
        }
    }

    /// Decrypts what was kept, and then `incoming`. The outer error is the interpreter's (no memory).
    #[inline]
    pub fn read<'py>(&self, py: Python<'py>, incoming: &[u8]) -> PyResult<Read<'py>> {
        let Path::Direct(connection) = &self.path else {
            self.keep(py, incoming)?;
            return self.read_through_memory(py);
        };
        let (data, ended) = connection.decrypt(py, incoming)?;
        let end = match ended {
            Ended::Starved => End::Starved,
            Ended::Full => End::More,
            Ended::Otherwise => self.ask_why(py),
        };
        Ok(Read { data, end })
    }

    /// The object knows why there is nothing to read: OpenSSL keeps its errors until somebody fetches them.
    #[cold]
    fn ask_why(&self, py: Python<'_>) -> End {
        match self.object(py).call_method1(intern!(py, "read"), (1,)) {
            Ok(data) if matches!(data.len(), Ok(0)) => End::Closed,
            Ok(_) => End::Failed(unknown_error(py)),
            Err(error) => end_of(py, error),
        }
    }

    #[cold]
    fn read_through_memory<'py>(&self, py: Python<'py>) -> PyResult<Read<'py>> {
        let mut parts = Vec::new();
        let mut length = 0;
        let end = loop {
            if length >= READ_BYTES_MAX {
                break End::More;
            }
            match self.object(py).call_method1(intern!(py, "read"), (READ_BYTES_MAX,)) {
                Ok(data) => {
                    let data = data.cast_into::<PyBytes>()?;
                    if data.as_bytes().is_empty() {
                        break End::Closed;
                    }
                    length += data.as_bytes().len();
                    parts.push(data);
                }
                Err(error) => break end_of(py, error),
            }
        };
        let data = match parts.len() {
            0 | 1 => parts.pop(),
            _ => {
                let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
                Some(PyBytes::new(py, &parts.concat()))
            }
        };
        Ok(Read { data, end })
    }

    /// Encrypts `plain`, which is not empty, or the first part of it.
    #[inline]
    pub fn write(&self, py: Python<'_>, plain: &[u8]) -> Written {
        match &self.path {
            Path::Direct(connection) => match connection.encrypt(py, plain) {
                Encrypted::Bytes(length) => Written::Bytes(length),
                Encrypted::Starved => Written::Starved,
                Encrypted::Failed => match self.ask_why(py) {
                    End::Failed(error) => Written::Failed(error),
                    _ => Written::Failed(unknown_error(py)),
                },
            },
            Path::Memory { .. } => {
                let bytes = PyBytes::new(py, plain);
                let written = self.object(py).call_method1(intern!(py, "write"), (bytes,));
                match written.and_then(|written| written.extract::<usize>()) {
                    Ok(length) => Written::Bytes(length),
                    Err(error) if wants_more(py, &error) => Written::Starved,
                    Err(error) => Written::Failed(error),
                }
            }
        }
    }

    /// Goes on with the handshake.
    pub fn handshake(&self, py: Python<'_>) -> PyResult<Step> {
        self.step(py, self.object(py).call_method0(intern!(py, "do_handshake")))
    }

    /// Says that nothing more will be sent, and waits for the peer to say so. What it still sends is thrown away.
    pub fn shut_down(&self, py: Python<'_>) -> PyResult<Step> {
        while let Read { data: Some(_), end: End::More | End::Starved } = self.read(py, &[])? {}
        self.step(py, self.object(py).call_method0(intern!(py, "unwrap")))
    }

    fn step(&self, py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) -> PyResult<Step> {
        match outcome {
            Ok(_) => Ok(Step::Done),
            Err(error) if wants_more(py, &error) => Ok(Step::Starved),
            Err(error) if leaves_the_loop(py, &error) => Err(error),
            Err(error) => Ok(Step::Failed(error)),
        }
    }

    /// Shows everything to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)?;
        match &self.path {
            Path::Direct(connection) => visit.call(connection.owner()),
            Path::Memory { incoming, outgoing } => {
                visit.call(incoming)?;
                visit.call(outgoing)
            }
        }
    }
}

/// Whether reading and writing are the standard library's own.
fn reads_itself(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let (class, plain) = (object.get_type(), names::ssl_object_class(py)?);
    for name in [intern!(py, "read"), intern!(py, "write"), intern!(py, "pending")] {
        if !class.getattr(name)?.is(&plain.getattr(name)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn end_of(py: Python<'_>, error: PyErr) -> End {
    if wants_more(py, &error) {
        return End::Starved;
    }
    match names::ssl_zero_return_error(py) {
        Ok(class) if error.is_instance(py, class) => End::Closed,
        _ => End::Failed(error),
    }
}

/// Whether an error says no more than that the peer is waited for.
fn wants_more(py: Python<'_>, error: &PyErr) -> bool {
    let is = |class: PyResult<&Bound<'_, PyAny>>| class.is_ok_and(|class| error.is_instance(py, class));
    is(names::ssl_want_read_error(py)) || is(names::ssl_syscall_error(py))
}

#[cold]
fn unknown_error(py: Python<'_>) -> PyErr {
    match names::ssl_error(py).and_then(|class| class.call1(("unknown error",))) {
        Ok(error) => PyErr::from_value(error),
        Err(_) => PyOSError::new_err("unknown TLS error"),
    }
}
