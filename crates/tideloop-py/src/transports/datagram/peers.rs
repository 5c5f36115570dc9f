//! The peers heard from of late: their addresses as the Python objects that the protocol is given.
//!
//! Most programs talk to few peers, and most answers go to the sender of what was just received. So its object is made
//! once, and needs no parsing when it comes back as the address to send to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::state::Family;

/// Peers remembered: they are compared one by one, and each costs 40 bytes and its Python object.
const PEERS_MAX: usize = 16;

struct Peer {
    address: SocketAddr,
    shown: Py<PyAny>,
}

/// Peers and their Python objects.
#[derive(Default)]
pub(super) struct Peers {
    known: Vec<Peer>,
    latest: usize,
    /// Whose place is taken next.
    oldest: usize,
}

impl Peers {
    /// The object of an address, if it is known.
    #[inline]
    pub fn shown(&mut self, py: Python<'_>, address: &SocketAddr) -> Option<Py<PyAny>> {
        if let Some(latest) = self.known.get(self.latest)
            && latest.address == *address
        {
            return Some(latest.shown.clone_ref(py));
        }
        let place = self.known.iter().position(|peer| peer.address == *address)?;
        self.latest = place;
        self.known.get(place).map(|peer| peer.shown.clone_ref(py))
    }

    /// Remembers the object of an address that was not known; what had its place.
    #[must_use = "drop it outside of the cell"]
    pub fn remember(&mut self, address: SocketAddr, shown: Py<PyAny>) -> Option<Py<PyAny>> {
        if self.known.len() < PEERS_MAX {
            self.latest = self.known.len();
            self.known.push(Peer { address, shown });
            return None;
        }
        self.latest = self.oldest;
        self.oldest = (self.oldest + 1) % PEERS_MAX;
        let peer = self.known.get_mut(self.latest)?;
        peer.address = address;
        Some(std::mem::replace(&mut peer.shown, shown))
    }

    /// The address that an object stands for, if it is the one that the protocol was given last.
    #[inline]
    pub fn address(&self, shown: &Bound<'_, PyAny>) -> Option<SocketAddr> {
        let latest = self.known.get(self.latest)?;
        latest.shown.is(shown).then_some(latest.address)
    }

    /// Shows the objects to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.known.iter().try_for_each(|peer| visit.call(&peer.shown))
    }
}

/// The address that a Python tuple stands for, if it is written plainly: digits for host and port. Whatever else there
/// is (names, scopes in the host, errors) is left to Python's `socket`.
pub(super) fn parse(address: &Bound<'_, PyAny>, family: Family) -> Option<SocketAddr> {
    let parts = address.cast_exact::<PyTuple>().ok()?.as_slice();
    let host = parts.first()?.cast_exact::<PyString>().ok()?.to_str().ok()?;
    let port: u16 = parts.get(1)?.extract().ok()?;
    match (family, parts.get(2..)?) {
        (Family::V4, []) => Some(SocketAddrV4::new(host.parse::<Ipv4Addr>().ok()?, port).into()),
        (Family::V6, rest @ ([] | [_] | [_, _])) => {
            let host: Ipv6Addr = host.parse().ok()?;
            let mut numbers = rest.iter().map(|part| part.extract::<u32>().ok());
            let flow = numbers.next().unwrap_or(Some(0)).filter(|flow| *flow < 1 << 20)?;
            let scope = numbers.next().unwrap_or(Some(0))?;
            Some(SocketAddrV6::new(host, port, flow, scope).into())
        }
        _ => None,
    }
}
