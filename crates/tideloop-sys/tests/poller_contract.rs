//! The contract at the top of `poll/mod.rs`, clause by clause, on whatever backend this system has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tideloop_sys::poll::{EVENTS_MAX, Event, Events, Interest, Poller, Timeout};

const TOKEN: u64 = 0xfeed_0000_beef;
/// Longer than any event takes to arrive; a test that waits for it has failed.
const LONG: Timeout = Timeout::AtMost(Duration::from_secs(20));

fn wait(poller: &Poller, timeout: Timeout) -> Vec<Event> {
    let mut events = Events::new();
    poller.wait(&mut events, timeout).unwrap();
    events.iter().collect()
}

/// One event, of either filter where reading and writing are separate.
fn wait_one(poller: &Poller) -> Event {
    wait(poller, LONG)
        .into_iter()
        .reduce(|a, b| Event {
            token: a.token,
            readable: a.readable || b.readable,
            writable: a.writable || b.writable,
            hangup_or_error: a.hangup_or_error || b.hangup_or_error,
        })
        .expect("nothing happened")
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

#[test]
fn an_event_carries_the_token_and_the_direction() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    assert_eq!(wait(&poller, Timeout::Now), []);
    theirs.write_all(b"x").unwrap();
    assert_eq!(wait_one(&poller), Event { token: TOKEN, readable: true, writable: false, hangup_or_error: false });
}

