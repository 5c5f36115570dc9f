"""What a TCP connection takes that is silent: transport and protocol, in the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tideloop._bench import idle_clients
from tideloop._bench.echoes import BACKLOG, HOST, kept
from tideloop._bench.workload import Context, Held, Names


@asynccontextmanager
async def connections(asyncio: Names, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Serve echoes, and have clients connect from another process; each sends one message."""
    loop = asyncio.get_running_loop()
    greeted, wanted, all_there = 0, 0, loop.create_future()

    class Echo(asyncio.Protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            nonlocal greeted
            self.transport.write(data)
            greeted += 1
            if greeted == wanted:
                all_there.set_result(None)

    server = await loop.create_server(Echo, HOST, 0, backlog=BACKLOG)
    port = kept(context, server)[1]
    command = [sys.executable, "-I", "-S", idle_clients.__file__, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as clients:
        orders = clients.stdin
        assert orders is not None

        async def more(count: int) -> None:
            nonlocal all_there, wanted
            wanted, all_there = wanted + count, loop.create_future()
            orders.write(b"%d\n" % count)
            orders.flush()
            await asyncio.wait_for(all_there, idle_clients.SILENCE_SECONDS_MAX)

        yield more
        orders.close()


WORKLOAD = Held(
    "memory of an idle TCP connection with a protocol",
    connections,
    things=10_000,
    unit="connection",
    descriptors=11_000,  # a tenth of them come first, see held.py
    names=False,
)
