"""A coroutine shielded from cancellation."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


async def noop() -> int:
    return 1


async def shield(asyncio: Any, n: int) -> None:
    for _ in range(n):
        if await asyncio.shield(noop()) != 1:
            raise WrongAnswer


WORKLOAD = Operations("`await shield(…)`", shield)
