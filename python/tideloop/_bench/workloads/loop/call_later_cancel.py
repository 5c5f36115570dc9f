"""A timer set and cancelled."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


def never() -> None:
    raise WrongAnswer("a cancelled timer ran")


async def call_later_cancel(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        loop.call_later(100, never).cancel()


WORKLOAD = Operations("`call_later`, cancelled", call_later_cancel)
