"""A hundred coroutines at once by `gather`; an operation is one of them."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def noop() -> int:
    return 1


async def gather_100(asyncio: Any, n: int) -> None:
    for _ in range(n // 100):
        check(sum(await asyncio.gather(*[noop() for _ in range(100)])) == 100)


WORKLOAD = Operations("`gather` of 100", gather_100)
