"""What is put on servers: echoes and HTTP, datagrams, TLS, handshakes, a proxy. Each checks every byte that it gets.

A load is an instance that a workload's file makes, see `workload.Load`; the names below are all that such a file needs:

    WORKLOAD = Served("TCP echo", serve, StreamLoad(message(1024), connections=100), unit="message", floor=True)
    WORKLOAD = Served("hello", serve, StreamLoad(HTTP_REQUEST, HttpReply(b"hello"), connections=32), unit="request")

Streams and datagrams are made natively (`tideloop._native.LoadGenerator`, which shares no code with the event loop), so
that a server is always what there is to wait for; the rest is Python on plain sockets, in `secure_loads.py` and
`proxy_load.py`.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tideloop._bench.proxy_load import ProxyLoad
from tideloop._bench.secure_loads import HandshakeLoad, TlsLoad
from tideloop._bench.workload import Address, Histogram, Measured, WrongAnswer

if TYPE_CHECKING:
    from tideloop._native import LoadGenerator

__all__ = ["DatagramLoad", "HalfLoad", "HandshakeLoad", "HttpReply", "ProxyLoad", "StreamLoad", "TlsLoad", "message"]

#: A server that says nothing for so long hangs.
SILENCE_SECONDS_MAX = 5.0
#: How often, and for how long, a server is driven as hard as it can be, to learn what that is.
SATURATIONS = 5
SATURATION_SECONDS = 0.2


def message(size: int) -> bytes:
    """Return a message of `size` bytes that ends in its only newline; the others tell one position from another."""
    letters = random.Random(size).choices(range(33, 127), k=size - 1)
    return bytes(letters) + b"\n"


@dataclass(frozen=True)
class HttpReply:
    """A reply of HTTP/1.1 that is known by its body.

    It has to have status 200, exactly one content-length, which is the body's, no transfer-encoding, and this body,
    byte by byte; its reason and other headers (date, server) may be anything. The connection has to stay open.
    """

    body: bytes


@dataclass
class StreamLoad:
    """Requests on many connections over TCP or a Unix socket: a connection sends the next when its reply is complete.

    `request` is sent as it is; for HTTP that is a whole request of version 1.1, with its Host and an empty line, such
    as b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n", and a body if its content-length says so.
    """

    request: bytes
    reply: bytes | HttpReply | None = None
    """The exact bytes that answer, an `HttpReply`, or None for an echo of the request."""
    connections: int = 100
    talking: int | None = None
    """How many of the connections talk, None for all; the others have made one request when they were opened."""
    pipeline: int = 1
    """How many requests a connection sends at once before it waits for all of their replies. Each is an operation."""
    datagrams: bool = field(default=False, init=False)
    _generator: LoadGenerator | None = field(default=None, init=False, repr=False)

    def connect(self, address: Address) -> None:
        """Open all connections, and have one request answered on each."""
        from tideloop._native import LoadGenerator

        reply = self.request if self.reply is None else self.reply
        http = isinstance(reply, HttpReply)
        try:
            self._generator = LoadGenerator(
                address,
                self.request,
                reply.body if isinstance(reply, HttpReply) else reply,
                http=http,
                datagrams=self.datagrams,
                connections=self.connections,
                talking=self.connections if self.talking is None else self.talking,
                pipeline=self.pipeline,
                silence=SILENCE_SECONDS_MAX,
            )
        except (ValueError, ConnectionError, TimeoutError) as error:
            raise WrongAnswer(str(error)) from None

    def run(self, seconds: float) -> Measured:
        """Send for `seconds`, and return when the last reply has arrived."""
        return self._slice(seconds, None)

    def close(self) -> None:
        """Close all connections."""
        if self._generator is not None:
            self._generator.close()
            self._generator = None

    def _slice(self, seconds: float, rate: float | None) -> Measured:
        assert self._generator is not None, "not connected"
        try:
            operations, wall_ns, latencies = self._generator.slice(seconds, rate)
        except (ValueError, ConnectionError, TimeoutError) as error:
            raise WrongAnswer(str(error)) from None
        return Measured(operations, Histogram(latencies), wall_ns)


class DatagramLoad(StreamLoad):
    """Messages by UDP, from many sockets: each sends the next when the one before it has come back as one datagram.

    What is on its way has to fit into the server's receive buffer (212,992 bytes as systems come, of which each
    datagram takes more than its own size), or the kernel drops some, and the slice fails.
    """

    def __init__(self, request: bytes, *, connections: int) -> None:
        """Make a load with so many sockets."""
        super().__init__(request, connections=connections)
        self.datagrams = True


class HalfLoad(StreamLoad):
    """An open loop: a fixed rate of requests, half of what this server can do, whether it keeps up or not.

    Latencies count from the time at which a request was to go out. What the server can do is tried in the first slice,
    which belongs to the warm-up.
    """

    _rate: float | None = None

    def run(self, seconds: float) -> Measured:
        """Send at that rate for `seconds`, and return when the last reply has arrived."""
        if self._rate is None:
            tried = [self._slice(SATURATION_SECONDS, None) for _ in range(SATURATIONS)]
            self._rate = statistics.median(each.operations * 1e9 / (each.wall_ns or 1) for each in tried) / 2
        return self._slice(seconds, self._rate)
