"""Five philosophers who each take the fork on the left first, and what the deadlock detector says of them.

    python examples/starving_philosophers.py

As soon as each has one fork all of them would starve: `philosophers.py` has the way out. Here the report names the five
while they hold what the next one needs; with `victim=True` one of them gets an error, and so puts its fork down.
"""

import asyncio
import threading

from tideloop import observe
from tideloop.sync import Barrier, Lock

NAMES = ("Aristotle", "Hypatia", "Kant", "Simone", "Zhuangzi")
IN_TASKS = ("Hypatia", "Kant")

forks = [Lock() for _ in NAMES]
each_has_one = Barrier(len(NAMES))
eaten: list[str] = []


def forks_of(name: str) -> tuple[Lock, Lock]:
    seat = NAMES.index(name)
    return forks[seat], forks[(seat + 1) % len(NAMES)]


def dine_in_a_thread(name: str) -> None:
    left, right = forks_of(name)
    try:
        with left:
            each_has_one.wait()
            with right:
                eaten.append(name)
    except observe.DeadlockError:
        print("one gives up, and its neighbour eats")


async def dine_in_a_task(name: str) -> None:
    left, right = forks_of(name)
    try:
        async with left:
            await each_has_one.wait()
            async with right:
                eaten.append(name)
    except observe.DeadlockError:
        print("one gives up, and its neighbour eats")


def show(deadlock: observe.Deadlock) -> None:
    for member in sorted(deadlock.members, key=lambda member: member.name):
        print(f"{member.name}, a {member.kind}, holds {len(member.holds)} fork and waits for another")


async def main() -> None:
    observe.deadlocks(victim=True, report=show)
    threads = [
        threading.Thread(target=dine_in_a_thread, args=(name,), name=name) for name in NAMES if name not in IN_TASKS
    ]
    for thread in threads:
        thread.start()
    await asyncio.gather(*[asyncio.create_task(dine_in_a_task(name), name=name) for name in IN_TASKS])
    for thread in threads:
        await asyncio.to_thread(thread.join)
    print(f"{len(eaten)} of {len(NAMES)} have eaten")


if __name__ == "__main__":
    asyncio.run(main())
