//! `get_extra_info`: what is asked for rarely, and so made only then.
//!
//! An accepted connection has no Python socket object until somebody wants one; from then on that object owns the
//! descriptor, so that there never are two owners. Everything is still answered after the transport has closed.

use std::os::fd::{AsRawFd, IntoRawFd};

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tideloop_sys::socket;

use super::SocketTransport;
use super::address::Address;
use crate::cell::Slot;
use crate::names;

impl SocketTransport {
    /// `get_extra_info()`.
    pub(super) fn extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let extra = slf.get().state.with(py, |state| state.rare.as_ref()?.extra.cloned(py));
        if let Some(extra) = extra
            && let Some(value) = extra.bind(py).get_item(name)?
        {
            return Ok(value);
        }
        let computed = match name.extract::<&str>() {
            Ok("socket") => Some(Self::transport_socket(slf)?),
            Ok("peername") => Some(Self::peer_name(slf)?),
            Ok("sockname") => Some(Self::socket_name(slf)?),
            _ => None,
        };
        Ok(computed.or_else(|| default.cloned()).unwrap_or_else(|| py.None().into_bound(py)))
    }

    /// `_extra`: the same as a dictionary.
    pub(super) fn extra_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let kept = slf.get().state.with(py, |state| state.rare.as_ref()?.extra.cloned(py));
        let extra = kept.map_or_else(|| PyDict::new(py), |extra| extra.into_bound(py));
        for name in ["socket", "sockname", "peername"] {
            if !extra.contains(name)? {
                let value = Self::extra_info(slf, name.into_pyobject(py)?.as_any(), None)?;
                extra.set_item(name, value)?;
            }
        }
        let kept = extra.clone().unbind();
        drop(slf.get().state.with(py, |state| state.rare_mut().extra.replace(Some(kept))));
        Ok(extra)
    }

    /// The `asyncio.trsock.TransportSocket`, always the same.
    fn transport_socket<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(wrapper) = slf.get().state.with(py, |state| state.rare.as_ref()?.wrapper.cloned(py)) {
            return Ok(wrapper.into_bound(py));
        }
        let wrapper = names::transport_socket(py)?.call1((Self::python_socket(slf)?,))?;
        let kept = wrapper.clone().unbind();
        drop(slf.get().state.with(py, |state| state.rare_mut().wrapper.replace(Some(kept))));
        Ok(wrapper)
    }

    /// The `socket.socket` object. Where there is none yet one is made, and becomes the owner of the descriptor; for
    /// a transport that has closed it is a closed one.
    pub(super) fn python_socket<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(made) = slf.get().state.with(py, |state| state.rare.as_ref()?.socket.cloned(py)) {
            return Ok(made.into_bound(py));
        }
        let owned = slf.get().state.with(py, |state| state.owned.take());
        let made = match owned {
            None => closed_socket(py)?,
            Some(fd) => {
                let keywords = PyDict::new(py);
                keywords.set_item(intern!(py, "fileno"), fd.as_raw_fd())?;
                match names::socket_class(py)?.call((), Some(&keywords)) {
                    Ok(made) => {
                        // The object has the number now, and closes it.
                        let _ = fd.into_raw_fd();
                        made
                    }
                    Err(error) => {
                        slf.get().state.with(py, |state| state.owned = Some(fd));
                        return Err(error);
                    }
                }
            }
        };
        let kept = made.clone().unbind();
        drop(slf.get().state.with(py, |state| state.rare_mut().socket.replace(Some(kept))));
        made.call_method1(intern!(py, "setblocking"), (false,)).or_else(|error| ignore_os_error(py, error))?;
        Ok(made)
    }

    fn peer_name<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (peer, open) = slf.get().state.with(py, |state| (state.peer.clone(), state.is_open()));
        if peer.is_known() || !open { peer.to_python(py) } else { Self::asked_of_socket(slf, "getpeername") }
    }

    fn socket_name<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (kept, fd, open) = slf.get().state.with(py, |state| {
            let kept = state.rare.as_ref().map_or(Address::Unknown, |rare| rare.local.clone());
            (kept, state.fd, state.is_open())
        });
        if kept.is_known() || !open {
            return kept.to_python(py);
        }
        match socket::local_name(fd).map(Address::from) {
            Ok(local) if local.is_known() => local.to_python(py),
            Ok(_) => Self::asked_of_socket(slf, "getsockname"),
            Err(_) => Ok(py.None().into_bound(py)),
        }
    }

    /// For families whose addresses only Python's `socket` knows how to show; None if there is no address.
    fn asked_of_socket<'py>(slf: &Bound<'py, Self>, method: &str) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        Self::python_socket(slf)?.call_method0(method).or_else(|error| ignore_os_error(py, error))
    }

    /// Takes over a socket object that the caller has connected: it stays the owner of its descriptor. Its addresses
    /// are looked up now, because a connection that was reset has none any more. Whether it is an IP socket.
    pub(super) fn take_socket(
        slf: &Bound<'_, Self>,
        sock: &Bound<'_, PyAny>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<bool> {
        let py = slf.py();
        let fd: i32 = sock.call_method0(intern!(py, "fileno"))?.extract()?;
        let local = Address::from(socket::local_name(fd).ok().flatten());
        let peer = Address::from(socket::peer_name(fd).ok().flatten());
        let is_ip = local.is_ip();
        let extra = match (extra, local.is_known()) {
            (Some(extra), true) => Some(extra.clone()),
            (None, true) => None,
            (extra, false) => {
                let extra = extra.map_or_else(|| PyDict::new(py), Clone::clone);
                for (name, method) in [("sockname", "getsockname"), ("peername", "getpeername")] {
                    if !extra.contains(name)? {
                        let value = sock.call_method0(method).or_else(|error| ignore_os_error(py, error))?;
                        extra.set_item(name, value)?;
                    }
                }
                Some(extra)
            }
        };
        let (sock, extra) = (sock.clone().unbind(), extra.map(Bound::unbind));
        slf.get().state.with(py, |state| {
            state.fd = fd;
            state.peer = peer;
            let rare = state.rare_mut();
            rare.local = local;
            rare.extra = Slot::maybe(extra);
            rare.socket = Slot::holding(sock);
        });
        Ok(is_ip)
    }
}

fn closed_socket(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let made = names::socket_class(py)?.call0()?;
    made.call_method0(intern!(py, "close"))?;
    Ok(made)
}

fn ignore_os_error(py: Python<'_>, error: PyErr) -> PyResult<Bound<'_, PyAny>> {
    if error.is_instance_of::<PyOSError>(py) { Ok(py.None().into_bound(py)) } else { Err(error) }
}
