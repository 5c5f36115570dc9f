"""Two thousand tasks that sleep for 0 to 10 ms at the same time."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def sleep_many(asyncio: Any, n: int) -> None:
    slept = await asyncio.gather(*[asyncio.sleep(0.0001 * (number % 100), number) for number in range(n)])
    check(slept == list(range(n)))


WORKLOAD = Operations("2,000 sleeps of 0 to 10 ms at once", sleep_many)
