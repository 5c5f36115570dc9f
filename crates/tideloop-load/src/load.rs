//! The load: connections that are opened once and kept, and slices of time in which they talk.
//!
//! One thread and one epoll, a `recv` and a `send` for each round: the server has no less to do, so it is the server
//! that is measured. A slice ends when every reply has arrived, so what the server did for it belongs to it alone.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::address::Address;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::pace::{Pace, Window};
use crate::reply::Reply;

/// Connections that are opened before the next wait for their first replies: fewer than a server's backlog.
const OPENED_AT_ONCE: usize = 64;
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// Bytes taken from a connection at once.
const RECEIVE_BYTES_MAX: usize = 256 << 10;
/// How often the caller is asked whether to go on.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// What a load does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many connections there are.
    pub connections: usize,
    /// How many of them talk; the others are there, and silent.
    pub talking: usize,
    /// How many requests go out together, before a reply is waited for.
    pub pipeline: usize,
    /// Each request.
    pub request: Vec<u8>,
    /// What has to answer it.
    pub reply: Reply,
    /// A server that answers nothing for so long hangs.
    pub silence_max: Duration,
}

/// What happened in a slice.
#[derive(Debug)]
pub struct Slice {
    /// Requests that were answered, and rightly: as many as were sent.
    pub operations: u64,
    /// From the beginning to the last reply.
    pub elapsed: Duration,
    /// From a request's going out to the end of its reply. Of requests that went out together, from the first's.
    pub latency: Histogram,
}

/// Connections to one server.
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// The numbers of those that talk.
    talking: Vec<usize>,
    /// Those with a round under way.
    busy: usize,
    datagrams: bool,
    pipeline: usize,
    /// The requests of a round.
    requests: Vec<u8>,
    reply: Reply,
    silence_max: Duration,
    received: Vec<u8>,
    epoch: Instant,
}

/// Asked now and then while a load runs; false ends it.
pub type KeepGoing<'a> = &'a mut dyn FnMut() -> bool;

