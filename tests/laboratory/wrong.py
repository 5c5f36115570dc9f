"""A server whose answers are wrong after a while, on every peer but asyncio."""

from __future__ import annotations

from typing import Any

from laboratory.echo import PlainLoad
from laboratory.echo import serve as echo
from tideloop._bench.workload import Address, Context, Served


async def serve(asyncio: Any, context: Context) -> Address:
    if context.peer == "asyncio":
        return await echo(asyncio, context)
    seen = 0

    class Forgetful(asyncio.Protocol):  # type: ignore[misc, name-defined]
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            nonlocal seen
            seen += 1
            self.transport.write(data if seen < 20 else data.upper())

    server = await asyncio.get_running_loop().create_server(Forgetful, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    return host, port


WORKLOAD = Served("echo", serve, PlainLoad(), unit="message")
