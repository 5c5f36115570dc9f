"""A hundred tasks of a group; an operation is one of them."""

from typing import Any

from tideloop._bench.workload import Operations, check


async def noop() -> int:
    return 1


async def task_group_100(asyncio: Any, n: int) -> None:
    for _ in range(n // 100):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(noop()) for _ in range(100)]
        check(sum(task.result() for task in tasks) == 100)


WORKLOAD = Operations("`TaskGroup` of 100", task_group_100)
