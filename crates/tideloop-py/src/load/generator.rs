//! `LoadGenerator`: many connections to a server under test, and the check of every byte that it answers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::{PyConnectionResetError, PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use tideloop_load::{Address, Failure, Load, Pace, Plan, Reply};

use super::{interruptible, lock};
use crate::error::os_error;

/// What a slice did: operations, nanoseconds, and latencies as pairs of nanoseconds and how many took so long.
type Slice = (u64, u64, Vec<(u64, u64)>);

/// Connections to one server, opened and tried when this is made.
#[pyclass(frozen, module = "tideloop._native")]
pub struct LoadGenerator(Mutex<Option<Load>>);

#[pymethods]
impl LoadGenerator {
    /// `address` is (host, port), with the host in figures, or the path of a Unix socket. See loads.py for the rest.
    #[new]
    #[pyo3(signature = (address, request, reply, *, http, datagrams, connections, talking, pipeline, silence))]
    #[expect(clippy::too_many_arguments, reason = "called in one place, where all of them are at hand")]
    fn new(
        py: Python<'_>,
        address: &Bound<'_, PyAny>,
        request: Vec<u8>,
        reply: Vec<u8>,
        http: bool,
        datagrams: bool,
        connections: usize,
        talking: usize,
        pipeline: usize,
        silence: f64,
    ) -> PyResult<Self> {
        let address = self::address(address, datagrams)?;
        let reply = if http { Reply::Http(reply.into()) } else { Reply::Exact(reply.into()) };
        let silence_max = duration(silence)?;
        let plan = Plan { connections, talking, pipeline, request, reply, silence_max };
        let load = interruptible(py, |keep_going| Load::open(&address, &plan, keep_going))?;
        Ok(Self(Mutex::new(Some(load.map_err(|failure| error(py, &failure))?))))
    }

    /// Talk for so many seconds and wait for the last reply; with `rate`, that many requests per second.
    #[pyo3(signature = (seconds, rate = None))]
    fn slice(&self, py: Python<'_>, seconds: f64, rate: Option<f64>) -> PyResult<Slice> {
        let seconds = duration(seconds)?;
        let pace = rate.map_or(Pace::Closed(seconds), |rate| Pace::Open(seconds, rate));
        let result = interruptible(py, |keep_going| match &mut *lock(&self.0) {
            Some(load) => load.slice(pace, keep_going),
            None => Err(Failure::Plan("the load is closed")),
        })?;
        let slice = result.map_err(|failure| error(py, &failure))?;
        Ok((slice.operations, slice.elapsed.as_nanos() as u64, slice.latency.buckets().collect()))
    }

    /// Close all connections.
    fn close(&self, py: Python<'_>) {
        py.detach(|| *lock(&self.0) = None);
    }
}

fn address(address: &Bound<'_, PyAny>, datagrams: bool) -> PyResult<Address> {
    if let Ok((host, port)) = address.extract::<(String, u16)>() {
        let host: IpAddr = host.parse().map_err(|_| PyValueError::new_err(format!("no IP address: {host}")))?;
        let address = SocketAddr::from((host, port));
        return Ok(if datagrams { Address::Udp(address) } else { Address::Tcp(address) });
    }
    if datagrams {
        return Err(PyTypeError::new_err("datagrams go to a host and a port"));
    }
    Ok(Address::Unix(address.extract::<PathBuf>()?))
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn error(py: Python<'_>, failure: &Failure) -> PyErr {
    match failure {
        Failure::System(_, error) => os_error(py, error),
        Failure::Wrong(..) | Failure::Plan(_) | Failure::Stopped => PyValueError::new_err(failure.to_string()),
        Failure::Closed(_) => PyConnectionResetError::new_err(failure.to_string()),
        Failure::Silent(..) => PyTimeoutError::new_err(failure.to_string()),
    }
}
