"""Twenty thousand calls handed to other threads at once."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def run_in_executor_burst(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*[loop.run_in_executor(None, int) for _ in range(n)])
    check(results == [0] * n)


WORKLOAD = Operations(
    "`run_in_executor`, 20,000 at once", run_in_executor_burst, operations=20_000, needs=("threads",), wall=True
)
