"""Threads and tasks of several loops use all shared primitives at random, and in the end every count is exact.

    python tests/soak/both.py [--operations 10000000] [--seed N]

Tasks are cancelled wherever they wait, time-outs are shorter than what is waited for, and loops are closed while tasks
of theirs wait. What is guarded by a lock is counted without any other care, so a count that is off is a lock that two
held.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gc
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import tideloop
from tideloop.sync import (
    Barrier,
    BrokenBarrierError,
    Condition,
    Empty,
    Event,
    Full,
    Lock,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    acquire_all,
)

PERMITS = 3
TIMEOUTS_S = (0, 0.0001, 0.001, 0.01)
# One in so many operations has a time-out that may be up; the others are quick, as most are in a program.
RARE = 40
TASKS_PER_LOOP = 6
OPERATIONS_PER_LOOP = 20_000
FACTORIES: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (tideloop.new_event_loop, asyncio.SelectorEventLoop)


class World:
    """The primitives, what they guard, and what has been done."""

    def __init__(self) -> None:
        self.locks: list[Any] = [Lock(), Lock(fair=True), RLock()]
        self.guarded = [0] * len(self.locks)
        self.semaphores = [Semaphore(PERMITS), Semaphore(PERMITS, fair=True)]
        self.inside = [collections.deque[None](), collections.deque[None]()]
        self.shared = [RWLock(policy) for policy in ("fair", "reader", "writer")]
        self.written = [[0, 0] for _ in self.shared]
        self.condition = Condition()
        self.stock = 0
        self.queue: Queue[int] = Queue(8)
        self.barrier = Barrier(2)
        self.event = Event()
        self.wrong: list[str] = []


class Party:
    """What one thread or one loop does, with its own counts."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()
        self.locked = [0] * len(world.locks)
        self.written = [0] * len(world.shared)
        self.operations = 0

    def timeout(self) -> float | None:
        return self.random.choice(TIMEOUTS_S) if self.random.random() * RARE < 1 else 5.0

    def count_lock(self, number: int) -> None:
        guarded = self.world.guarded
        before = guarded[number]
        if self.random.random() < 0.01:
            time.sleep(0)  # let another thread run in the middle
        guarded[number] = before + 1
        self.locked[number] += 1

    def count_permit(self, number: int) -> None:
        inside = self.world.inside[number]
        inside.append(None)
        if len(inside) > PERMITS:
            self.world.wrong.append("more than there are permits")
        inside.pop()

    def count_write(self, number: int) -> None:
        written = self.world.written[number]
        written[0] += 1
        if self.random.random() < 0.01:
            time.sleep(0)
        written[1] += 1
        self.written[number] += 1

    def check_read(self, number: int) -> None:
        one, other = self.world.written[number]
        if one != other:
            self.world.wrong.append("read beside a writer")


class ThreadParty(Party):
    """A thread."""

    def run(self, operations: int) -> None:
        world, rng = self.world, self.random
        deeds = [self.lock, self.lock, self.permit, self.shared, self.both, self.stock, self.hand, self.meet]
        while self.operations < operations and not world.wrong:
            self.operations += 1
            rng.choice(deeds)()

    def lock(self) -> None:
        number = self.random.randrange(len(self.world.locks))
        lock = self.world.locks[number]
        if lock.acquire(timeout=self.timeout()):
            self.count_lock(number)
            lock.release()

    def permit(self) -> None:
        number = self.random.randrange(2)
        semaphore = self.world.semaphores[number]
        if semaphore.acquire(timeout=self.timeout()):
            self.count_permit(number)
            semaphore.release()

    def shared(self) -> None:
        number = self.random.randrange(len(self.world.shared))
        writes = self.random.random() < 0.2
        side = self.world.shared[number].write() if writes else self.world.shared[number].read()
        if side.acquire(timeout=self.timeout()):
            (self.count_write if writes else self.check_read)(number)
            side.release()

    def both(self) -> None:
        chosen = self.random.sample(range(len(self.world.locks)), 2)
        with contextlib.suppress(TimeoutError):
            with acquire_all(*(self.world.locks[number] for number in chosen), timeout=self.timeout()):
                for number in chosen:
                    self.count_lock(number)

    def stock(self) -> None:
        world = self.world
        with world.condition:
            if self.random.random() < 0.6:
                world.stock += 1
                self.counts["stocked"] += 1
                world.condition.notify()
            elif world.condition.wait_for(lambda: world.stock, timeout=0.0005):
                world.stock -= 1
                self.counts["taken"] += 1

    def hand(self) -> None:
        with contextlib.suppress(Empty, Full):
            if self.random.random() < 0.5:
                self.world.queue.put(1, timeout=0.0005)
                self.counts["put"] += 1
            else:
                self.world.queue.get(timeout=0.0005)
                self.counts["got"] += 1

    def meet(self) -> None:
        if self.random.random() * RARE > 1:
            self.world.event.set()
            return
        with contextlib.suppress(BrokenBarrierError):
            self.world.barrier.wait(timeout=0.0005)
        self.world.barrier.reset()
        self.world.event.clear()


