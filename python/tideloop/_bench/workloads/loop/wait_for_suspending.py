"""A coroutine under a time limit, which yields once."""

from typing import Any

from tideloop._bench.workload import Operations


async def wait_for_suspending(asyncio: Any, n: int) -> None:
    for _ in range(n):
        await asyncio.wait_for(asyncio.sleep(0), 10)


WORKLOAD = Operations("`await wait_for(sleep(0))`", wait_for_suspending)
