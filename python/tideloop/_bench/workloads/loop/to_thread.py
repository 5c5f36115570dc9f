"""A call in another thread by `to_thread`, one after another."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


async def to_thread(asyncio: Any, n: int) -> None:
    for _ in range(n):
        if await asyncio.to_thread(int) != 0:
            raise WrongAnswer


WORKLOAD = Operations("`await to_thread(…)`", to_thread, operations=500, needs=("threads",), wall=True)
