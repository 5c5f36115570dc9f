"""Crowds: tasks and timers that are there while something is measured, and stay from one call to the next."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from tideloop._bench.workload import Names, check

__all__ = ["switches", "timers"]

Body = Callable[[Names, int], Coroutine[Any, Any, None]]

#: Pending timers are due some day within these seconds: never while we measure.
DELAY_SECONDS = (1000.0, 100_000.0)
DELAYS = 4099


def switches(waiting: int = 0, switching: int = 100) -> Body:
    """Return a body whose operation is one `sleep(0)` of one of `switching` tasks, while `waiting` others wait."""
    crowd: list[Any] = []

    async def body(asyncio: Names, n: int) -> None:
        loop = asyncio.get_running_loop()
        if len(crowd) < waiting:
            crowd.extend(loop.create_task(_wait(loop)) for _ in range(waiting))
            await asyncio.sleep(0)
        tasks = [asyncio.create_task(_switch(asyncio, n // switching)) for _ in range(switching)]
        for task in tasks:
            check(await task == n // switching)

    return body


async def _wait(loop: Any) -> None:
    await loop.create_future()


async def _switch(asyncio: Names, times: int) -> int:
    sleep = asyncio.sleep
    for _ in range(times):
        await sleep(0)
    return times


def timers(pending: int) -> Body:
    """Return a body whose operation is a `call_later` and a `cancel`, while `pending` other timers are there."""
    crowd: list[Any] = []
    chance = random.Random(pending)
    delays = [chance.uniform(*DELAY_SECONDS) for _ in range(DELAYS)]
    called: list[int] = []

    async def body(asyncio: Names, n: int) -> None:
        loop = asyncio.get_running_loop()
        if not crowd:
            crowd.extend(loop.call_later(chance.uniform(*DELAY_SECONDS), called.append, 1) for _ in range(pending))
        schedule = loop.call_later
        for number in range(n):
            schedule(delays[number % DELAYS], called.append, 2).cancel()
        # A turn of the loop, for those that throw out what was cancelled in their own time.
        await asyncio.sleep(0)
        check(not called, f"{len(called)} timers have run that must not")

    return body
