"""A task made and awaited, one after another."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def noop() -> int:
    return 1


async def create_task_await(asyncio: Any, n: int) -> None:
    total = 0
    for _ in range(n):
        total += await asyncio.create_task(noop())
    check(total == n)


WORKLOAD = Operations("`await create_task(…)`", create_task_await)
