"""What a workload is: the five kinds, what they are handed, and what a load on a server has to offer.

A workload is one file below `workloads/`, named as on the command line, with one assignment:

    WORKLOAD = Operations("`await sleep(0)`", sleep0, operations=2000)

All files are imported to list them, so a file imports nothing but the standard library and `tideloop._bench` at its
top; libraries that it measures go into `requires` and are imported inside its functions. A file never imports
`tideloop`: what a program would take from asyncio it takes from its argument `asyncio`, which is the module that the
peer's program imports under that name (the standard library's, or Tideloop itself for the peer `tideloop+`). Processes
of other peers do not have Tideloop loaded at all.

Whatever a workload does is checked where it is done: a wrong answer raises (`assert` is not enough, since Python may
run with -O: use `check`). Any exception fails the workload for that peer, with its text; NotImplementedError says that
the peer lacks what is asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tideloop._bench.peers import Peer

__all__ = [
    "Address",
    "Context",
    "Held",
    "Histogram",
    "Load",
    "Measured",
    "Operations",
    "Requests",
    "Served",
    "Service",
    "Started",
    "Workload",
    "WrongAnswer",
    "check",
]

#: Where a server listens: host and port, or the path of a Unix socket.
Address = tuple[str, int] | str

#: The module whose names the program uses: the standard library's asyncio, or one that has all of its names.
Names = Any


class WrongAnswer(Exception):
    """A result that is not what it has to be; the text says what came instead."""


def check(right: bool, what: str = "the result is wrong") -> None:
    """Raise WrongAnswer(what) unless `right`."""
    if not right:
        raise WrongAnswer(what)


@dataclass(frozen=True)
class Context:
    """What a workload is told about its surroundings, in the worker's process."""

    peer: str
    """The peer's name on the command line, such as "tideloop+"."""
    folder: Path
    """An empty folder of this worker's own, short enough for the path of a Unix socket in it; removed afterwards."""
    service: Any = None
    """What the workload's service yielded (after a trip through JSON: tuples are lists); None without a service."""
    certificate: Path | None = None
    """A self-signed certificate for localhost and 127.0.0.1 (PEM); None unless the workload needs "tls"."""
    key: Path | None = None
    """The certificate's private key (PEM)."""
    keep: list[Any] = field(default_factory=list)
    """For what has to live as long as the worker, such as a server that a loop does not keep alive by itself."""

    def server_tls(self) -> ssl.SSLContext:
        """Return a new context for a server with the certificate."""
        if self.certificate is None:
            raise RuntimeError('no certificate: the workload has to say needs=("tls",)')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_tls(self) -> ssl.SSLContext:
        """Return a new context for a client that trusts the certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


class Histogram:
    """Latencies: how often each was seen, kept to within 1 %, so that millions of them stay small."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """`pairs` are (nanoseconds, how often), as another histogram's `pairs` or a native load gives them."""
        self.counts: dict[int, int] = {}
        for latency_ns, count in pairs:
            self.add(latency_ns, count)

    def add(self, latency_ns: int, count: int = 1) -> None:
        """Add one latency, seen `count` times."""
        shift = max(0, latency_ns.bit_length() - 7)  # the seven highest bits stay: at most 0.8 % from the middle
        middle = latency_ns if not shift else (latency_ns >> shift << shift) + (1 << shift >> 1)
        self.counts[middle] = self.counts.get(middle, 0) + count

    def merge(self, other: Histogram) -> None:
        """Add all that another one has seen."""
        for latency_ns, count in other.counts.items():
            self.counts[latency_ns] = self.counts.get(latency_ns, 0) + count

    @property
    def total(self) -> int:
        """How many latencies were added."""
        return sum(self.counts.values())

    def pairs(self) -> list[tuple[int, int]]:
        """Return (nanoseconds, how often) in ascending order."""
        return sorted(self.counts.items())

    def percentile_ns(self, percent: float) -> int:
        """Return the latency that `percent` of all do not exceed. ValueError if there are none."""
        wanted = self.total * percent / 100
        seen = 0
        for latency_ns, count in self.pairs():
            seen += count
            if seen >= wanted:
                return latency_ns
        raise ValueError("no latencies")


@dataclass
class Measured:
    """What a load did in one slice."""

    operations: int
    """Operations that were finished and found right."""
    latencies: Histogram = field(default_factory=Histogram)
    """One per operation, or per request if a request has several; empty where there is nothing to time."""
    wall_ns: int | None = None
    """From the first request to the last answer; None: the laboratory's own clock around the slice is right."""


class Load(Protocol):
    """What is put on a server: a class of `loads.py`. It runs in a process of its own, on another processor.

    The instance is made when the workload's file is imported, in several processes: making it opens nothing. In the
    load's process there are then one `connect`, any number of `run`, and one `close`, all called synchronously from the
    main thread, which has no running loop. SIGINT is ignored there; the process is killed if it hangs.
    """

    def connect(self, address: Address) -> None:
        """Open everything to the server at `address`, which is up, and make sure that it answers."""

    def run(self, seconds: float) -> Measured:
        """Keep the server busy for `seconds` and return when every reply has arrived.

        Every reply is checked: raise WrongAnswer for a wrong one, and for a server that is silent for 5 s.
        """

    def close(self) -> None:
        """Close everything."""


