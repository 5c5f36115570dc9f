"""TCP with a buffered protocol: the transport receives into the protocol's own buffer."""

from __future__ import annotations

from typing import Any

from tideloop._bench.echoes import BACKLOG, HOST, kept
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Address, Context, Names, Served

BUFFER_BYTES = 256 * 1024


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve, each connection with a buffer of its own."""

    class Echo(asyncio.BufferedProtocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.transport, self.buffer = transport, bytearray(BUFFER_BYTES)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.transport.write(self.buffer[:nbytes])

    return kept(context, await asyncio.get_running_loop().create_server(Echo, HOST, 0, backlog=BACKLOG))


WORKLOAD = Served(
    "TCP, buffered protocol: 1 KiB, 100 connections",
    serve,
    StreamLoad(message(1024), connections=100),
    unit="message",
    floor=True,
    names=False,
)
