//! Datagrams, over loopback and socket pairs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use tideloop_sys::datagram::*;
use tideloop_sys::socket::Name;

fn bound(address: &str) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[test]
fn a_batch_takes_what_waits_in_order_with_its_senders() {
    let receiver = bound("127.0.0.1:0").unwrap();
    let senders = [bound("127.0.0.1:0").unwrap(), bound("127.0.0.1:0").unwrap()];
    let mut batch = Batch::new();
    assert_eq!(batch.receive(receiver.as_raw_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
    let to = receiver.local_addr().unwrap();
    for number in 0..BATCH_MAX + 3 {
        send_to(senders[number % 2].as_raw_fd(), &vec![number as u8; number], &to).unwrap();
    }
    let mut seen = 0;
    while seen < BATCH_MAX + 3 {
        let count = batch.receive(receiver.as_raw_fd()).unwrap();
        assert!((1..=BATCH_MAX).contains(&count));
        for index in 0..count {
            let (bytes, sender) = batch.take(index).unwrap();
            assert_eq!(bytes, vec![seen as u8; seen]);
            assert_eq!(sender, Some(senders[seen % 2].local_addr().unwrap()));
            seen += 1;
        }
    }
    assert_eq!(batch.receive(receiver.as_raw_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_largest_datagram_fits() {
    let (receiver, sender) = (bound("127.0.0.1:0").unwrap(), bound("127.0.0.1:0").unwrap());
    let largest = vec![7; 65507];
    send_to(sender.as_raw_fd(), &largest, &receiver.local_addr().unwrap()).unwrap();
    let mut batch = Batch::new();
    assert_eq!(batch.receive(receiver.as_raw_fd()).unwrap(), 1);
    assert_eq!(batch.take(0).unwrap().0, largest);
    let refused = send_to(sender.as_raw_fd(), &[0; 65508], &receiver.local_addr().unwrap());
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn addresses_of_version_6_keep_their_parts() {
    let (Ok(receiver), Ok(sender)) = (bound("[::1]:0"), bound("[::1]:0")) else {
        eprintln!("this machine has no IPv6 loopback");
        return;
    };
    send_to(sender.as_raw_fd(), b"six", &receiver.local_addr().unwrap()).unwrap();
    let mut batch = Batch::new();
    assert_eq!(batch.receive(receiver.as_raw_fd()).unwrap(), 1);
    assert_eq!(batch.take(0).unwrap(), (&b"six"[..], Some(sender.local_addr().unwrap())));
}

#[test]
fn a_refused_datagram_is_an_error_of_the_next_call_and_no_more() {
    let sender = bound("127.0.0.1:0").unwrap();
    let nobody = bound("127.0.0.1:0").unwrap().local_addr().unwrap();
    sender.connect(nobody).unwrap();
    sender.send(b"anybody?").unwrap();
    let mut batch = Batch::new();
    assert_eq!(batch.receive(sender.as_raw_fd()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(batch.receive(sender.as_raw_fd()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_unix_sender_may_have_no_name() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.send(b"hello").unwrap();
    let mut buffer = [0; 64];
    let (length, sender) = receive_one(ours.as_raw_fd(), &mut buffer).unwrap();
    assert_eq!((&buffer[..length], sender), (&b"hello"[..], None));
    let name = std::env::temp_dir().join(format!("tideloop-datagram-{}.sock", std::process::id()));
    let named = UnixDatagram::bind(&name).unwrap();
    let (a, _b) = UnixDatagram::pair().unwrap();
    let receiver = UnixDatagram::unbound().unwrap();
    drop((a, receiver));
    named.send_to(b"me", &name).unwrap();
    let (_, sender) = receive_one(named.as_raw_fd(), &mut buffer).unwrap();
    assert_eq!(sender, Some(Name::Unix(name.as_os_str().as_encoded_bytes().to_vec())));
    std::fs::remove_file(&name).unwrap();
}
