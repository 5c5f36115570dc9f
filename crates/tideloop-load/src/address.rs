//! Where a server listens, and how to get there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

/// Connections from one source address to one server: there are 28,232 ports for them as systems come.
const CONNECTIONS_PER_SOURCE: usize = 20_000;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A stream socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// A non-blocking socket that is connected to it, the `number`th one of its load.
    pub(crate) fn connect(&self, number: usize) -> io::Result<OwnedFd> {
        let socket = self.socket()?;
        match self {
            Self::Tcp(address) => {
                if let Some(source) = source(*address, number) {
                    set_socket_reuseaddr(&socket, true)?;
                    bind(&socket, &source)?;
                }
                connect(&socket, address)?;
                set_tcp_nodelay(&socket, true)?;
            }
            Self::Udp(address) => connect(&socket, address)?,
            Self::Unix(path) => connect(&socket, &SocketAddrUnix::new(path.as_path())?)?,
        }
        ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    /// A non-blocking socket that listens there.
    pub(crate) fn listen(&self) -> io::Result<OwnedFd> {
        let socket = self.socket()?;
        match self {
            Self::Tcp(address) => {
                set_socket_reuseaddr(&socket, true)?;
                bind(&socket, address)?;
            }
            Self::Udp(_) => return Err(io::Error::new(io::ErrorKind::Unsupported, "the floor serves streams alone")),
            Self::Unix(path) => bind(&socket, &SocketAddrUnix::new(path.as_path())?)?,
        }
        listen(&socket, BACKLOG)?;
        ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    fn socket(&self) -> io::Result<OwnedFd> {
        let (family, kind) = match self {
            Self::Tcp(address) => (AddressFamily::of_ip(*address), SocketType::STREAM),
            Self::Udp(address) => (AddressFamily::of_ip(*address), SocketType::DGRAM),
            Self::Unix(_) => (AddressFamily::UNIX, SocketType::STREAM),
        };
        Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
    }
}

trait OfIp {
    fn of_ip(address: SocketAddr) -> Self;
}

impl OfIp for AddressFamily {
    fn of_ip(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::INET } else { Self::INET6 }
    }
}

/// Whence to connect, when the usual address may have no port left. All of 127/8 is this machine; a server's port is in
/// the address, because a bound port is taken for all servers alike.
fn source(server: SocketAddr, number: usize) -> Option<SocketAddr> {
    let more = u8::try_from(number / CONNECTIONS_PER_SOURCE).unwrap_or(u8::MAX);
    let [high, low] = server.port().to_be_bytes();
    let loopback = matches!(server.ip(), IpAddr::V4(address) if address.is_loopback());
    (more > 0 && loopback).then(|| SocketAddr::from((Ipv4Addr::new(127, high, low, more), 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_comes_from_its_source() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for number in [0, CONNECTIONS_PER_SOURCE] {
            let _connection = Address::Tcp(address).connect(number).unwrap();
            let (_, from) = listener.accept().unwrap();
            let expected = source(address, number).unwrap_or(address);
            assert_eq!(from.ip(), expected.ip());
        }
    }

    #[test]
    fn only_connections_beyond_the_first_thousands_have_a_source_of_their_own() {
        let server = SocketAddr::from(([127, 0, 0, 1], 0x1234));
        assert_eq!(source(server, 0), None);
        assert_eq!(source(server, CONNECTIONS_PER_SOURCE - 1), None);
        assert_eq!(source(server, CONNECTIONS_PER_SOURCE), Some(SocketAddr::from(([127, 0x12, 0x34, 1], 0))));
        assert_eq!(source(SocketAddr::from(([10, 0, 0, 1], 1)), CONNECTIONS_PER_SOURCE), None);
    }
}
