//! Datagrams: many received in one system call, each with its sender, and one sent to an address.
//!
//! As with `socket.rs`, nothing here blocks if the socket is non-blocking, and nothing retries.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use rustix::net::{self, RecvFlags};

use crate::fd::borrow;
use crate::socket::{Name, SEND_FLAGS, name};

#[cfg(target_os = "linux")]
pub use batch::Batch;
#[cfg(not(target_os = "linux"))]
pub use single::Batch;

/// Datagrams that one [`Batch`] takes at most: where more wait, the call's own cost no longer matters.
pub const BATCH_MAX: usize = 16;
/// Bytes that each of them has room for: no datagram of IPv4 or IPv6 is larger, jumbograms apart.
pub const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Receive one datagram into `buf`; what does not fit is lost. How long it was, and whose: `None` if the sender has no
/// name.
///
/// # Errors
/// EAGAIN when none has come; what an earlier datagram met with, such as ECONNREFUSED.
pub fn receive_one(fd: RawFd, buf: &mut [u8]) -> io::Result<(usize, Option<Name>)> {
    let (length, _, sender) = net::recvfrom(borrow(fd)?, buf, RecvFlags::empty())?;
    Ok((length, sender.and_then(name)))
}

/// Send one datagram.
///
/// # Errors
/// EAGAIN when the kernel takes nothing now; EMSGSIZE when it is too large; EISCONN, ENETUNREACH, EACCES and others.
pub fn send_to(fd: RawFd, buf: &[u8], address: &SocketAddr) -> io::Result<()> {
    net::sendto(borrow(fd)?, buf, SEND_FLAGS, address)?;
    Ok(())
}

/// Where the system can receive many datagrams at once.
#[cfg(target_os = "linux")]
mod batch {
    use std::mem::{size_of, zeroed};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
    use std::ptr;

    use super::{BATCH_MAX, DATAGRAM_BYTES_MAX, RawFd, SocketAddr, io};

    /// What a call to the kernel is described with: the arrays point at each other.
    struct Headers {
        headers: [libc::mmsghdr; BATCH_MAX],
        slices: [libc::iovec; BATCH_MAX],
        senders: [libc::sockaddr_in6; BATCH_MAX],
    }

    /// Memory for datagrams of IPv4 and IPv6. It is given out by the system page by page, as datagrams fill it.
    pub struct Batch {
        /// Never moved: `headers` points into it.
        memory: Box<[u8]>,
        headers: Box<Headers>,
    }

    // SAFETY: the pointers inside lead to memory that the value owns.
    unsafe impl Send for Batch {}
    // SAFETY: as above; a shared reference only reads.
    unsafe impl Sync for Batch {}

    impl Default for Batch {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Batch {
        /// Memory without datagrams.
        #[must_use]
        pub fn new() -> Self {
            let mut memory = vec![0; BATCH_MAX * DATAGRAM_BYTES_MAX].into_boxed_slice();
            // SAFETY: plain structures of numbers and pointers, for which zero is a value.
            let mut headers: Box<Headers> = Box::new(unsafe { zeroed() });
            let Headers { headers: messages, slices, senders } = &mut *headers;
            let places = memory.chunks_exact_mut(DATAGRAM_BYTES_MAX);
            for (((message, slice), sender), place) in messages.iter_mut().zip(slices).zip(senders).zip(places) {
                slice.iov_base = place.as_mut_ptr().cast();
                slice.iov_len = place.len();
                message.msg_hdr.msg_iov = ptr::from_mut(slice);
                message.msg_hdr.msg_iovlen = 1;
                message.msg_hdr.msg_name = ptr::from_mut(sender).cast();
                message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
            Self { memory, headers }
        }

        /// Receive what waits, at most [`BATCH_MAX`] datagrams; how many there were. Those received before are gone.
        ///
        /// # Errors
        /// EAGAIN when none has come; what an earlier datagram met with, such as ECONNREFUSED.
        pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
            let headers = self.headers.headers.as_mut_ptr();
            let count =
                // SAFETY: as many headers as are said to be there, each with the memory that it names, all owned by
                // `self` and used by nobody else during the call.
                unsafe { libc::recvmmsg(fd, headers, BATCH_MAX as u32, libc::MSG_DONTWAIT as _, ptr::null_mut()) };
            usize::try_from(count).map_err(|_| io::Error::last_os_error())
        }

        /// The datagram at `index` of those received by the latest call, and its sender; the place is made ready for
        /// the next call.
        pub fn take(&mut self, index: usize) -> Option<(&[u8], Option<SocketAddr>)> {
            let header = self.headers.headers.get_mut(index)?;
            let length = (header.msg_len as usize).min(DATAGRAM_BYTES_MAX);
            let given = header.msg_hdr.msg_namelen as usize;
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            let sender = address(self.headers.senders.get(index)?, given);
            let start = index * DATAGRAM_BYTES_MAX;
            Some((self.memory.get(start..start + length)?, sender))
        }
    }

    /// The address that the kernel has written.
    fn address(raw: &libc::sockaddr_in6, length: usize) -> Option<SocketAddr> {
        match i32::from(raw.sin6_family) {
            libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
                // SAFETY: the structure of the smaller size lies at the same place, aligned to no more, and all its
                // bytes are written.
                let raw = unsafe { ptr::from_ref(raw).cast::<libc::sockaddr_in>().read() };
                let host = Ipv4Addr::from_bits(u32::from_be(raw.sin_addr.s_addr));
                Some(SocketAddrV4::new(host, u16::from_be(raw.sin_port)).into())
            }
            libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
                let host = Ipv6Addr::from(raw.sin6_addr.s6_addr);
                let flow = u32::from_be(raw.sin6_flowinfo);
                Some(SocketAddrV6::new(host, u16::from_be(raw.sin6_port), flow, raw.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// Where it receives one at a time.
#[cfg(not(target_os = "linux"))]
mod single {
    use super::{DATAGRAM_BYTES_MAX, Name, RawFd, SocketAddr, io, receive_one};

    /// Memory for one datagram of IPv4 or IPv6.
    pub struct Batch {
        memory: Box<[u8]>,
        latest: (usize, Option<SocketAddr>),
    }

    impl Default for Batch {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Batch {
        /// Memory without datagrams.
        #[must_use]
        pub fn new() -> Self {
            Self { memory: vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice(), latest: (0, None) }
        }

        /// Receive one datagram; those received before are gone.
        ///
        /// # Errors
        /// EAGAIN when none has come; what an earlier datagram met with, such as ECONNREFUSED.
        pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
            let (length, sender) = receive_one(fd, &mut self.memory)?;
            let sender = match sender {
                Some(Name::Ip(address)) => Some(address),
                _ => None,
            };
            self.latest = (length, sender);
            Ok(1)
        }

        /// The datagram at `index` of those received by the latest call, and its sender.
        pub fn take(&mut self, index: usize) -> Option<(&[u8], Option<SocketAddr>)> {
            if index > 0 {
                return None;
            }
            Some((self.memory.get(..self.latest.0)?, self.latest.1))
        }
    }
}
