"""asyncpg: COPY of a table's text into the server and out again, on one connection."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tideloop._bench.applications import before_libraries
from tideloop._bench.services import postgres
from tideloop._bench.workload import Context, Requests, check

ROWS = 1_000
TEXT = b"".join(b"%d\t%s\n" % (n, b"x" * 250) for n in range(ROWS))
TABLE = "copied"


@contextlib.asynccontextmanager
async def connected(asyncio: Any, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Connect and make a table that nobody else sees."""
    before_libraries(asyncio)
    connection = await postgres.connect(context.service)
    try:
        await connection.execute(f"CREATE TEMPORARY TABLE {TABLE} (number integer, text text)")

        async def one(k: int) -> None:
            copied = await connection.copy_to_table(TABLE, source=io.BytesIO(TEXT))
            back = io.BytesIO()
            copied_back = await connection.copy_from_table(TABLE, output=back)
            await connection.execute(f"TRUNCATE {TABLE}")
            check(copied == copied_back == f"COPY {ROWS}", f"the server says {copied!r} and {copied_back!r}")
            check(back.getvalue() == TEXT, "the text that came back is not the one that was sent")

        yield one
    finally:
        await connection.close()


WORKLOAD = Requests(
    "asyncpg: COPY of 250 KiB there and back",
    connected,
    service=postgres.SERVICE,
    unit="transfer",
    requires=("asyncpg",),
)