impl Load {
    /// Open all connections. Each makes one round, the silent ones too, so that it is known to be accepted.
    pub fn open(address: &Address, plan: &Plan, keep_going: KeepGoing<'_>) -> Result<Self, Failure> {
        let datagrams = matches!(address, Address::Udp(_));
        check_plan(plan, datagrams)?;
        let mut load = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(Failure::at("epoll_create"))?,
            connections: Vec::with_capacity(plan.connections),
            talking: (0..plan.talking).map(|number| number * plan.connections / plan.talking).collect(),
            busy: 0,
            datagrams,
            pipeline: plan.pipeline,
            requests: plan.request.repeat(plan.pipeline),
            reply: plan.reply.clone(),
            silence_max: plan.silence_max,
            received: vec![0; RECEIVE_BYTES_MAX],
            epoch: Instant::now(),
        };
        while load.connections.len() < plan.connections {
            let first = load.connections.len();
            for number in first..plan.connections.min(first + OPENED_AT_ONCE) {
                load.connect(address, number)?;
                load.begin(number, load.now_ns())?;
            }
            load.run(&mut Window::over(load.now_ns()), keep_going)?;
        }
        Ok(load)
    }

    /// Talk for a while, and wait for what is still to come then. After a failure the load is of no more use.
    pub fn slice(&mut self, pace: Pace, keep_going: KeepGoing<'_>) -> Result<Slice, Failure> {
        if matches!(pace, Pace::Open(_, rate) if !(rate > 0.0 && rate.is_finite()) || self.pipeline != 1) {
            return Err(Failure::Plan("an open loop needs a rate above zero and a pipeline of one"));
        }
        let mut window = Window::new(pace, self.now_ns());
        if !window.is_open_loop() {
            for index in 0..self.talking.len() {
                self.begin(self.talking[index], self.now_ns())?;
            }
        }
        self.run(&mut window, keep_going)?;
        Ok(Slice { operations: window.replies, elapsed: window.elapsed(), latency: window.latency })
    }

    fn connect(&mut self, address: &Address, number: usize) -> Result<(), Failure> {
        let socket = address.connect(number).map_err(Failure::at("connect"))?;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)
            .map_err(Failure::at("epoll_ctl"))?;
        self.connections.push(Connection::new(socket));
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn run(&mut self, window: &mut Window, keep_going: KeepGoing<'_>) -> Result<(), Failure> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut asked_ns = self.now_ns();
        loop {
            let now_ns = self.now_ns();
            self.begin_due(window, now_ns)?;
            if self.busy == 0 && window.is_over(now_ns) {
                return Ok(());
            }
            if now_ns - asked_ns > ASK_INTERVAL.as_nanos() as u64 {
                asked_ns = now_ns;
                self.ask(window, now_ns, keep_going)?;
            }
            self.wait(&mut events, window.idle_time(now_ns, ASK_INTERVAL))?;
            for event in events.drain(..) {
                let (number, flags) = (event.data.u64() as usize, event.flags);
                if flags.contains(epoll::EventFlags::OUT) {
                    self.send(number)?;
                }
                if flags != epoll::EventFlags::OUT {
                    self.receive(number, window)?;
                }
            }
        }
    }

    fn ask(&self, window: &Window, now_ns: u64, keep_going: KeepGoing<'_>) -> Result<(), Failure> {
        if !keep_going() {
            return Err(Failure::Stopped);
        }
        let silence = Duration::from_nanos(now_ns.saturating_sub(window.last_reply_ns));
        if self.busy > 0 && silence >= self.silence_max {
            return Err(Failure::Silent(self.busy, self.silence_max));
        }
        Ok(())
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, timeout: Duration) -> Result<(), Failure> {
        // Up to whole milliseconds, the kernel's unit: waking before the time would be in vain.
        let nanoseconds = timeout.as_nanos().div_ceil(1_000_000) as i64 * 1_000_000;
        let timeout = Timespec { tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000 };
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::at("epoll_wait")(error)),
        }
    }

    /// Begin what the schedule of an open loop says.
    fn begin_due(&mut self, window: &mut Window, now_ns: u64) -> Result<(), Failure> {
        while let Some((request, due_ns)) = window.next_due(now_ns) {
            if self.talking.is_empty() {
                return Err(Failure::Plan("an open loop needs a connection that talks"));
            }
            let number = self.talking[(request % self.talking.len() as u64) as usize];
            if self.connections[number].is_idle() {
                self.begin(number, due_ns)?;
            } else {
                self.connections[number].owe(due_ns);
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: usize, began_ns: u64) -> Result<(), Failure> {
        self.connections[number].begin(self.pipeline, began_ns);
        self.busy += 1;
        self.send(number)
    }

    fn send(&mut self, number: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        let all_sent = connection.send(&self.requests)?;
        if connection.blocked == all_sent {
            connection.blocked = !all_sent;
            let flags = if all_sent { epoll::EventFlags::IN } else { epoll::EventFlags::IN | epoll::EventFlags::OUT };
            let data = epoll::EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, &connection.socket, data, flags).map_err(Failure::at("epoll_ctl"))?;
        }
        Ok(())
    }

    fn receive(&mut self, number: usize, window: &mut Window) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        let Some(bytes) = connection.receive(&mut self.received)? else { return Ok(()) };
        if bytes == 0 && !self.datagrams {
            return Err(Failure::Closed(number));
        }
        let now_ns = self.epoch.elapsed().as_nanos() as u64;
        let was_idle = connection.is_idle();
        let check = if self.datagrams { Connection::check_datagram } else { Connection::check };
        check(connection, &self.reply, &self.received[..bytes], now_ns, window)
            .map_err(|wrong| Failure::Wrong(number, wrong))?;
        if was_idle || !connection.is_idle() {
            return Ok(());
        }
        self.busy -= 1;
        if let Some(due_ns) = connection.next_owed() {
            self.begin(number, due_ns)
        } else if !window.is_open_loop() && !window.is_over(now_ns) {
            self.begin(number, now_ns)
        } else {
            Ok(())
        }
    }
}

fn check_plan(plan: &Plan, datagrams: bool) -> Result<(), Failure> {
    if plan.connections == 0 || plan.talking > plan.connections {
        return Err(Failure::Plan("a load needs a connection, and no more can talk than there are"));
    }
    if plan.pipeline == 0 || plan.request.is_empty() || plan.reply.is_nothing() {
        return Err(Failure::Plan("a load needs a request, a reply, and at least one of them at a time"));
    }
    if datagrams && plan.pipeline > 1 {
        return Err(Failure::Plan("datagrams go out one at a time"));
    }
    Ok(())
}
