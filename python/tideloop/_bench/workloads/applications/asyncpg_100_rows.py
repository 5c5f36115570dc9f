"""asyncpg: a query whose answer has 100 rows, again and again on one connection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import postgres
from tideloop._bench.workload import Context, Requests, check

QUERY = "SELECT n, n * 0.5::float8, 'row ' || n FROM generate_series(1, 100) AS n"
ROWS = [(n, n * 0.5, f"row {n}") for n in range(1, 101)]


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Connect."""
    before_libraries(asyncio)
    connection = await postgres.connect(context.service)
    try:

        async def one(k: int) -> None:
            rows = await connection.fetch(QUERY)
            check(rows == ROWS, f"the rows are {rows!r}")

        yield one
    finally:
        await connection.close()


WORKLOAD = Requests(
    "asyncpg: a query with 100 rows", connected, service=postgres.SERVICE, unit="statement", requires=("asyncpg",)
)
