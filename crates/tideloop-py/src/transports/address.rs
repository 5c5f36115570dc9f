//! Addresses, kept compactly until somebody asks for the Python object.

use std::ffi::OsStr;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use tideloop_sys::socket::Name;

/// A socket's name: 8 bytes inline for IPv4, which most are.
#[derive(Clone, Default)]
pub(super) enum Address {
    /// Not known, or of a family whose names only Python's `socket` knows how to show.
    #[default]
    Unknown,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    /// A Unix socket that was not bound, as the clients' mostly are.
    Unnamed,
    Unix(Box<UnixName>),
}

/// The path of a Unix socket, or a zero byte and an abstract name.
#[derive(Clone)]
pub(super) struct UnixName(Vec<u8>);

impl Address {
    /// Whether it is known.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }

    /// Whether it is known, and an IP address.
    pub fn is_ip(&self) -> bool {
        matches!(self, Self::V4(_) | Self::V6(_))
    }

    /// As Python's `socket` shows it: `(host, port)`, `(host, port, flowinfo, scope_id)`, a path, or the bytes of an
    /// abstract name; None where it is not known.
    pub fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Unknown => Ok(py.None().into_bound(py)),
            Self::V4(address) => Ok((address.ip().to_string(), address.port()).into_pyobject(py)?.into_any()),
            Self::V6(address) => {
                let host = ipv6_text(address.ip());
                Ok((host, address.port(), address.flowinfo(), address.scope_id()).into_pyobject(py)?.into_any())
            }
            Self::Unnamed => Ok(PyString::new(py, "").into_any()),
            Self::Unix(name) if name.0.starts_with(b"\0") => Ok(PyBytes::new(py, &name.0).into_any()),
            Self::Unix(name) => Ok(OsStr::from_bytes(&name.0).into_pyobject(py)?.into_any()),
        }
    }
}

impl From<Option<Name>> for Address {
    fn from(name: Option<Name>) -> Self {
        match name {
            None => Self::Unknown,
            Some(Name::Ip(SocketAddr::V4(address))) => Self::V4(address),
            Some(Name::Ip(SocketAddr::V6(address))) => Self::V6(Box::new(address)),
            Some(Name::Unix(path)) if path.is_empty() => Self::Unnamed,
            Some(Name::Unix(path)) => Self::Unix(Box::new(UnixName(path))),
        }
    }
}

/// As the C library writes it. Rust writes `::7f00:1` where `inet_ntop` writes `::127.0.0.1` (an IPv4 address in the
/// form that RFC 4291 deprecates); for all other addresses they agree.
fn ipv6_text(address: &Ipv6Addr) -> String {
    match (address.segments(), address.to_ipv4()) {
        ([0, 0, 0, 0, 0, 0, high, _], Some(embedded)) if high != 0 => format!("::{embedded}"),
        _ => address.to_string(),
    }
}
