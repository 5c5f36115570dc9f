"""TCP with a reader that is asked for lines."""

from __future__ import annotations

from tideloop._bench.echoes import line_echo, serve_streams
from tideloop._bench.loads import StreamLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve line by line."""
    return await serve_streams(asyncio, context, line_echo)


WORKLOAD = Served(
    "TCP, streams, `readline`: ten lines of 100 bytes at a time, 100 connections",
    serve,
    StreamLoad(message(100), connections=100, pipeline=10),
    unit="line",
    floor=True,
)
