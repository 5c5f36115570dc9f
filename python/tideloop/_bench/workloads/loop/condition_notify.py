"""Two tasks that take turns by a condition; an operation is one turn."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def condition_notify(asyncio: Any, n: int) -> None:
    condition, turn, count = asyncio.Condition(), 0, 0

    async def one(me: int) -> None:
        nonlocal turn, count
        for _ in range(n // 2):
            async with condition:
                while turn != me:
                    await condition.wait()
                turn = 1 - me
                count += 1
                condition.notify()

    await asyncio.gather(one(0), one(1))
    check(count == n)


WORKLOAD = Operations("`Condition`, by turns", condition_notify)
