"""A queue with room for a thousand items: neither side waits often."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def queue_buffered(asyncio: Any, n: int) -> None:
    queue = asyncio.Queue(1000)

    async def put() -> None:
        for number in range(n):
            await queue.put(number)

    async def get() -> int:
        return sum([await queue.get() for _ in range(n)])

    _, total = await asyncio.gather(put(), get())
    check(total == n * (n - 1) // 2)


WORKLOAD = Operations("`Queue(1000)`, put and got", queue_buffered, operations=20_000)
