"""A time limit entered and left."""

from typing import Any

from tideloop._bench.workload import Operations


async def timeout(asyncio: Any, n: int) -> None:
    for _ in range(n):
        async with asyncio.timeout(10):
            pass


WORKLOAD = Operations("`async with timeout(10)`", timeout)
