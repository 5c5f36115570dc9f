"""A hundred tasks that yield to each other."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def sleep0_100_tasks(asyncio: Any, n: int) -> None:
    async def one(times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(0)
        return times

    done = await asyncio.gather(*[one(n // 100) for _ in range(100)])
    check(sum(done) == n)


WORKLOAD = Operations("`await sleep(0)` in each of 100 tasks", sleep0_100_tasks, operations=10_000)
