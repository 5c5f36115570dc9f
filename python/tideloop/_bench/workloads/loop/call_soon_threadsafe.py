"""Another thread that calls into the loop twenty thousand times."""

import threading
from typing import Any

from tideloop._bench.workload import Operations, check


async def call_soon_threadsafe(asyncio: Any, n: int) -> None:
    loop = asyncio.get_running_loop()
    done, count = loop.create_future(), 0

    def arrive() -> None:
        nonlocal count
        count += 1
        if count == n:
            done.set_result(count)

    def other() -> None:
        for _ in range(n):
            loop.call_soon_threadsafe(arrive)

    thread = threading.Thread(target=other)
    thread.start()
    check(await done == n)
    thread.join()


WORKLOAD = Operations(
    "`call_soon_threadsafe` from a thread", call_soon_threadsafe, operations=20_000, needs=("threads",), wall=True
)
