"""A lock that ten tasks want, each yielding while it holds it."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def lock_contended_10(asyncio: Any, n: int) -> None:
    gate, count = asyncio.Lock(), 0

    async def one(times: int) -> None:
        nonlocal count
        for _ in range(times):
            async with gate:
                before = count
                await asyncio.sleep(0)
                count = before + 1

    await asyncio.gather(*[one(n // 10) for _ in range(10)])
    check(count == n)


WORKLOAD = Operations("`async with lock` in each of 10 tasks", lock_contended_10)
