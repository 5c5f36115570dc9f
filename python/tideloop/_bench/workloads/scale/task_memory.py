"""What a task takes that waits: task, coroutine, and the future that it waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tideloop._bench.workload import Context, Held, Names


async def wait(loop: Any) -> None:
    """Wait for a future that nobody else has."""
    await loop.create_future()


@asynccontextmanager
async def tasks(asyncio: Names, context: Context) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Keep tasks, each where it waits."""
    kept: list[Any] = []
    loop = asyncio.get_running_loop()

    async def more(count: int) -> None:
        kept.extend(asyncio.create_task(wait(loop)) for _ in range(count))
        await asyncio.sleep(0)

    yield more


WORKLOAD = Held("memory of a task that waits for a future", tasks, things=100_000, unit="task")