@dataclass(frozen=True)
class Service:
    """Another program that clients talk to, started once for all peers and pinned away from the workers."""

    name: str
    """Such as "redis"."""
    start: Callable[[Path], AbstractContextManager[Any]]
    """Called in a process of its own with an empty folder. Entered, it starts the program (a child or a daemon thread:
    the main thread then waits for the end) and yields what workers need to reach it, such as ["127.0.0.1", 6379]: any
    JSON value, and not before the program answers. Left, it stops it. Children inherit the pinning, and are killed if
    they are still there."""
    missing: Callable[[], str | None] = lambda: None
    """Says why it cannot be started here ("redis-server is not installed"), or None. Called in the parent."""
    version: Callable[[], str | None] = lambda: None
    """Returns the program's version, None for our own. Called in the parent, where it is not missing."""


@dataclass(frozen=True, kw_only=True)
class _Common:
    unit: str = "operation"
    """What one operation is, in the singular: "message", "request", "MiB"."""
    requires: tuple[str, ...] = ()
    """Modules that must be installed, by import name: ("aiohttp",). Without them the workload is skipped and named."""
    needs: tuple[str, ...] = ()
    """What the loop has to offer beyond TCP, some of `peers.TRAITS`; a peer that lacks one is skipped and named."""
    descriptors: int = 0
    """How many connections a process keeps open at the same time; where the limit of descriptors is below that, the
    workload is skipped, and the limit named. The processes raise their own limit as far as they may."""
    names: bool = True
    """False: the program takes nothing from `asyncio` that differs (a library's server), so `tideloop+` is left out."""


@dataclass(frozen=True)
class Operations(_Common):
    """Work inside of one process: `await body(asyncio, n)` does n operations and checks its result."""

    title: str
    body: Callable[[Names, int], Coroutine[Any, Any, None]]
    operations: int = 2000
    """The n that `body` is called with, always this one. A slice is as many calls as fit, one after another in one
    task of a loop that stays; one call should take 0.2 to 50 ms."""
    wall: bool = field(default=False, kw_only=True)
    """Count wall time instead of processor time, and do not pin: for work with threads."""


@dataclass(frozen=True)
class Requests(_Common):
    """A client on the peer: the worker opens it once, and calls `one` again and again, each call timed."""

    title: str
    open: Callable[[Names, Context], AbstractAsyncContextManager[Callable[[int], Awaitable[None]]]]
    """`async with open(asyncio, context) as one` connects and yields a coroutine function. `await one(k)` makes one
    request and checks the answer; k is the number of the task that calls, 0 to concurrency - 1, so that each task can
    have a connection of its own. It is entered once, in the worker's loop, before the first slice, and stays open.
    Processor time is that of the worker's whole process."""
    concurrency: int = field(default=1, kw_only=True)
    """How many tasks call `one` at the same time, each as soon as its last call has ended."""
    operations: int = field(default=1, kw_only=True)
    """How many operations one call is (100 for a pipeline of 100 commands). Latencies are per call."""
    service: Service | None = field(default=None, kw_only=True)
    """What the client talks to; what it yielded is `context.service`."""


@dataclass(frozen=True)
class Served(_Common):
    """A server on the peer, with a load from another process. Processor time is that of the server's whole process."""

    title: str
    serve: Callable[[Names, Context], Awaitable[Address]]
    """`address = await serve(asyncio, context)` starts to listen and returns where: ("127.0.0.1", port), with a port
    that the kernel chose (listen on port 0), or `str(context.folder / "socket")`. The loop then runs until the process
    is killed, so that nothing has to be closed; what must live goes into `context.keep`."""
    load: Load
    floor: bool = field(default=False, kw_only=True)
    """True: the load expects an echo over a TCP stream, so that the peer raw_epoll can serve it, too."""


@dataclass(frozen=True)
class Started(_Common):
    """Whole processes: each operation starts one, waits for its end, and looks at its status and output."""

    title: str
    command: Callable[[Peer], list[str] | None]
    """Returns the command for this peer, sys.executable first, or None if there is no sense in it. It is run with an
    empty standard input and the environment of the laboratory, its bytecode compiled before. `-P` keeps the files of
    the current folder out. `peer.module` and `peer.loop` say what to import."""
    output: str = field(default="", kw_only=True)
    """All that the process has to print."""
    unit: str = field(default="start", kw_only=True)


@dataclass(frozen=True)
class Held(_Common):
    """Memory of many things that are there and do nothing: by how much a fresh process grows, divided by their number.

    The cost of an operation is then bytes, not time.
    """

    title: str
    hold: Callable[[Names, Context], AbstractAsyncContextManager[Callable[[int], Awaitable[None]]]]
    """`async with hold(asyncio, context) as more` yields a coroutine function: `await more(n)` makes n more things, and
    they stay. It is called for a few first, and then for all that count; the process ends without leaving it."""
    things: int
    """How many are made: enough for the pages of memory to be a fine measure."""


Workload = Operations | Requests | Served | Started | Held
