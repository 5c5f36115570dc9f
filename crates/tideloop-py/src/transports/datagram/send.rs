//! Datagrams out: each goes to the kernel at once. One that the kernel refuses for now is queued, and everything after
//! it behind it, until it takes them.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use tideloop_sys::{datagram, socket};

use super::DatagramTransport;
use super::peers;
use super::state::{Family, Queued, Target};
use crate::error::os_error;
use crate::transports::flow::tell_flow;
use crate::transports::report::warn_of_lost_write;
use crate::transports::write::copied;

const WRITE_FAILED: &str = "Fatal write error on datagram transport";

/// What came of one datagram.
enum Outcome {
    Sent,
    /// The kernel takes nothing now.
    Refused,
    /// For the protocol.
    Failed(PyErr),
    /// Nothing that has to do with the network: the end of the transport.
    Broken(PyErr),
}

/// What the transport is like at the moment of a `sendto()`.
struct Situation {
    fd: RawFd,
    family: Family,
    conn_lost: u32,
    gone: bool,
    has_remote: bool,
    connected: bool,
    has_peer: bool,
    remote_ip: Option<SocketAddr>,
    /// The address of the call, where it is the sender of the latest datagram.
    recent: Option<SocketAddr>,
    queues: bool,
}

impl DatagramTransport {
    /// `sendto()`.
    pub(super) fn send(
        slf: &Bound<'_, Self>,
        data: &Bound<'_, PyAny>,
        addr: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let data = datagram_bytes(data)?;
        if cfg!(not(Py_3_13)) && data.is_empty() {
            return Ok(());
        }
        let now = slf.get().state.with(py, |state| Situation {
            fd: state.fd,
            family: state.family,
            conn_lost: state.conn_lost,
            gone: state.gone,
            has_remote: state.remote.is_some(),
            connected: state.connected,
            has_peer: state.has_peer,
            remote_ip: state.remote_ip,
            recent: addr.and_then(|addr| state.peers.address(addr)),
            queues: !state.queue.is_empty(),
        });
        if now.has_remote
            && let Some(addr) = addr
        {
            Self::check_address(slf, addr)?;
        }
        // As on asyncio, an endpoint that may send to anybody sends until its socket is closed.
        if now.gone || (now.conn_lost > 0 && now.has_remote) {
            return Self::drop_datagram(slf);
        }
        let target = Self::target(slf, &now, addr);
        if !now.queues {
            match Self::try_send(slf, now.fd, &data, &target) {
                Outcome::Sent => return Ok(()),
                Outcome::Refused => {}
                Outcome::Failed(error) => return Self::error_received(slf, error),
                Outcome::Broken(error) => return Self::fail_unless_leaving(slf, error, WRITE_FAILED),
            }
        }
        slf.get().state.with(py, |state| state.queue(Queued { data, target }));
        Self::sync_interest(slf)?;
        Self::pause_protocol_above_high(slf)
    }

