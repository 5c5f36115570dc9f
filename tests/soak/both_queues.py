"""Random work on what threads and tasks share: cancelled, timed out, on loops that close meanwhile; counts are exact.

    python tests/soak/both_queues.py [--operations 10000000] [--seconds 150] [--seed 1]

Rounds of a few thousand operations each, until there were so many or the time is up: each round has a queue of a random
kind and size, producers and consumers in threads and in tasks of loops of several kinds, some of which are closed in
the middle. Whatever a `put` said that it put must come out exactly once, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import tideloop
from tideloop import sync

ITEMS_PER_PRODUCER = 10_000
PRODUCERS = 4
CONSUMERS = 4
TIMEOUT_S_MAX = 0.002
# A loop that is closed ends so many operations after it began, at most.
CLOSED_AFTER_MAX = 3_000
ROUND_S_MAX = 60.0

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [tideloop.new_event_loop, asyncio.SelectorEventLoop]
KINDS = (sync.Queue, sync.LifoQueue, sync.PriorityQueue)


class Party:
    """One who puts or gets; what it has put or got for certain, and how often it was told so."""

    def __init__(self, queue: Any, chance: random.Random) -> None:
        self.queue = queue
        self.chance = chance
        self.items: list[int] = []
        self.operations = 0

    def timeout(self) -> float | None:
        return self.chance.random() * TIMEOUT_S_MAX if self.chance.random() < 0.05 else None


class Producer(Party):
    """Puts numbers of its own."""

    def __init__(self, queue: Any, chance: random.Random, first: int) -> None:
        super().__init__(queue, chance)
        self.rest = iter(range(first, first + ITEMS_PER_PRODUCER))

    def in_thread(self) -> None:
        for item in self.rest:
            self.operations += 1
            try:
                self.queue.put(item, timeout=self.timeout())
            except sync.Full:
                continue
            self.items.append(item)

    async def in_task(self) -> None:
        for item in self.rest:
            self.operations += 1
            try:
                await self.queue.put(item, timeout=self.timeout())
            except sync.Full:
                continue
            self.items.append(item)


class Consumer(Party):
    """Gets until the queue is shut down and empty."""

    def in_thread(self) -> None:
        while True:
            self.operations += 1
            try:
                self.items.append(self.queue.get(timeout=self.timeout()))
            except sync.Empty:
                continue
            except sync.ShutDown:
                return

    async def in_task(self) -> None:
        while True:
            self.operations += 1
            try:
                self.items.append(await self.queue.get(timeout=self.timeout()))
            except sync.Empty:
                continue
            except sync.ShutDown:
                return


def in_loops(party: Party, chance: random.Random) -> None:
    """Go on with a party's work in one loop after another: cancelled, closed while it waits, or to its end."""
    while True:
        loop = chance.choice(LOOPS)()
        task = loop.create_task(party.in_task())  # type: ignore[attr-defined]
        left = chance.randrange(1, CLOSED_AFTER_MAX)

        async def end(task: asyncio.Task[None] = task, left: int = left, loop: Any = loop) -> None:
            until = party.operations + left
            while not task.done() and party.operations < until:
                await asyncio.sleep(0.0005)
            if chance.random() < 0.5:
                task.cancel()
            loop.stop()

        ending = loop.create_task(end())
        loop.run_forever()
        is_over = task.done() and not task.cancelled()
        if is_over:
            task.result()
        # Closed as it is: what the task had been given goes to others.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        del task, ending, end
        loop.close()
        del loop
        gc.collect()
        if is_over:
            return


def one_round(chance: random.Random) -> int:
    """How many operations there were."""
    queue = chance.choice(KINDS)(chance.choice([0, 1, 3, 100]))
    producers = [Producer(queue, random.Random(chance.random()), at * ITEMS_PER_PRODUCER) for at in range(PRODUCERS)]
    consumers = [Consumer(queue, random.Random(chance.random())) for _ in range(CONSUMERS)]

    def worker(party: Any, in_thread: bool) -> threading.Thread:
        work = party.in_thread if in_thread else lambda: in_loops(party, party.chance)
        return threading.Thread(target=work, daemon=True)

    putting = [worker(party, chance.random() < 0.5) for party in producers]
    getting = [worker(party, chance.random() < 0.5) for party in consumers]
    for thread in putting + getting:
        thread.start()
    deadline = time.monotonic() + ROUND_S_MAX
    for thread in putting:
        thread.join(deadline - time.monotonic())
    queue.shutdown()
    for thread in getting:
        thread.join(deadline - time.monotonic())
    if any(thread.is_alive() for thread in putting + getting):
        raise AssertionError(f"a thread does not end: {queue!r}")
    gc.collect()
    while not queue.empty():
        consumers[0].items.append(queue.get_nowait())
    put = Counter(item for party in producers for item in party.items)
    got = Counter(item for party in consumers for item in party.items)
    if put != got:
        raise AssertionError(f"lost {put - got}, doubled or never put {got - put}")
    return sum(party.operations for party in (*producers, *consumers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    chance = random.Random(args.seed)
    began, done, rounds = time.monotonic(), 0, 0
    while done < args.operations and time.monotonic() - began < args.seconds:
        done += one_round(chance)
        rounds += 1
    print(f"{done:,} operations in {rounds} rounds and {time.monotonic() - began:.0f} s: all counts are exact")
    sys.exit(0)


if __name__ == "__main__":
    main()
