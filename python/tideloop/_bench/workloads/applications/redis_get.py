"""redis-py's asyncio client: one GET after another."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services.redis import SERVICE
from tideloop._bench.workload import Context, Requests, check

KEY, VALUE = "tideloop-get", b"value" * 10


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Make a client and set the key."""
    before_libraries(asyncio)
    import redis.asyncio

    host, port = context.service
    async with redis.asyncio.Redis(host=host, port=port) as client:
        await client.set(KEY, VALUE)

        async def one(k: int) -> None:
            value = await client.get(KEY)
            check(value == VALUE, f"the value is {value!r}")

        yield one


WORKLOAD = Requests(
    "redis-py: `await client.get(key)`", connected, service=SERVICE, unit="command", requires=("redis",)
)
