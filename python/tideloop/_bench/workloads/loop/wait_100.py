"""A hundred tasks waited for by `wait`; an operation is one of them."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def noop() -> int:
    return 1


async def wait_100(asyncio: Any, n: int) -> None:
    for _ in range(n // 100):
        done, pending = await asyncio.wait([asyncio.create_task(noop()) for _ in range(100)])
        check(len(done) == 100 and not pending)


WORKLOAD = Operations("`wait` for 100 tasks", wait_100)
