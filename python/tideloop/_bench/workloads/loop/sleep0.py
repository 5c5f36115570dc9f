"""A task that yields to the loop, again and again."""

from typing import Any

from tideloop._bench.workload import Operations


async def sleep0(asyncio: Any, n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


WORKLOAD = Operations("`await sleep(0)`", sleep0)
