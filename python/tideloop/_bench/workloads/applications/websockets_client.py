"""A client of WebSocket with the library `websockets`: one message there and back, again and again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import websocket_echo
from tideloop._bench.workload import Context, Requests, check

MESSAGE = "m" * 100


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Open a connection."""
    before_libraries(asyncio)
    from websockets.asyncio.client import connect

    host, port = context.service
    # A worker that is not in turn answers no pings.
    async with connect(f"ws://{host}:{port}", compression=None, ping_interval=None, proxy=None) as connection:

        async def one(k: int) -> None:
            await connection.send(MESSAGE)
            reply = await connection.recv()
            check(reply == MESSAGE, f"the reply is {reply!r}")

        yield one


WORKLOAD = Requests(
    "websockets: a client, one message of 100 bytes at a time",
    connected,
    service=websocket_echo.SERVICE,
    unit="message",
    requires=("websockets",),
)
