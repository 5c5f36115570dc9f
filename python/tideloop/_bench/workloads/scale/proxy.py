"""A TCP proxy: all that comes from either side goes to the other, no faster than that takes it."""

from __future__ import annotations

from typing import Any

from tideloop._bench.echoes import BACKLOG, HOST, kept
from tideloop._bench.loads import ProxyLoad
from tideloop._bench.workload import Address, Context, Names, Served

#: In 21 rounds, the least of a whole run, a GiB goes each way.
LEAST_MIB = 50


async def serve(asyncio: Names, context: Context) -> Address:
    """Connect each client to where its first line says, and pass on all the rest."""
    loop = asyncio.get_running_loop()
    connecting = set()

    class Side(asyncio.Protocol):  # type: ignore[misc]
        other: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.other.transport.write(data)

        def pause_writing(self) -> None:
            self.other.transport.pause_reading()

        def resume_writing(self) -> None:
            self.other.transport.resume_reading()

        def connection_lost(self, error: Exception | None) -> None:
            if self.other is not None:
                self.other.transport.close()

    class Client(Side):
        first = b""

        def data_received(self, data: bytes) -> None:
            if self.other is not None:
                self.other.transport.write(data)
                return
            self.first += data
            if b"\n" in self.first:
                self.transport.pause_reading()
                task = loop.create_task(self.connect())
                connecting.add(task)
                task.add_done_callback(connecting.discard)

        async def connect(self) -> None:
            port, _, rest = self.first.partition(b"\n")
            _, server = await loop.create_connection(Side, HOST, int(port))
            self.other, server.other = server, self
            server.transport.write(rest)
            self.transport.resume_reading()

    return kept(context, await loop.create_server(Client, HOST, 0, backlog=BACKLOG))


WORKLOAD = Served(
    "TCP proxy, a MiB each way at once, every byte compared",
    serve,
    ProxyLoad(LEAST_MIB),
    unit="MiB",
    names=False,
)
