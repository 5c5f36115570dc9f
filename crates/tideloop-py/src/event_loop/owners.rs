//! Transports own their descriptors, also while the poller does not watch those: nobody else may wait there.

use std::os::fd::RawFd;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::EventLoop;
use super::io::IoTarget;
use crate::transports::{DatagramTransport, SocketTransport};

/// Who has a descriptor.
enum Owner {
    Socket(Py<SocketTransport>),
    Datagram(Py<DatagramTransport>),
    Unwatched(Py<PyWeakrefReference>),
}

impl EventLoop {
    /// Notes that the transport owns the descriptor though it is not registered: it has not begun to read, or is
    /// paused. Only a weak reference is kept: one that is paused and forgotten is found out by the collector.
    pub fn note_unwatched(&self, fd: RawFd, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let reference = PyWeakrefReference::new(transport)?.unbind();
        drop(self.with_state(transport.py(), |state| state.unwatched.insert(fd, reference)));
        Ok(())
    }

    /// `RuntimeError` where a transport owns the descriptor.
    pub fn check_no_transport(&self, py: Python<'_>, fd: RawFd) -> PyResult<()> {
        let owner = self.with_state(py, |state| {
            let Some(token) = state.by_fd.get(&fd) else {
                return state.unwatched.get(&fd).map(|reference| Owner::Unwatched(reference.clone_ref(py)));
            };
            match &state.registrations.get(*token)?.target {
                IoTarget::Socket(transport) => Some(Owner::Socket(transport.clone_ref(py))),
                IoTarget::Datagram(transport) => Some(Owner::Datagram(transport.clone_ref(py))),
                _ => None,
            }
        });
        let transport = match owner {
            Some(Owner::Socket(transport)) if !transport.get().is_closing(py) => transport.into_any().into_bound(py),
            Some(Owner::Datagram(transport)) if !transport.get().is_closing(py) => transport.into_any().into_bound(py),
            Some(Owner::Unwatched(reference)) => match reference.bind(py).upgrade() {
                Some(transport) if !transport.call_method0(intern!(py, "is_closing"))?.is_truthy()? => transport,
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        let shown = transport.repr()?;
        Err(PyRuntimeError::new_err(format!("File descriptor {fd} is used by transport {shown}")))
    }
}
