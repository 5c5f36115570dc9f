//! The load and the floor, beside each other and against servers that do wrong.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tideloop_load::{Address, Failure, Floor, Load, Pace, Plan, Reply, Slice};

const SHORT: Duration = Duration::from_millis(30);

fn echo_of(bytes: &[u8], connections: usize) -> Plan {
    let (request, reply) = (bytes.to_vec(), Reply::Exact(bytes.into()));
    Plan { connections, talking: connections, pipeline: 1, request, reply, silence_max: Duration::from_secs(30) }
}

fn open(address: &Address, plan: &Plan) -> Result<Load, Failure> {
    Load::open(address, plan, &mut || true)
}

fn slice(load: &mut Load, pace: Pace) -> Result<Slice, Failure> {
    load.slice(pace, &mut || true)
}

fn latencies(slice: &Slice) -> u64 {
    slice.latency.buckets().map(|(_, count)| count).sum()
}

/// Calls a function with the address of a floor that runs meanwhile.
fn with_floor(address: &Address, test: impl FnOnce(&Address)) {
    let mut floor = Floor::listen(address).unwrap();
    let address = match floor.port().unwrap() {
        Some(port) => Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port))),
        None => address.clone(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = thread::spawn(move || floor.serve(&mut || !stopped.load(Ordering::Relaxed)));
    test(&address);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
}

fn any_port() -> Address {
    Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// The address of a server that does this with its first connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    Address::Tcp(address)
}

#[test]
fn the_floor_echoes_what_the_load_sends() {
    with_floor(&any_port(), |address| {
        let mut load = open(address, &echo_of(b"0123456789", 100)).unwrap();
        for _ in 0..2 {
            let slice = slice(&mut load, Pace::Closed(SHORT)).unwrap();
            assert!(slice.operations >= 100);
            assert!(slice.elapsed >= SHORT);
            assert_eq!(latencies(&slice), slice.operations);
        }
    });
}

