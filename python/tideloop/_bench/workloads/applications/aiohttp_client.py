"""A client of HTTP with aiohttp: one session, ten tasks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import http_responder
from tideloop._bench.workload import Context, Requests, check


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Open a session."""
    before_libraries(asyncio)
    import aiohttp

    host, port = context.service
    async with aiohttp.ClientSession() as session:

        async def one(k: int) -> None:
            async with session.get(f"http://{host}:{port}/") as response:
                body = await response.read()
                check(response.status == 200 and body == http_responder.BODY, f"{response.status} {body!r}")

        yield one


WORKLOAD = Requests(
    "aiohttp's client, 10 requests at a time",
    connected,
    concurrency=10,
    service=http_responder.SERVICE,
    unit="request",
    requires=("aiohttp",),
)
