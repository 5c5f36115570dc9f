//! `EchoFloor`: the echo server that does no more than any has to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use pyo3::prelude::*;
use tideloop_load::{Address, Floor};

use super::{interruptible, lock};
use crate::error::os_error;

/// An echo server on bare epoll, which listens on a port of 127.0.0.1 that the kernel chose.
#[pyclass(frozen, module = "tideloop._native")]
pub struct EchoFloor {
    floor: Mutex<Floor>,
    /// Where it listens.
    #[pyo3(get)]
    port: u16,
}

#[pymethods]
impl EchoFloor {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listen = || -> std::io::Result<_> {
            let floor = Floor::listen(&address)?;
            let port = floor.port()?.unwrap_or_default();
            Ok(Self { floor: Mutex::new(floor), port })
        };
        listen().map_err(|error| os_error(py, &error))
    }

    /// Echo until a signal's handler raises, such as Ctrl+C's.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        interruptible(py, |keep_going| lock(&self.floor).serve(keep_going))?.map_err(|error| os_error(py, &error))
    }
}
