"""A client of HTTP with httpx: one request after another; its pool takes turns of its own when there are more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import http_responder
from tideloop._bench.workload import Context, Requests, check


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Make a client."""
    before_libraries(asyncio)
    import httpx

    host, port = context.service
    # The connection stays while other peers are in turn; a proxy of the environment's is nothing that we measure.
    limits = httpx.Limits(keepalive_expiry=None)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def one(k: int) -> None:
            response = await client.get(f"http://{host}:{port}/")
            right = response.status_code == 200 and response.content == http_responder.BODY
            check(right, f"{response.status_code} {response.content!r}")

        yield one


WORKLOAD = Requests(
    "httpx's client, one request at a time",
    connected,
    service=http_responder.SERVICE,
    unit="request",
    requires=("httpx",),
)