#[test]
fn what_is_ready_is_reported_until_it_is_no_longer_ready() {
    let poller = Poller::new().unwrap();
    let (mut ours, mut theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    theirs.write_all(b"xy").unwrap();
    for _ in 0..2 {
        assert!(wait_one(&poller).readable);
        assert!(wait_one(&poller).readable);
        ours.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(wait(&poller, Timeout::Now), []);
}

#[test]
fn modify_changes_the_token_and_the_interest() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let fd = ours.as_raw_fd();
    poller.add(fd, 1, Interest::BOTH).unwrap();
    let event = wait_one(&poller);
    assert!(event.readable && event.writable && !event.hangup_or_error);
    poller.modify(fd, 2, Interest::WRITE).unwrap();
    assert_eq!(wait_one(&poller), Event { token: 2, readable: false, writable: true, hangup_or_error: false });
    poller.modify(fd, 3, Interest::NONE).unwrap();
    assert_eq!(wait(&poller, Timeout::Now), []);
    poller.modify(fd, 4, Interest::READ).unwrap();
    assert_eq!(wait_one(&poller), Event { token: 4, readable: true, writable: false, hangup_or_error: false });
    poller.remove(fd).unwrap();
    assert_eq!(wait(&poller, Timeout::Now), []);
}

#[test]
fn a_descriptor_that_is_not_open_is_refused() {
    let poller = Poller::new().unwrap();
    let closed: RawFd = 1_000_000;
    for fd in [-1, RawFd::MIN, closed] {
        let error = poller.add(fd, TOKEN, Interest::READ).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{fd}");
    }
    assert_eq!(poller.remove(-1).unwrap_err().raw_os_error(), Some(libc::EBADF));
}

#[cfg(target_os = "linux")]
#[test]
fn registering_twice_and_changing_what_is_not_registered_are_errors() {
    let poller = Poller::new().unwrap();
    let (ours, theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(poller.add(ours.as_raw_fd(), TOKEN, Interest::READ)), ErrorKind::AlreadyExists);
    assert_eq!(kind(poller.modify(theirs.as_raw_fd(), TOKEN, Interest::READ)), ErrorKind::NotFound);
    assert_eq!(kind(poller.remove(theirs.as_raw_fd())), ErrorKind::NotFound);
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(kind(poller.add(file.as_raw_fd(), TOKEN, Interest::READ)), ErrorKind::PermissionDenied);
}

#[test]
fn the_reader_of_a_pipe_learns_that_its_writer_has_closed() {
    let poller = Poller::new().unwrap();
    let (reader, writer) = pipe().unwrap();
    poller.add(reader.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    drop(writer);
    // On Linux this is EPOLLHUP without EPOLLIN.
    let event = wait_one(&poller);
    assert!(event.readable);
    assert!(cfg!(not(target_os = "linux")) || (event.writable && event.hangup_or_error));
}

#[test]
fn the_writer_of_a_pipe_learns_that_its_reader_has_closed() {
    let poller = Poller::new().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    poller.add(writer.as_raw_fd(), TOKEN, Interest::WRITE).unwrap();
    assert_eq!(wait(&poller, Timeout::Now), []);
    drop(reader);
    // On Linux this is EPOLLERR without EPOLLOUT.
    let event = wait_one(&poller);
    assert!(event.writable && event.hangup_or_error);
}

#[test]
fn a_half_close_is_readable_and_no_hang_up() {
    let poller = Poller::new().unwrap();
    let (ours, theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let event = wait_one(&poller);
    assert!(event.readable && !event.hangup_or_error);
}

#[test]
fn a_refused_connect_wakes_the_writer() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    // Nobody listens at the address any more. A loopback connect may even be refused at once.
    let refused_at_once = socket.connect(&address.into()).unwrap_err().kind() == ErrorKind::ConnectionRefused;
    let poller = Poller::new().unwrap();
    poller.add(socket.as_raw_fd(), TOKEN, Interest::WRITE).unwrap();
    let event = wait_one(&poller);
    assert!(event.writable && event.hangup_or_error);
    let error = tideloop_sys::socket::take_error(socket.as_raw_fd()).unwrap();
    assert!(refused_at_once || error.unwrap().kind() == ErrorKind::ConnectionRefused);
}

#[test]
fn without_interest_a_hang_up_is_reported_at_most_once() {
    let poller = Poller::new().unwrap();
    let (ours, theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::NONE).unwrap();
    drop(theirs);
    let reports: usize = (0..10).map(|_| wait(&poller, Timeout::Now).len()).sum();
    assert!(reports <= 1, "{reports} reports");
    poller.modify(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    assert!(wait_one(&poller).readable, "with interest again, it is reported again");
    assert!(wait_one(&poller).readable);
}

#[test]
fn a_wait_never_ends_before_its_time() {
    let poller = Poller::new().unwrap();
    for us in [1, 300, 999, 1000, 1001, 4500, 20_000] {
        let wanted = Duration::from_micros(us);
        let start = Instant::now();
        assert_eq!(wait(&poller, Timeout::AtMost(wanted)), []);
        assert!(start.elapsed() >= wanted, "{:?} instead of {wanted:?}", start.elapsed());
    }
}

#[test]
fn a_wait_for_ever_and_one_for_centuries_end_with_an_event() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    theirs.write_all(b"x").unwrap();
    assert_eq!(wait(&poller, Timeout::Forever).len(), 1);
    assert_eq!(wait(&poller, Timeout::AtMost(Duration::MAX)).len(), 1);
}

extern "C" fn on_signal(_signal: libc::c_int) {}

#[test]
fn a_signal_interrupts_a_wait() {
    // SAFETY: the handler does nothing, which is allowed at any moment.
    unsafe { libc::signal(libc::SIGUSR1, on_signal as *const () as libc::sighandler_t) };
    let is_done = Arc::new(AtomicBool::new(false));
    let waiter = thread::spawn({
        let is_done = Arc::clone(&is_done);
        move || {
            let poller = Poller::new().unwrap();
            let mut events = Events::new();
            let result = poller.wait(&mut events, LONG);
            is_done.store(true, Ordering::Release);
            (result.unwrap_err().kind(), events.len())
        }
    });
    // A signal may come before the wait; another one follows.
    while !is_done.load(Ordering::Acquire) {
        // SAFETY: the thread has not been joined, so its id is valid.
        unsafe { libc::pthread_kill(waiter.as_pthread_t(), libc::SIGUSR1) };
        thread::yield_now();
    }
    assert_eq!(waiter.join().unwrap(), (ErrorKind::Interrupted, 0));
}

#[test]
fn every_ready_descriptor_is_reported_however_many_there_are() {
    const PAIRS: u64 = 300;
    let poller = Poller::new().unwrap();
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair()).collect();
    for (token, (ours, theirs)) in (0..).zip(&pairs) {
        poller.add(ours.as_raw_fd(), token, Interest::READ).unwrap();
        (&*theirs).write_all(b"x").unwrap();
    }
    let mut events = Events::new();
    let mut seen = HashSet::new();
    let mut largest = 0;
    for _ in 0..20 {
        poller.wait(&mut events, Timeout::Now).unwrap();
        largest = largest.max(events.len());
        seen.extend(events.iter().map(|event| event.token));
    }
    assert_eq!(seen.len() as u64, PAIRS);
    assert!(largest as u64 == PAIRS && largest <= EVENTS_MAX, "the buffer grows until a wait reports all: {largest}");
}

#[test]
fn a_poller_is_closed_on_exec() {
    let poller = Poller::new().unwrap();
    // SAFETY: F_GETFD reads a flag of a descriptor.
    let flags = unsafe { libc::fcntl(poller.as_raw_fd(), libc::F_GETFD) };
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

#[test]
fn a_forked_child_that_abandons_the_poller_leaves_the_parents_registrations() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = pair();
    poller.add(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    // SAFETY: the child closes a descriptor and exits: it allocates nothing and takes no lock.
    let child = unsafe { libc::fork() };
    if child == 0 {
        poller.abandon();
        // SAFETY: exits at once, without running destructors of the parent's.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the child is ours and has not been waited for.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    theirs.write_all(b"x").unwrap();
    assert!(wait_one(&poller).readable);
}

#[test]
fn an_edge_is_reported_once_and_again_with_whatever_comes_next() {
    let poller = Poller::new().unwrap();
    let (mut ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    poller.add_edge(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    assert!(wait_one(&poller).readable);
    // Not read, and not reported again.
    assert_eq!(wait(&poller, Timeout::Now), []);
    theirs.write_all(b"y").unwrap();
    assert!(wait_one(&poller).readable);
    // A change makes it look again.
    poller.modify_edge(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    assert!(wait_one(&poller).readable);
    ours.read_exact(&mut [0; 2]).unwrap();
    theirs.write_all(b"z").unwrap();
    ours.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(wait(&poller, Timeout::Now), []);
    drop(theirs);
    assert!(wait_one(&poller).readable);
    assert_eq!(wait(&poller, Timeout::Now), []);
}

#[test]
fn an_edge_can_become_a_level() {
    let poller = Poller::new().unwrap();
    let (ours, mut theirs) = pair();
    poller.add_edge(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    theirs.write_all(b"x").unwrap();
    assert!(wait_one(&poller).readable);
    poller.modify(ours.as_raw_fd(), TOKEN, Interest::READ).unwrap();
    assert!(wait_one(&poller).readable);
    assert!(wait_one(&poller).readable);
}
