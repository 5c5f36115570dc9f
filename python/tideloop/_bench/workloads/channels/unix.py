"""A Unix socket with a protocol."""

from __future__ import annotations

from tideloop._bench.echoes import BACKLOG, protocol
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve on a path."""
    path = str(context.folder / "socket")
    server = await asyncio.get_running_loop().create_unix_server(protocol(asyncio), path, backlog=BACKLOG)
    context.keep.append(server)  # uvloop would close it when nobody has it
    return path


WORKLOAD = Served(
    "Unix socket, protocol: 1 KiB, 100 connections",
    serve,
    StreamLoad(message(1024), connections=100),
    unit="message",
    needs=("unix",),
    names=False,
)
