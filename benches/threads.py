"""Calls in threads: one after another and twenty thousand at once, beside asyncio's, anyio's and the stdlib's pool.

    python benches/threads.py [WORK …] [--rounds N] [--json]

All contestants live in one process and take turns, in another order each round; the figures are medians of the rounds,
and ratios are medians of the rounds' own ratios. Every answer is checked. anyio takes part where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import statistics
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from side_by_side import ratios, show

import tideloop
from tideloop.threads import ThreadPool

# Calls per slice: some 20 ms each, and all at once what the figure is about.
SERIAL, BURST = 300, 20_000

Work = Callable[[int], None]


def check(right: bool) -> None:
    if not right:
        raise SystemExit("a call in a thread gave a wrong answer")


async def executor(n: int) -> None:
    loop = asyncio.get_running_loop()
    for number in range(n):
        check(await loop.run_in_executor(None, abs, -number) == number)


async def stdlib_to_thread(n: int) -> None:
    for number in range(n):
        check(await asyncio.to_thread(abs, -number) == number)


async def own_to_thread(n: int) -> None:
    for number in range(n):
        check(await tideloop.to_thread(abs, -number) == number)


async def anyio_to_thread(n: int) -> None:
    from anyio.to_thread import run_sync

    for number in range(n):
        check(await run_sync(abs, -number) == number)


async def burst(n: int) -> None:
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(*[loop.run_in_executor(None, abs, -number) for number in range(n)])
    check(results == list(range(n)))


def submitting(pool: ThreadPoolExecutor) -> Work:
    def work(n: int) -> None:
        for number in range(n):
            check(pool.submit(abs, -number).result() == number)

    return work


class Contestants:
    """Every kind of work, on every contestant: a loop of each kind and a pool of each kind, for all rounds."""

    def __init__(self) -> None:
        self.loops = {"asyncio": asyncio.new_event_loop(), "tideloop": tideloop.new_event_loop()}
        self.pools = {"ThreadPoolExecutor": ThreadPoolExecutor(), "ThreadPool": ThreadPool()}

    def works(self) -> dict[str, tuple[int, dict[str, Work]]]:
        both = list(self.loops)
        anyio = {"anyio": self.on("asyncio", anyio_to_thread)} if importlib.util.find_spec("anyio") else {}
        return {
            "run_in_executor": (SERIAL, {name: self.on(name, executor) for name in both} | anyio),
            "to_thread": (
                SERIAL,
                {"asyncio": self.on("asyncio", stdlib_to_thread), "tideloop": self.on("tideloop", own_to_thread)}
                | anyio,
            ),
            "asyncio_to_thread": (SERIAL, {name: self.on(name, stdlib_to_thread) for name in both}),
            "burst": (BURST, {name: self.on(name, burst) for name in both}),
            "submit": (SERIAL, {name: submitting(pool) for name, pool in self.pools.items()}),
        }

    def on(self, loop: str, work: Callable[[int], Coroutine[Any, Any, None]]) -> Work:
        return lambda n: self.loops[loop].run_until_complete(work(n))

    def close(self) -> None:
        for loop in self.loops.values():
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        for pool in self.pools.values():
            pool.shutdown()


def measure(size: int, contestants: dict[str, Work], rounds: int) -> dict[str, Any]:
    """Microseconds per call of each, and how ours compares with the others."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for work in contestants.values():
        work(size)
    for number in range(rounds):
        names = list(contestants)
        turn = number // 2 % len(names)
        names = names[turn:] + names[:turn]
        for name in names if number % 2 == 0 else reversed(names):
            started = time.perf_counter()
            contestants[name](size)
            seconds[name].append(time.perf_counter() - started)
    ours = next(name for name in contestants if name in ("tideloop", "ThreadPool"))
    us = {name: statistics.median(times) / size * 1e6 for name, times in seconds.items()}
    return {"us": us, "ratios": ratios(ours, seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help="what to measure; everything otherwise")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--size", type=int, help="calls per slice")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    contestants = Contestants()
    works = contestants.works()
    if unknown := set(options.work) - set(works):
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join(works)}")
    results = {
        name: measure(options.size or size, who, options.rounds)
        for name, (size, who) in works.items()
        if name in (options.work or works)
    }
    contestants.close()
    show(results, options.json)


if __name__ == "__main__":
    main()
