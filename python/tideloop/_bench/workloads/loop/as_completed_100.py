"""A hundred coroutines by `as_completed`, as its plain iterator; an operation is one of them."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def noop() -> int:
    return 1


async def as_completed_100(asyncio: Any, n: int) -> None:
    for _ in range(n // 100):
        total = 0
        for next_done in asyncio.as_completed([noop() for _ in range(100)]):
            total += await next_done
        check(total == 100)


WORKLOAD = Operations("`as_completed` of 100", as_completed_100)
