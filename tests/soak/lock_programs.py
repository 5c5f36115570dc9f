"""Random programs of locks: the detector is silent about those that cannot deadlock, and finds every planted deadlock.

A program is a few tasks, and sometimes threads, that take locks of all kinds, read and write, enter again, wait with
and without limits, are cancelled, and release what others hold. Those of the first sort take their locks in one order,
so that no cycle can be; those of the second end with a ring of locks.

    python tests/soak/lock_programs.py --programs 1000000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import threading
import time
from typing import Any

import tideloop
from tideloop import observe
from tideloop.sync import Lock, RLock, RWLock

# One in so many programs has threads, which cost a hundred times as much.
PROGRAMS_PER_THREADED = 400
LOCKS_MAX = 3


def make_locks(rng: random.Random) -> list[Any]:
    """Locks of one program, in the order in which they are taken."""
    kinds = (Lock, Lock, RLock, RWLock)
    return [kinds[int(rng.random() * 4)]() for _ in range(LOCKS_MAX)]


def side(lock: Any, rng: random.Random) -> Any:
    """What is taken of a lock."""
    if isinstance(lock, RWLock):
        return lock.read() if rng.random() < 0.5 else lock.write()
    return lock


async def take_in_order(locks: list[Any], rng: random.Random) -> None:
    """Take some locks in their order, as one of several ways has it, and give them back."""
    held = []
    try:
        for lock in locks:
            dice = rng.random()
            if dice < 0.3:
                continue
            taken = side(lock, rng)
            if dice < 0.4:
                if not await taken.acquire(timeout=0.0001 * rng.random()):
                    continue
            elif dice < 0.45:
                if not taken.acquire(blocking=False):
                    continue
            else:
                await taken.acquire()
            held.append(taken)
            if dice > 0.9 and isinstance(lock, RLock):
                await lock.acquire()
                held.append(lock)
            if dice < 0.7:
                await asyncio.sleep(0)
    finally:
        others_release = False
        for last in reversed(held):
            if isinstance(last, Lock) and rng.random() < 0.1:
                asyncio.get_running_loop().call_soon(last.release)
                others_release = True
            else:
                last.release()
        if others_release:
            await asyncio.sleep(0)


async def harmless(rng: random.Random) -> None:
    """A program without a cycle."""
    locks = make_locks(rng)
    event_loop = asyncio.get_running_loop()
    tasks = [event_loop.create_task(take_in_order(locks, rng)) for _ in range(2 if rng.random() < 0.7 else 3)]
    if rng.random() < 0.2:
        await asyncio.sleep(0)
        tasks[0].cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def harmless_threads(rng: random.Random) -> None:
    """The same in threads, one of which has a loop."""
    locks = make_locks(rng)

    def body(seed: int) -> None:
        mine = random.Random(seed)
        for _ in range(5):
            held = []
            for lock in locks:
                taken = side(lock, mine)
                if mine.random() < 0.7 and taken.acquire(timeout=-1 if mine.random() < 0.8 else 0.001):
                    held.append(taken)
            for taken in reversed(held):
                taken.release()

    async def tasks(seed: int) -> None:
        mine = random.Random(seed)
        await asyncio.gather(*[take_in_order(locks, mine) for _ in range(3)])

    threads = [threading.Thread(target=body, args=(rng.random(),)) for _ in range(3)]
    threads.append(threading.Thread(target=lambda seed: tideloop.run(tasks(seed)), args=(rng.random(),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def planted(rng: random.Random) -> int:
    """A program whose tasks end in a ring: how many are in it. Its victim undoes it."""
    size = rng.randrange(1, 6)
    kinds = (Lock, RLock) if size > 1 else (Lock,)
    locks = [rng.choice(kinds)() for _ in range(size)]
    all_hold_one = asyncio.Event()
    holding = 0

    async def body(index: int) -> None:
        nonlocal holding
        async with locks[index]:
            holding += 1
            if holding == size:
                all_hold_one.set()
            await all_hold_one.wait()
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            async with locks[(index + 1) % size]:
                pass

    outcomes = await asyncio.gather(*[body(index) for index in range(size)], return_exceptions=True)
    victims = [outcome for outcome in outcomes if isinstance(outcome, observe.DeadlockError)]
    assert len(victims) == 1, outcomes
    return size


def run_harmless(programs: int, seed: int) -> list[observe.Deadlock]:
    """So many programs without a cycle; what was reported all the same."""
    rng = random.Random(seed)
    found: list[observe.Deadlock] = []
    observe.deadlocks(report=found.append)

    async def tasks(count: int) -> None:
        for _ in range(count):
            await harmless(rng)

    try:
        left = programs
        while left > 0 and not found:
            tideloop.run(tasks(min(left, PROGRAMS_PER_THREADED)))
            harmless_threads(rng)
            left -= PROGRAMS_PER_THREADED
    finally:
        observe.deadlocks(False)
    return found


def run_planted(programs: int, seed: int) -> None:
    """So many programs with a cycle: AssertionError where one is not found, or not as it is."""
    rng = random.Random(seed)
    found: list[observe.Deadlock] = []
    observe.deadlocks(victim=True, report=found.append)

    async def main() -> None:
        for _ in range(programs):
            size = await planted(rng)
            [deadlock] = found
            assert len(deadlock.members) == size, deadlock
            found.clear()

    try:
        tideloop.run(main())
    finally:
        observe.deadlocks(False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=1_000_000)
    parser.add_argument("--planted", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begun = time.perf_counter()
    found = run_harmless(args.programs, args.seed)
    harmless_seconds = time.perf_counter() - begun
    run_planted(args.planted, args.seed)
    print(f"{args.programs} programs without a cycle, {harmless_seconds:.1f} s: {len(found)} reports")
    print(f"{args.planted} programs with a cycle: all found, {time.perf_counter() - begun:.1f} s in all")
    for deadlock in found:
        print(deadlock, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
