"""A future that a callback sets, awaited."""

from typing import Any

from tideloop._bench.workload import Operations, WrongAnswer


async def future_set_await(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(n):
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        if await future != 1:
            raise WrongAnswer


WORKLOAD = Operations("a future set by `call_soon`, awaited", future_set_await)
