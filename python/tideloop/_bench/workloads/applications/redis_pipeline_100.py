"""redis-py's asyncio client: a hundred GETs in one pipeline."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services.redis import SERVICE
from tideloop._bench.workload import Context, Requests, check

KEY, VALUE = "tideloop-pipeline", b"value"
COMMANDS = 100


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Make a client and set the key."""
    before_libraries(asyncio)
    import redis.asyncio

    host, port = context.service
    async with redis.asyncio.Redis(host=host, port=port) as client:
        await client.set(KEY, VALUE)

        async def one(k: int) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for _ in range(COMMANDS):
                    pipeline.get(KEY)
                values = await pipeline.execute()
            check(values == [VALUE] * COMMANDS, f"the values are {values!r}")

        yield one


WORKLOAD = Requests(
    "redis-py: a pipeline of 100 GETs",
    connected,
    operations=COMMANDS,
    service=SERVICE,
    unit="command",
    requires=("redis",),
)
