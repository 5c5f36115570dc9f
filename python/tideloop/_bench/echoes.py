"""Echo servers of each kind of channel, as programs have them."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from tideloop._bench.workload import Address, Context, Names

__all__ = [
    "BACKLOG",
    "HOST",
    "READ_BYTES_MAX",
    "kept",
    "line_echo",
    "protocol",
    "serve_protocol",
    "serve_streams",
    "stream_echo",
]

HOST = "127.0.0.1"
#: Connections are opened many at a time.
BACKLOG = 1024
READ_BYTES_MAX = 1_000_000

StreamEcho = Callable[[Any, Any], Awaitable[None]]


def kept(context: Context, server: Any) -> Address:
    """Keep a server of one socket as long as the worker lives; return where it listens."""
    context.keep.append(server)
    host, port = server.sockets[0].getsockname()
    return host, port


def protocol(asyncio: Names) -> Any:
    """Return the class of a protocol that echoes."""

    class Echo(asyncio.Protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    return Echo


async def serve_protocol(asyncio: Names, context: Context, tls: ssl.SSLContext | None = None) -> Address:
    """Serve with a protocol."""
    loop = asyncio.get_running_loop()
    return kept(context, await loop.create_server(protocol(asyncio), HOST, 0, backlog=BACKLOG, ssl=tls))


async def stream_echo(reader: Any, writer: Any) -> None:
    """Echo what comes, as it comes."""
    while data := await reader.read(READ_BYTES_MAX):
        writer.write(data)
        await writer.drain()
    writer.close()


async def line_echo(reader: Any, writer: Any) -> None:
    """Echo line by line."""
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def serve_streams(
    asyncio: Names, context: Context, echo: StreamEcho = stream_echo, tls: ssl.SSLContext | None = None
) -> Address:
    """Serve with a reader and a writer."""
    return kept(context, await asyncio.start_server(echo, HOST, 0, backlog=BACKLOG, ssl=tls))
