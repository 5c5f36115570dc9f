"""Five philosophers at a round table, five forks, and each needs two of them to eat: threads and tasks, side by side.

    python examples/philosophers.py [MEALS]

Each philosopher takes the fork on the left first, and with locks taken one by one they would starve as soon as each has
one. `acquire_all` takes them in an order that all locks have, so nobody ever waits in a circle.
"""

import asyncio
import sys
import threading

from tideloop.sync import AtomicInt, Lock, acquire_all

NAMES = ("Aristotle", "Hypatia", "Kant", "Simone", "Zhuangzi")


class Table:
    def __init__(self, meals: int) -> None:
        self.forks = [Lock() for _ in NAMES]
        self.left = AtomicInt(meals)
        self.eaten = [0] * len(NAMES)
        self.eating = [False] * len(NAMES)

    def forks_of(self, seat: int) -> tuple[Lock, Lock]:
        return self.forks[seat], self.forks[(seat + 1) % len(NAMES)]

    def eat(self, seat: int) -> None:
        neighbours = (seat - 1, (seat + 1) % len(NAMES))
        assert not any(self.eating[neighbour] for neighbour in neighbours), "two with one fork"
        self.eating[seat] = True
        self.eaten[seat] += 1
        self.eating[seat] = False

    def dine_in_a_thread(self, seat: int) -> None:
        while self.left.fetch_sub(1) > 0:
            with acquire_all(*self.forks_of(seat)):
                self.eat(seat)

    async def dine_in_a_task(self, seat: int) -> None:
        while self.left.fetch_sub(1) > 0:
            async with acquire_all(*self.forks_of(seat)):
                self.eat(seat)
            await asyncio.sleep(0)  # think


async def main(meals: int) -> None:
    table = Table(meals)
    threads = [threading.Thread(target=table.dine_in_a_thread, args=(seat,)) for seat in (0, 2)]
    for thread in threads:
        thread.start()
    async with asyncio.TaskGroup() as group:
        for seat in (1, 3, 4):
            group.create_task(table.dine_in_a_task(seat))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    print(f"{sum(table.eaten)} meals, and no fork is taken: {not any(fork.locked() for fork in table.forks)}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
