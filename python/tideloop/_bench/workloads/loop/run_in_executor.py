"""A call in another thread, awaited, one after another."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


async def run_in_executor(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        if await loop.run_in_executor(None, int) != 0:
            raise WrongAnswer


WORKLOAD = Operations("`await run_in_executor(…)`", run_in_executor, operations=500, needs=("threads",), wall=True)
