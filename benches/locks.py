"""Locks for threads and tasks: free, awaited, contended, watched for deadlocks, idle; beside threading's, aiologic's
and our loop-bound one.

    python benches/locks.py [WORK …] [--rounds N] [--size N] [--json]

All contestants live in one process and take turns, in another order each round; the figures are medians of the rounds,
and ratios are medians of the rounds' own ratios. Every count is checked. aiologic takes part where it is installed.
`idle` says how much processor time a second of waiting costs, in milliseconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from side_by_side import ratios, show

import tideloop
from tideloop import observe
from tideloop.sync import Event, Lock

# Operations per slice: some 20 ms each.
SIZES = {"free": 100_000, "awaited": 50_000, "contended": 200_000, "watched": 100_000}
CONTENDERS = 2
IDLE_S = 1.0

Work = Callable[[int], None]


def free(lock: AbstractContextManager[object]) -> Work:
    def work(n: int) -> None:
        for _ in range(n):
            with lock:
                pass

    return work


def awaited(lock: AbstractAsyncContextManager[object], loop: Any) -> Work:
    async def main(n: int) -> None:
        for _ in range(n):
            async with lock:
                pass

    return lambda n: loop.run_until_complete(main(n))


def contended(lock: AbstractContextManager[object]) -> Work:
    """Threads that want the same lock all the time; the lock guards a count that would be wrong without it."""

    def work(n: int) -> None:
        count = 0

        def contend() -> None:
            nonlocal count
            for _ in range(n // CONTENDERS):
                with lock:
                    seen = count
                    count = seen + 1

        threads = [threading.Thread(target=contend) for _ in range(CONTENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if count != n // CONTENDERS * CONTENDERS:
            raise SystemExit(f"{lock!r} let two in at once")

    return work


def watched(lock: AbstractContextManager[object]) -> Work:
    """Free, while deadlocks are looked for."""
    unwatched = free(lock)

    def work(n: int) -> None:
        observe.deadlocks(True)
        unwatched(n)
        observe.deadlocks(False)

    return work


def idle_ms() -> float:
    """Processor time while four threads and as many tasks wait for one event."""
    event = Event()
    threads = [threading.Thread(target=event.wait) for _ in range(4)]
    for thread in threads:
        thread.start()

    async def wait() -> float:
        tasks = [tideloop.create_task(event.wait()) for _ in range(4)]
        await tideloop.sleep(0.1)
        before = time.process_time()
        await tideloop.sleep(IDLE_S)
        used = time.process_time() - before
        event.set()
        await tideloop.gather(*tasks)
        return used

    used = tideloop.run(wait())
    for thread in threads:
        thread.join()
    return used * 1000 / IDLE_S


def works(loop: Any) -> dict[str, dict[str, Work]]:
    threaded: dict[str, Any] = {"tideloop": Lock(), "threading": threading.Lock()}
    tasks: dict[str, Any] = {"tideloop": Lock(), "loop-bound": tideloop.Lock()}
    if importlib.util.find_spec("aiologic"):
        import aiologic

        threaded["aiologic"] = tasks["aiologic"] = aiologic.Lock()
    return {
        "free": {name: free(lock) for name, lock in threaded.items()},
        "awaited": {name: awaited(lock, loop) for name, lock in tasks.items()},
        "contended": {name: contended(lock) for name, lock in threaded.items()},
        "watched": {"tideloop": watched(Lock()), "unwatched": free(Lock())},
    }


def measure(size: int, contestants: dict[str, Work], rounds: int) -> dict[str, Any]:
    """Nanoseconds per operation of each, and how ours compares with the others."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for work in contestants.values():
        work(max(size // 10, CONTENDERS))
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            started = time.perf_counter()
            contestants[name](size)
            seconds[name].append(time.perf_counter() - started)
    ns = {name: statistics.median(times) / size * 1e9 for name, times in seconds.items()}
    return {"ns": ns, "ratios": ratios("tideloop", seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help="what to measure; everything otherwise")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--size", type=int, help="operations per slice")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    loop = tideloop.new_event_loop()
    there_are = works(loop)
    if unknown := set(options.work) - {*there_are, "idle"}:
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join([*there_are, 'idle'])}")
    wanted = options.work or [*there_are, "idle"]
    results = {
        name: measure(options.size or SIZES[name], who, options.rounds)
        for name, who in there_are.items()
        if name in wanted
    }
    loop.close()
    if "idle" in wanted:
        results["idle"] = {"ms": {"tideloop": idle_ms()}, "ratios": {}}
    show(results, options.json)


if __name__ == "__main__":
    main()
