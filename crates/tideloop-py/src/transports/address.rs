//! Addresses, kept compactly until somebody asks for the Python tuple.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use pyo3::prelude::*;

/// A peer's address: 8 bytes inline for IPv4, which most are.
#[derive(Default)]
pub(super) enum Address {
    /// Not known, or of a family without such addresses.
    #[default]
    Unknown,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Address {
    /// The address, if it is known.
    pub fn known(&self) -> Option<SocketAddr> {
        match self {
            Self::Unknown => None,
            Self::V4(address) => Some(SocketAddr::V4(*address)),
            Self::V6(address) => Some(SocketAddr::V6(**address)),
        }
    }
}

impl From<Option<SocketAddr>> for Address {
    fn from(address: Option<SocketAddr>) -> Self {
        match address {
            None => Self::Unknown,
            Some(SocketAddr::V4(address)) => Self::V4(address),
            Some(SocketAddr::V6(address)) => Self::V6(Box::new(address)),
        }
    }
}

/// `(host, port)`, or `(host, port, flowinfo, scope_id)` for IPv6.
pub(super) fn to_python(py: Python<'_>, address: SocketAddr) -> PyResult<Bound<'_, PyAny>> {
    match address {
        SocketAddr::V4(address) => Ok((address.ip().to_string(), address.port()).into_pyobject(py)?.into_any()),
        SocketAddr::V6(address) => {
            let host = ipv6_text(address.ip());
            Ok((host, address.port(), address.flowinfo(), address.scope_id()).into_pyobject(py)?.into_any())
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