#[test]
fn unix_sockets_work_as_well() {
    let path = std::env::temp_dir().join(format!("tideloop-load-{}.socket", std::process::id()));
    with_floor(&Address::Unix(path.clone()), |address| {
        let mut load = open(address, &echo_of(b"over a path", 10)).unwrap();
        assert!(slice(&mut load, Pace::Closed(SHORT)).unwrap().operations >= 10);
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn more_than_the_kernel_buffers_goes_both_ways() {
    let bytes: Vec<u8> = (0..8 << 20).map(|number: u32| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    with_floor(&any_port(), |address| {
        let mut load = open(address, &echo_of(&bytes, 2)).unwrap();
        assert!(slice(&mut load, Pace::Closed(SHORT)).unwrap().operations >= 2);
    });
}

#[test]
fn a_pipeline_counts_each_of_its_replies() {
    with_floor(&any_port(), |address| {
        let plan = Plan { pipeline: 7, ..echo_of(b"abcdef", 3) };
        let done = slice(&mut open(address, &plan).unwrap(), Pace::Closed(SHORT)).unwrap();
        assert!(done.operations >= 21 && done.operations.is_multiple_of(7));
        assert_eq!(latencies(&done), done.operations);
    });
}

#[test]
fn silent_connections_stay_silent() {
    with_floor(&any_port(), |address| {
        let plan = Plan { talking: 0, ..echo_of(b"abcdef", 50) };
        let mut load = open(address, &plan).unwrap();
        assert_eq!(slice(&mut load, Pace::Closed(SHORT)).unwrap().operations, 0);
    });
}

#[test]
fn an_open_loop_sends_as_many_as_its_rate_says() {
    with_floor(&any_port(), |address| {
        let mut load = open(address, &echo_of(b"abcdef", 5)).unwrap();
        let slice = slice(&mut load, Pace::Open(Duration::from_millis(100), 2000.0)).unwrap();
        assert_eq!((slice.operations, latencies(&slice)), (200, 200));
    });
}

#[test]
fn an_open_loop_beyond_the_server_sends_all_the_same_and_counts_the_waiting() {
    with_floor(&any_port(), |address| {
        let mut load = open(address, &echo_of(b"abcdef", 1)).unwrap();
        let slice = slice(&mut load, Pace::Open(Duration::from_millis(10), 5e6)).unwrap();
        assert_eq!(slice.operations, 50_000);
        let (slowest_ns, _) = slice.latency.buckets().last().unwrap();
        // All were to go out in the first 10 ms: the last waited for nearly all of the others.
        assert!(Duration::from_nanos(slowest_ns) > slice.elapsed - Duration::from_millis(20));
    });
}

#[test]
fn datagrams_are_replies_one_by_one() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = Address::Udp(socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
            let shorter = if bytes == 3 { 1 } else { 0 };
            socket.send_to(&buffer[..bytes - shorter], from).unwrap();
        }
    });
    let mut load = open(&address, &echo_of(b"abcdef", 4)).unwrap();
    assert!(slice(&mut load, Pace::Closed(SHORT)).unwrap().operations >= 4);
    let wrong = open(&address, &echo_of(b"abc", 1)).err().unwrap();
    assert_eq!(wrong.to_string(), "wrong reply on connection 0: a datagram of 2 bytes is too short");
}

#[test]
fn a_wrong_byte_is_named_with_its_connection() {
    let address = server(|mut stream| {
        let mut bytes = [0; 4];
        while stream.read_exact(&mut bytes).is_ok() {
            bytes[3] = b'!';
            stream.write_all(&bytes).unwrap();
        }
    });
    let wrong = open(&address, &echo_of(b"abcd", 1)).err().unwrap();
    assert_eq!(wrong.to_string(), "wrong reply on connection 0: byte 3 of 4 differs: b\"!\" instead of b\"d\"");
}

#[test]
fn more_than_was_asked_for_is_wrong() {
    let address = server(|mut stream| {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(b"abcdab").unwrap();
        let _ = stream.read(&mut bytes);
    });
    let wrong = open(&address, &echo_of(b"abcd", 1)).err().unwrap();
    assert_eq!(wrong.to_string(), "wrong reply on connection 0: 2 bytes that answer no request");
}

#[test]
fn a_connection_that_is_closed_ends_the_load() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0; 4]);
    });
    let failure = open(&address, &echo_of(b"abcd", 1)).err().unwrap();
    assert_eq!(failure.to_string(), "the server closed connection 0");
}

#[test]
fn a_server_that_is_not_there_is_the_systems_error() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(socket.local_addr().unwrap());
    drop(socket);
    let failure = open(&address, &echo_of(b"abcd", 1)).err().unwrap();
    assert!(failure.to_string().starts_with("connect: Connection refused"), "{failure}");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let address = server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let plan = Plan { silence_max: Duration::from_millis(60), ..echo_of(b"abcd", 1) };
    let failure = open(&address, &plan).err().unwrap();
    assert_eq!(failure.to_string(), "no reply for 60ms, and 1 connections wait for one");
}

#[test]
fn whoever_waits_for_a_silent_server_can_stop() {
    let address = server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let failure = Load::open(&address, &echo_of(b"abcd", 1), &mut || false).err().unwrap();
    assert!(matches!(failure, Failure::Stopped));
}

#[test]
fn plans_without_sense_are_refused() {
    let good = echo_of(b"abcd", 2);
    let plans = [
        Plan { connections: 0, talking: 0, ..good.clone() },
        Plan { talking: 3, ..good.clone() },
        Plan { pipeline: 0, ..good.clone() },
        Plan { request: Vec::new(), ..good.clone() },
        Plan { reply: Reply::Exact([].into()), ..good.clone() },
    ];
    for plan in plans {
        assert!(matches!(open(&any_port(), &plan), Err(Failure::Plan(_))), "{plan:?}");
    }
    let datagrams = Address::Udp(SocketAddr::from(([127, 0, 0, 1], 9)));
    assert!(matches!(open(&datagrams, &Plan { pipeline: 2, ..good }), Err(Failure::Plan(_))));
}
