"""A responder that says the same to every HTTP request without looking at it: as little as a server can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from tideloop._bench.services.background import listening
from tideloop._bench.services.programs import HOST
from tideloop._bench.workload import Service

__all__ = ["BODY", "SERVICE"]

BODY = b"Hello from the other side of the loopback interface. " * 5
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
END_OF_REQUEST = b"\r\n\r\n"


class Responder(asyncio.Protocol):
    """One connection. Requests have no body, so that each ends with its head."""

    def __init__(self, open_ones: set[asyncio.WriteTransport]) -> None:
        """`open_ones` has its transport as long as that is open."""
        self.open_ones = open_ones
        self.unfinished = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self.open_ones.add(transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that ends in the data."""
        *requests, self.unfinished = (self.unfinished + data).split(END_OF_REQUEST)
        self.transport.write(RESPONSE * len(requests))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self.open_ones.discard(self.transport)


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[asyncio.Server]:
    open_ones: set[asyncio.WriteTransport] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Responder(open_ones), HOST, 0)
    try:
        yield server
    finally:
        server.close()
        for transport in open_ones:
            transport.abort()


@contextlib.contextmanager
def start(folder: Path) -> Iterator[tuple[str, int]]:
    """Run it; its host and port."""
    with listening(_opened) as address:
        yield address


SERVICE = Service("http_responder", start)