class LoopParty(Party):
    """A thread with one loop after the other, each of which is closed while some of its tasks wait."""

    def run(self, operations: int) -> None:
        while self.operations < operations and not self.world.wrong:
            target = min(operations, self.operations + OPERATIONS_PER_LOOP)
            loop = self.random.choice(FACTORIES)()
            loop.run_until_complete(self.main(target))
            self.abandon(loop)

    async def main(self, target: int) -> None:
        tasks = [asyncio.ensure_future(self.work(target)) for _ in range(TASKS_PER_LOOP)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.002)
            number = self.random.randrange(TASKS_PER_LOOP)
            if not tasks[number].done() and self.operations < target:
                tasks[number].cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await tasks[number]
                tasks[number] = asyncio.ensure_future(self.work(target))
        for task in tasks:
            task.result()

    def abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the loop while a task of its waits for something that will not come in time."""
        world = self.world
        wait = self.random.choice([world.locks[0].acquire, world.semaphores[1].acquire, world.event.wait])

        async def stay() -> Any:
            return await wait()

        coro = stay()
        task = loop.create_task(coro)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        if not task.done():
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            time.sleep(0.001)  # what it is given now goes on to another
            coro.close()
        elif task.result() and wait.__name__ == "acquire":
            wait.__self__.release()

    async def work(self, target: int) -> None:
        deeds = [self.lock, self.lock, self.permit, self.shared, self.both, self.stock, self.hand]
        while self.operations < target:
            self.operations += 1
            await self.random.choice(deeds)()
            if self.operations % 50 == 0:
                await asyncio.sleep(0)

    async def lock(self) -> None:
        number = self.random.randrange(len(self.world.locks))
        lock = self.world.locks[number]
        if await lock.acquire(timeout=self.timeout()):
            self.count_lock(number)
            lock.release()

    async def permit(self) -> None:
        number = self.random.randrange(2)
        async with self.world.semaphores[number]:
            self.count_permit(number)

    async def shared(self) -> None:
        number = self.random.randrange(len(self.world.shared))
        writes = self.random.random() < 0.2
        side = self.world.shared[number].write() if writes else self.world.shared[number].read()
        async with side:
            (self.count_write if writes else self.check_read)(number)

    async def both(self) -> None:
        chosen = self.random.sample(range(len(self.world.locks)), 2)
        with contextlib.suppress(TimeoutError):
            async with acquire_all(*(self.world.locks[number] for number in chosen), timeout=self.timeout()):
                for number in chosen:
                    self.count_lock(number)

    async def stock(self) -> None:
        world = self.world
        async with world.condition:
            if self.random.random() < 0.5:
                world.stock += 1
                self.counts["stocked"] += 1
                world.condition.notify()
            elif await world.condition.wait_for(lambda: world.stock, timeout=0.0005):
                world.stock -= 1
                self.counts["taken"] += 1

    async def hand(self) -> None:
        with contextlib.suppress(Empty, Full):
            if self.random.random() < 0.5:
                await self.world.queue.put(1, timeout=0.0005)
                self.counts["put"] += 1
            else:
                await self.world.queue.get(timeout=0.0005)
                self.counts["got"] += 1


def wrong_in(world: World, parties: list[Party]) -> list[str]:
    """What does not add up when all have ended."""
    counts = sum((party.counts for party in parties), collections.Counter[str]())
    wrong = list(world.wrong)
    for number, lock in enumerate(world.locks):
        if world.guarded[number] != sum(party.locked[number] for party in parties):
            wrong.append(f"lock {number}: {world.guarded[number]} counted")
        if lock.locked() or not repr(lock).endswith(" 0 waiting>"):
            wrong.append(f"lock {number}: {lock!r}")
    for number, shared in enumerate(world.shared):
        if world.written[number] != [sum(party.written[number] for party in parties)] * 2:
            wrong.append(f"RWLock {number}: {world.written[number]} written")
        if not repr(shared).endswith("0 reading, 0 writing, 0 waiting>"):
            wrong.append(f"RWLock {number}: {shared!r}")
    wrong += [repr(one) for one in world.semaphores if not repr(one).endswith(f"value={PERMITS}>")]
    if world.stock != counts["stocked"] - counts["taken"]:
        wrong.append(f"condition: {world.stock} in stock, {counts}")
    if world.queue.qsize() != counts["put"] - counts["got"]:
        wrong.append(f"queue: {world.queue.qsize()} left, {counts}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    world = World()
    parties: list[Party] = [ThreadParty(world, args.seed + number) for number in range(2)]
    parties += [LoopParty(world, args.seed + number) for number in range(2, 4)]
    share = args.operations // len(parties)
    threads = [threading.Thread(target=party.run, args=(share,), daemon=True) for party in parties]  # type: ignore[attr-defined]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    done = sum(party.operations for party in parties)
    wrong = wrong_in(world, parties)
    if done < share * len(parties):
        wrong.append(f"only {done} operations")
    print(f"{done} operations in {time.monotonic() - began:.0f} s", *wrong, sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
