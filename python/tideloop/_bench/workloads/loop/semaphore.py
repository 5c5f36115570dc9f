"""A semaphore that is free; it never reaches the loop."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def semaphore(asyncio: Any, n: int) -> None:
    gate = asyncio.Semaphore(10)
    for _ in range(n):
        async with gate:
            pass
    check(not gate.locked())


WORKLOAD = Operations("`async with semaphore`", semaphore)