    /// `ValueError` for any other address than the remote one.
    fn check_address(slf: &Bound<'_, Self>, addr: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let Some(remote) = slf.get().state.with(py, |state| state.remote.cloned(py)) else { return Ok(()) };
        let remote = remote.bind(py);
        if remote.is(addr) || addr.eq(remote)? {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("Invalid address: must be None or {}", remote.str()?)))
    }

    #[cold]
    fn drop_datagram(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let before = slf.get().state.with(py, |state| {
            let before = state.conn_lost;
            state.conn_lost = before.saturating_add(1);
            before
        });
        warn_of_lost_write(py, before, "socket.send() raised exception.")
    }

    #[inline]
    fn target(slf: &Bound<'_, Self>, now: &Situation, addr: Option<&Bound<'_, PyAny>>) -> Target {
        let py = slf.py();
        if now.connected {
            return Target::Connected;
        }
        if now.has_remote {
            let remote = || slf.get().state.with(py, |state| state.remote.cloned(py)).unwrap_or_else(|| py.None());
            return now.remote_ip.map_or_else(|| Target::Named(remote()), Target::Ip);
        }
        let Some(addr) = addr else {
            // One end of a pair has a peer without a name; asyncio refuses to send to it, uvloop does not.
            return if now.has_peer { Target::Connected } else { Target::Named(py.None()) };
        };
        let address = now.recent.or_else(|| peers::parse(addr, now.family));
        address.map_or_else(|| Target::Named(addr.clone().unbind()), Target::Ip)
    }

    #[inline]
    fn try_send(slf: &Bound<'_, Self>, fd: RawFd, data: &PyBackedBytes, target: &Target) -> Outcome {
        let py = slf.py();
        let sent = match target {
            Target::Connected => socket::send(fd, data).map(drop),
            Target::Ip(address) => datagram::send_to(fd, data, address),
            Target::Named(address) => return Self::send_by_python(slf, data, address.bind(py)),
        };
        match sent {
            Ok(()) => Outcome::Sent,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Outcome::Refused,
            Err(error) => Outcome::Failed(os_error(py, &error)),
        }
    }

    /// For addresses that only Python's `socket` understands.
    #[cold]
    fn send_by_python(slf: &Bound<'_, Self>, data: &PyBackedBytes, address: &Bound<'_, PyAny>) -> Outcome {
        let py = slf.py();
        let Some(socket) = slf.get().state.with(py, |state| state.socket.cloned(py)) else { return Outcome::Sent };
        match socket.bind(py).call_method1(intern!(py, "sendto"), (data, address)) {
            Ok(_) => Outcome::Sent,
            Err(error)
                if error.is_instance_of::<PyBlockingIOError>(py) || error.is_instance_of::<PyInterruptedError>(py) =>
            {
                Outcome::Refused
            }
            Err(error) if error.is_instance_of::<PyOSError>(py) => Outcome::Failed(error),
            Err(error) => Outcome::Broken(error),
        }
    }

    /// The kernel takes datagrams again.
    #[cold]
    pub(super) fn send_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().state.with(py, |state| state.blocked) {
            return Ok(());
        }
        while let Some((fd, queued)) = slf.get().state.with(py, |state| Some((state.fd, state.unqueue()?))) {
            match Self::try_send(slf, fd, &queued.data, &queued.target) {
                Outcome::Sent => {}
                Outcome::Refused => {
                    slf.get().state.with(py, |state| state.requeue(queued));
                    break;
                }
                // The rest goes out in the next turn, for which the descriptor is still watched.
                Outcome::Failed(error) => return Self::error_received(slf, error),
                Outcome::Broken(error) => return Self::fail_unless_leaving(slf, error, WRITE_FAILED),
            }
        }
        Self::resume_protocol_below_low(slf)?;
        // resume_writing() may have sent more.
        let lost = slf.get().state.with(py, |state| {
            state.blocked = !state.queue.is_empty();
            let lost = state.closing && !state.blocked && state.conn_lost == 0;
            state.conn_lost += u32::from(lost);
            lost
        });
        Self::sync_interest(slf)?;
        if lost { Self::end_after_drain(slf) } else { Ok(()) }
    }

    /// `connection_lost` right here, as asyncio has it when a closing transport has sent its last datagram.
    fn end_after_drain(slf: &Bound<'_, Self>) -> PyResult<()> {
        let none = slf.py().None();
        Self::connection_lost(slf, none.bind(slf.py()))
    }

    /// Tells the protocol of an error that does not end the transport.
    #[cold]
    pub(super) fn error_received(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        match slf.get().state.with(py, |state| state.protocol.cloned(py)) {
            Some(protocol) => protocol.bind(py).call_method1(intern!(py, "error_received"), (error,)).map(drop),
            None => Ok(()),
        }
    }

    /// Pauses the protocol where the queue is above the high mark.
    pub(super) fn pause_protocol_above_high(slf: &Bound<'_, Self>) -> PyResult<()> {
        let pause = slf.get().state.with(slf.py(), |state| {
            let pause = !state.protocol_paused && state.marks.is_above_high(state.queued_bytes);
            state.protocol_paused |= pause;
            pause
        });
        if pause { Self::tell_protocol(slf, "pause_writing") } else { Ok(()) }
    }

    fn resume_protocol_below_low(slf: &Bound<'_, Self>) -> PyResult<()> {
        let resume = slf.get().state.with(slf.py(), |state| {
            let resume = state.protocol_paused && state.marks.is_at_or_below_low(state.queued_bytes);
            state.protocol_paused &= !resume;
            resume
        });
        if resume { Self::tell_protocol(slf, "resume_writing") } else { Ok(()) }
    }

    #[cold]
    fn tell_protocol(slf: &Bound<'_, Self>, method: &str) -> PyResult<()> {
        let py = slf.py();
        let (protocol, event_loop, context) = slf
            .get()
            .state
            .with(py, |state| (state.protocol.cloned(py), state.event_loop.cloned(py), state.context.cloned(py)));
        let (Some(protocol), Some(event_loop)) = (protocol, event_loop) else { return Ok(()) };
        let subjects = [("transport", slf.as_any()), ("protocol", protocol.bind(py))];
        tell_flow(event_loop.bind(py), protocol.bind(py), context.as_ref(), method, &subjects)
    }
}

/// The bytes of a datagram: `bytes` by reference, what can change as a copy.
#[inline]
fn datagram_bytes(data: &Bound<'_, PyAny>) -> PyResult<PyBackedBytes> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(PyBackedBytes::from(bytes.clone()));
    }
    if let Ok(array) = data.cast::<PyByteArray>() {
        return Ok(PyBackedBytes::from(array.clone()));
    }
    if data.cast::<PyMemoryView>().is_ok() {
        return copied(data);
    }
    let class = data.get_type().name()?;
    Err(PyTypeError::new_err(format!("data argument must be a bytes-like object, not '{class}'")))
}
