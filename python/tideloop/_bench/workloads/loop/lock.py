"""A lock that is free; it never reaches the loop."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def lock(asyncio: Any, n: int) -> None:
    gate = asyncio.Lock()
    for _ in range(n):
        async with gate:
            pass
    check(not gate.locked())


WORKLOAD = Operations("`async with lock`", lock)
