"""A priority queue of jobs between threads and tasks: first threads order and tasks work, then the other way round.

    python examples/priority_jobs.py

Urgent jobs go first; with `ageing`, one that has waited long becomes urgent by itself. The queue belongs to no loop and
to no thread: the same object has `put` and `get` that block a thread and that a task awaits.
"""

import asyncio
from dataclasses import dataclass, field

from tideloop.sync import PriorityQueue

JOBS = 12
AGEING_SECONDS = 5.0


@dataclass(order=True)
class Job:
    """What is to be done; the lowest urgency first."""

    urgency: int
    name: str = field(compare=False)


async def threads_order_and_tasks_work() -> list[str]:
    """Two threads put jobs, and two tasks do them."""
    jobs: PriorityQueue[Job] = PriorityQueue(4)
    done: list[str] = []

    def order(office: str) -> None:
        for number in range(JOBS):
            jobs.put(Job(number % 3, f"{office}{number}"))  # waits, in this thread, while the queue is full

    async def work() -> None:
        async for job in jobs:
            await asyncio.sleep(0)
            done.append(job.name)
            jobs.task_done()

    workers = [asyncio.create_task(work()) for _ in range(2)]
    await asyncio.gather(*[asyncio.to_thread(order, office) for office in "AB"])
    await jobs.join()
    jobs.shutdown()  # the iterations end
    await asyncio.gather(*workers)
    return done


async def tasks_order_and_threads_work() -> list[str]:
    """One task puts jobs as tuples `(urgency, name)`, and two threads do them."""
    jobs: PriorityQueue[tuple[int, str]] = PriorityQueue(ageing=AGEING_SECONDS)
    done: list[str] = []

    def work() -> None:
        for _, name in jobs:
            done.append(name)
            jobs.task_done()

    for number in range(JOBS):
        await jobs.put((JOBS - number, f"job {number}"))
    workers = [asyncio.create_task(asyncio.to_thread(work)) for _ in range(2)]
    await jobs.join()
    jobs.shutdown()
    await asyncio.gather(*workers)
    return done


async def main() -> None:
    first = await threads_order_and_tasks_work()
    print(f"tasks have done {len(first)} jobs that two threads ordered, {len(set(first))} different ones")
    second = await tasks_order_and_threads_work()
    print(f"threads have done {len(second)} jobs that a task ordered; among the first three: {sorted(second[:3])}")


if __name__ == "__main__":
    asyncio.run(main())
