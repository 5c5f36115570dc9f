//! The floor: an echo server with nothing in it but the kernel's own calls. What it needs, every server needs.

use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, getsockname, recv, send};

use crate::address::Address;
use crate::load::KeepGoing;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// Bytes taken from a connection at once, and sent back.
const RECEIVE_BYTES_MAX: usize = 256 << 10;
/// How often the caller is asked whether to go on, when no signal says so earlier, in seconds.
const ASK_SECONDS: i64 = 1;
/// Stands for the listening socket among the numbers of connections.
const LISTENER: u64 = u64::MAX;

/// An echo server on one thread.
pub struct Floor {
    listener: OwnedFd,
    is_tcp: bool,
    epoll: OwnedFd,
    /// By number; a number is used again when its connection is closed.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    received: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    /// What the kernel did not take: until it does, nothing is received.
    unsent: Vec<u8>,
}

impl Floor {
    /// Listen, and let the kernel accept: `serve` does the rest.
    pub fn listen(address: &Address) -> io::Result<Self> {
        let listener = address.listen()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let (connections, free, received) = (Vec::new(), Vec::new(), vec![0; RECEIVE_BYTES_MAX]);
        Ok(Self { listener, is_tcp: matches!(address, Address::Tcp(_)), epoll, connections, free, received })
    }

    /// The port, for TCP.
    pub fn port(&self) -> io::Result<Option<u16>> {
        if !self.is_tcp {
            return Ok(None);
        }
        let address = std::net::SocketAddr::try_from(getsockname(&self.listener)?)?;
        Ok(Some(address.port()))
    }

    /// Echo until `keep_going` says no, which is asked after a signal and every second.
    pub fn serve(&mut self, keep_going: KeepGoing<'_>) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let timeout = Timespec { tv_sec: ASK_SECONDS, tv_nsec: 0 };
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) if !keep_going() => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    number => self.ready(number as usize, event.flags)?,
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => self.add(socket)?,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn add(&mut self, socket: OwnedFd) -> io::Result<()> {
        if self.is_tcp {
            set_tcp_nodelay(&socket, true)?;
        }
        let number = self.free.pop().unwrap_or(self.connections.len());
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        let connection = Some(Connection { socket, unsent: Vec::new() });
        match self.connections.get_mut(number) {
            Some(place) => *place = connection,
            None => self.connections.push(connection),
        }
        Ok(())
    }

    fn ready(&mut self, number: usize, flags: epoll::EventFlags) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return Ok(()) };
        let open = if flags.contains(epoll::EventFlags::OUT) {
            connection.send_rest(&self.epoll, number)
        } else {
            connection.echo(&self.epoll, number, &mut self.received)
        };
        if !open? {
            // Closing takes it out of epoll.
            self.connections[number] = None;
            self.free.push(number);
        }
        Ok(())
    }
}

impl Connection {
    /// Send back what has arrived; whether the connection lives on.
    fn echo(&mut self, epoll: &OwnedFd, number: usize, buffer: &mut [u8]) -> io::Result<bool> {
        let bytes = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Ok(false),
            Ok((bytes, _)) => bytes,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let Some(sent) = self.send(&buffer[..bytes]) else { return Ok(false) };
        if sent < bytes {
            self.unsent.extend_from_slice(&buffer[sent..bytes]);
            self.watch(epoll, number, epoll::EventFlags::OUT)?;
        }
        Ok(true)
    }

    fn send_rest(&mut self, epoll: &OwnedFd, number: usize) -> io::Result<bool> {
        let Some(sent) = self.send(&self.unsent) else { return Ok(false) };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.watch(epoll, number, epoll::EventFlags::IN)?;
        }
        Ok(true)
    }

    /// How many bytes the kernel took; `None` when the connection is lost.
    fn send(&self, bytes: &[u8]) -> Option<usize> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Some(sent),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            Err(_) => None,
        }
    }

    fn watch(&self, epoll: &OwnedFd, number: usize, flags: epoll::EventFlags) -> io::Result<()> {
        Ok(epoll::modify(epoll, &self.socket, epoll::EventData::new_u64(number as u64), flags)?)
    }
}
