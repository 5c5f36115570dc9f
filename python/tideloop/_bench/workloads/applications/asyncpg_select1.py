"""asyncpg: the shortest query, again and again on one connection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import postgres
from tideloop._bench.workload import Context, Requests, check


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Connect."""
    before_libraries(asyncio)
    connection = await postgres.connect(context.service)
    try:

        async def one(k: int) -> None:
            value = await connection.fetchval("SELECT 1")
            check(value == 1, f"SELECT 1 is {value!r}")

        yield one
    finally:
        await connection.close()


WORKLOAD = Requests("asyncpg: `SELECT 1`", connected, service=postgres.SERVICE, unit="statement", requires=("asyncpg",))
