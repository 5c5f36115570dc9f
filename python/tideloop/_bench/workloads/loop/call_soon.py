"""A callback that schedules itself again."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def call_soon(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    done, count = loop.create_future(), 0

    def step() -> None:
        nonlocal count
        count += 1
        if count < n:
            loop.call_soon(step)
        else:
            done.set_result(count)

    step()
    check(await done == n)


WORKLOAD = Operations("`call_soon` chain", call_soon)
