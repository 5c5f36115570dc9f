//! The calls on sockets, over loopback and socket pairs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};

use socket2::{Domain, SockRef, Socket, Type};
use tideloop_sys::poll::{Events, Interest, Poller, Timeout};
use tideloop_sys::socket::*;

fn wait_until_readable(fd: RawFd) {
    let poller = Poller::new().unwrap();
    poller.add(fd, 0, Interest::READ).unwrap();
    poller.wait(&mut Events::new(), Timeout::Forever).unwrap();
}

fn listener(address: &str) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A connection: the accepted end, the peer's address as accept told it, and the peer.
fn connection(listener: &TcpListener) -> (OwnedFd, Option<Name>, TcpStream) {
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    wait_until_readable(listener.as_raw_fd());
    let (fd, address) = accept(listener.as_raw_fd()).unwrap();
    (fd, address, peer)
}

fn fcntl(fd: RawFd, command: libc::c_int) -> libc::c_int {
    // SAFETY: only reads flags of a descriptor.
    unsafe { libc::fcntl(fd, command) }
}

#[test]
fn an_accepted_socket_is_non_blocking_closed_on_exec_and_knows_its_peer() {
    let listener = listener("127.0.0.1:0").unwrap();
    assert_eq!(accept(listener.as_raw_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
    let (fd, address, peer) = connection(&listener);
    let raw = fd.as_raw_fd();
    assert_eq!(fcntl(raw, libc::F_GETFL) & libc::O_NONBLOCK, libc::O_NONBLOCK);
    assert_eq!(fcntl(raw, libc::F_GETFD) & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    assert_eq!(address, Some(Name::Ip(peer.local_addr().unwrap())));
    assert_eq!(peer_name(raw).unwrap(), address);
    assert_eq!(local_name(raw).unwrap(), Some(Name::Ip(listener.local_addr().unwrap())));
    close(fd);
    assert_eq!(fcntl(raw, libc::F_GETFD), -1, "closed");
}

#[test]
fn an_address_of_version_6_keeps_its_parts() {
    let Ok(listener) = listener("[::1]:0") else {
        eprintln!("this machine has no IPv6 loopback");
        return;
    };
    let (fd, address, peer) = connection(&listener);
    let Some(Name::Ip(SocketAddr::V6(address))) = address else { panic!("{address:?}") };
    assert_eq!(address.ip(), &Ipv6Addr::LOCALHOST);
    assert_eq!(SocketAddr::V6(address), peer.local_addr().unwrap());
    assert_eq!((address.flowinfo(), address.scope_id()), (0, 0));
    assert_eq!(peer_name(fd.as_raw_fd()).unwrap(), Some(Name::Ip(address.into())));
}

#[test]
fn a_unix_socket_has_a_path_an_abstract_name_or_none() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert_eq!(local_name(ours.as_raw_fd()).unwrap(), Some(Name::Unix(Vec::new())));
    assert_eq!(peer_name(ours.as_raw_fd()).unwrap(), Some(Name::Unix(Vec::new())));

    let path = std::env::temp_dir().join(format!("tideloop-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let expected = Some(Name::Unix(path.as_os_str().as_bytes().to_vec()));
    assert_eq!(local_name(listener.as_raw_fd()).unwrap(), expected);
    assert_eq!(peer_name(client.as_raw_fd()).unwrap(), expected);
    let (_accepted, peer) = accept(listener.as_raw_fd()).unwrap();
    assert_eq!(peer, Some(Name::Unix(Vec::new())));
    std::fs::remove_file(&path).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_begins_with_a_zero_byte() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("tideloop-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(local_name(listener.as_raw_fd()).unwrap(), Some(Name::Unix(format!("\0{name}").into_bytes())));
}

#[test]
fn bytes_go_out_and_come_in() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (fd, peer) = (ours.as_raw_fd(), theirs.as_raw_fd());
    let mut buf = [0; 16];
    assert_eq!(recv(fd, &mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(send(peer, b"hello").unwrap(), 5);
    assert_eq!(recv(fd, &mut buf).unwrap(), 5);
    assert_eq!(&buf[..5], b"hello");
    shutdown_write(peer).unwrap();
    assert_eq!(recv(fd, &mut buf).unwrap(), 0);
    assert_eq!(send(fd, b"still works").unwrap(), 11);
}

#[test]
fn bytes_come_into_memory_that_was_never_written() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(theirs.as_raw_fd(), b"hello").unwrap();
    let mut buf = Vec::<u8>::with_capacity(16);
    // SAFETY: the vector owns 16 bytes, and nobody else uses them.
    let received = unsafe { recv_into_raw(ours.as_raw_fd(), buf.as_mut_ptr(), 16) }.unwrap();
    // SAFETY: recv has written that many.
    unsafe { buf.set_len(received) };
    assert_eq!(buf, b"hello");
}

#[test]
fn many_slices_go_out_in_one_call_and_no_more_than_the_kernel_accepts() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let bytes: Vec<u8> = (0..SEND_SLICES_MAX + 10).map(|i| i as u8).collect();
    let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
    assert_eq!(send_vectored(ours.as_raw_fd(), &slices).unwrap(), SEND_SLICES_MAX);
    assert_eq!(send_vectored(ours.as_raw_fd(), &slices[SEND_SLICES_MAX..]).unwrap(), 10);
    let mut received = vec![0; bytes.len()];
    theirs.read_exact(&mut received).unwrap();
    assert_eq!(received, bytes);
}

#[test]
fn a_full_socket_takes_a_part_and_then_nothing() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let large = vec![0; 16 << 20];
    let mut sent = 0;
    let error = loop {
        match send(ours.as_raw_fd(), &large) {
            Ok(n) => sent += n,
            Err(error) => break error,
        }
    };
    assert!(sent > 0 && sent < large.len());
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let slices = [IoSlice::new(&large)];
    assert_eq!(send_vectored(ours.as_raw_fd(), &slices).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[cfg(not(target_vendor = "apple"))]
#[test]
fn writing_to_a_closed_peer_is_an_error_and_no_signal() {
    // Rust ignores SIGPIPE in its programs; with the default action one would end this process.
    // SAFETY: restores a default action, with no handler involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert_eq!(send(ours.as_raw_fd(), b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let slices = [IoSlice::new(b"x")];
    assert_eq!(send_vectored(ours.as_raw_fd(), &slices).unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn an_error_is_taken_once() {
    let address = listener("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    assert!(take_error(socket.as_raw_fd()).unwrap().is_none());
    let immediate = socket.connect(&address.into()).unwrap_err();
    if immediate.kind() != ErrorKind::ConnectionRefused {
        wait_until_readable(socket.as_raw_fd());
        let error = take_error(socket.as_raw_fd()).unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert!(take_error(socket.as_raw_fd()).unwrap().is_none());
}

#[test]
fn options_are_set() {
    let listener = listener("127.0.0.1:0").unwrap();
    let (fd, _, mut peer) = connection(&listener);
    let socket = SockRef::from(&fd);
    assert!(!socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
    set_nodelay(fd.as_raw_fd()).unwrap();
    set_keepalive(fd.as_raw_fd()).unwrap();
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    peer.write_all(b"x").unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    assert!(set_nodelay(unix.as_raw_fd()).is_err());
}

#[test]
fn a_number_that_is_no_open_socket_is_an_error() {
    for fd in [-1, 1_000_000] {
        assert_eq!(recv(fd, &mut [0]).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(send(fd, b"x").unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(accept(fd).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(shutdown_write(fd).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
