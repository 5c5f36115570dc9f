"""Datagram protocols and endpoints that the tests share."""

import asyncio
import contextlib
import socket

import pytest

from support import gone, until

LOCAL = ("127.0.0.1", 0)


class DatagramRecorder(asyncio.DatagramProtocol):
    """A protocol that writes down each callback in order."""

    def __init__(self):
        self.events = []
        self.datagrams = []
        self.errors = []
        self.transport = None
        self.lost = "not lost"

    @property
    def data(self):
        return [data for data, _ in self.datagrams]

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def datagram_received(self, data, addr):
        self.events.append("data")
        self.datagrams.append((data, addr))

    def error_received(self, exc):
        self.events.append("error")
        self.errors.append(exc)

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.events.append("lost")
        self.lost = exc


@contextlib.asynccontextmanager
async def endpoints(*options, factory=DatagramRecorder):
    """Endpoints of the running loop, a (transport, protocol) for each dictionary of arguments."""
    loop = asyncio.get_running_loop()
    made = []
    try:
        for one in options:
            made.append(await loop.create_datagram_endpoint(factory, **one))
        yield made
    finally:
        for transport, protocol in made:
            if "lost" not in protocol.events:  # then asyncio's abort() fails
                transport.abort()
        await gone(*[protocol for _, protocol in made])


@contextlib.asynccontextmanager
async def endpoint(factory=DatagramRecorder, **options):
    """One endpoint, by default bound to a free port of 127.0.0.1."""
    async with endpoints(options or {"local_addr": LOCAL}, factory=factory) as [one]:
        yield one


@contextlib.asynccontextmanager
async def connected_pair(factory=DatagramRecorder):
    """An endpoint that is bound, and one that is connected to it: (server, its protocol, client, its protocol)."""
    async with (
        endpoint(factory) as (server, serving),
        endpoint(factory, remote_addr=name_of(server)) as (client, asking),
    ):
        yield server, serving, client, asking


@contextlib.asynccontextmanager
async def full_pair(factory=DatagramRecorder):
    """A connected Unix endpoint whose peer's queue is full: (transport, protocol, peer socket, what was sent).

    Nothing of UDP's on the loopback is ever refused for now; of Unix datagrams it is.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as theirs:
        theirs.setblocking(False)
        theirs.bind("")  # the kernel chooses an abstract name
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.connect(theirs.getsockname())
        async with endpoint(factory, sock=ours) as (transport, protocol):
            sent = []
            while transport.get_write_buffer_size() == 0:
                assert len(sent) < 10_000
                sent.append(b"%d" % len(sent))
                transport.sendto(sent[-1])
            yield transport, protocol, theirs, sent


def name_of(transport):
    return transport.get_extra_info("sockname")


async def nobody():
    """An address that nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(LOCAL)
        return sock.getsockname()


async def read_all(peer, count):
    """`count` datagrams from a non-blocking socket."""
    got = []

    def read():
        with contextlib.suppress(BlockingIOError):
            while len(got) < count:
                got.append(peer.recv(1 << 18))
        return len(got) == count

    await until(read)
    return got


def _has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")
