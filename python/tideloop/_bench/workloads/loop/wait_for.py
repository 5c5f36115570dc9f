"""A coroutine under a time limit, which never waits."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


async def noop() -> int:
    return 1


async def wait_for(asyncio: Any, n: int) -> None:
    for _ in range(n):
        if await asyncio.wait_for(noop(), 10) != 1:
            raise WrongAnswer


WORKLOAD = Operations("`await wait_for(…)`", wait_for)
