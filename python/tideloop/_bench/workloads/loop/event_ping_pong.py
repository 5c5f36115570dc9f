"""Two tasks that set each other's event; an operation is there and back."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def event_ping_pong(asyncio: Any, n: int) -> None:
    there, back = asyncio.Event(), asyncio.Event()
    count = 0

    async def left() -> None:
        for _ in range(n):
            await there.wait()
            there.clear()
            back.set()

    async def right() -> None:
        nonlocal count
        for _ in range(n):
            there.set()
            await back.wait()
            back.clear()
            count += 1

    await asyncio.gather(left(), right())
    check(count == n)


WORKLOAD = Operations("`Event`, there and back", event_ping_pong)
