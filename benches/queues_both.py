"""Queues between threads and tasks: Tideloop's, janus', culsans' and aiologic's, and queue.Queue, side by side.

    python benches/queues_both.py [--rounds 7] [--items 100000] [--maxsize 0] [--json]

Needs janus, culsans and aiologic for the peers; one that is missing is left out. In each round every contender moves
the same items once, in turn; the figures are medians of the rounds, and ratios are medians of the rounds' own ratios.
Each item is checked: what comes out is what went in, in order.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import importlib.util
import queue
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from side_by_side import ratios, show

import tideloop
from tideloop import sync

PING_PONGS = 5_000


class Ends:
    """The two ends of a queue: what a thread calls, and what a task awaits."""

    put: Callable[[Any], Any]
    get: Callable[[], Any]
    put_soon: Callable[[Any], Awaitable[Any]]
    get_soon: Callable[[], Awaitable[Any]]
    close: Callable[[], Awaitable[Any]] | None = None


def ours(maxsize: int) -> Ends:
    return of_one(sync.Queue(maxsize))


def of_one(shared: Any) -> Ends:
    ends = Ends()
    ends.put = ends.put_soon = shared.put
    ends.get = ends.get_soon = shared.get
    return ends


def of_two(shared: Any) -> Ends:
    ends = Ends()
    ends.put, ends.get = shared.sync_q.put, shared.sync_q.get
    ends.put_soon, ends.get_soon = shared.async_q.put, shared.async_q.get
    if hasattr(shared, "aclose"):
        ends.close = shared.aclose
    return ends


def janus(maxsize: int) -> Ends:
    return of_two(importlib.import_module("janus").Queue(maxsize))


def culsans(maxsize: int) -> Ends:
    return of_two(importlib.import_module("culsans").Queue(maxsize))


def aiologic(maxsize: int) -> Ends:
    module = importlib.import_module("aiologic")
    shared = module.Queue(maxsize) if maxsize else module.SimpleQueue()
    ends = Ends()
    ends.put, ends.get = shared.green_put, shared.green_get
    ends.put_soon, ends.get_soon = shared.async_put, shared.async_get
    return ends


def threads_own(maxsize: int) -> Ends:
    return of_one(queue.Queue(maxsize))


PEERS: dict[str, Callable[[int], Ends]] = {"janus": janus, "culsans": culsans, "aiologic": aiologic}


def to_task(make: Callable[[], Ends], items: int) -> float:
    """From a thread to a task: seconds per item."""

    async def main() -> float:
        ends = make()
        get = ends.get_soon

        def produce() -> None:
            put = ends.put
            for item in range(items):
                put(item)

        thread = threading.Thread(target=produce)
        began = time.perf_counter()
        thread.start()
        for expected in range(items):
            if await get() != expected:
                raise AssertionError("an item was lost, or overtaken")
        took = time.perf_counter() - began
        thread.join()
        if ends.close is not None:
            await ends.close()
        return took / items

    return run(main)


def to_thread(make: Callable[[], Ends], items: int) -> float:
    """From a task to a thread: seconds per item."""

    async def main() -> float:
        ends = make()
        wrong: list[int] = []
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def consume() -> None:
            get = ends.get
            for expected in range(items):
                if get() != expected:
                    wrong.append(expected)
            loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=consume)
        put = ends.put_soon
        began = time.perf_counter()
        thread.start()
        for item in range(items):
            await put(item)
        await done.wait()
        took = time.perf_counter() - began
        thread.join()
        if wrong:
            raise AssertionError("an item was lost, or overtaken")
        if ends.close is not None:
            await ends.close()
        return took / items

    return run(main)


def ping_pong(make: Callable[[], Ends], _items: int) -> float:
    """There and back between a task and a thread, one at a time: seconds per round trip."""

    async def main() -> float:
        there, back = make(), make()

        def answer() -> None:
            for _ in range(PING_PONGS):
                back.put(there.get() + 1)

        thread = threading.Thread(target=answer)
        thread.start()
        began = time.perf_counter()
        for item in range(PING_PONGS):
            await there.put_soon(item)
            if await back.get_soon() != item + 1:
                raise AssertionError("a wrong answer")
        took = time.perf_counter() - began
        thread.join()
        for ends in (there, back):
            if ends.close is not None:
                await ends.close()
        return took / PING_PONGS

    return run(main)


def between_threads(make: Callable[[], Ends], items: int) -> float:
    """From a thread to another: seconds per item."""
    ends = make()

    def produce() -> None:
        put = ends.put
        for item in range(items):
            put(item)

    thread = threading.Thread(target=produce)
    get = ends.get
    began = time.perf_counter()
    thread.start()
    for expected in range(items):
        if get() != expected:
            raise AssertionError("an item was lost, or overtaken")
    took = time.perf_counter() - began
    thread.join()
    return took / items


def run(main: Callable[[], Any]) -> float:
    return tideloop.run(main())


def measure(
    what: Callable[..., float], makers: dict[str, Callable[[], Ends]], rounds: int, items: int
) -> dict[str, Any]:
    """Nanoseconds per item of each, and how ours compares with the others."""
    seconds: dict[str, list[float]] = {contender: [] for contender in makers}
    for number in range(rounds):
        names = list(makers)
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(what(makers[name], items))
    ns = {name: statistics.median(times) * 1e9 for name, times in seconds.items()}
    return {"ns": ns, "ratios": ratios("tideloop", seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--maxsize", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    peers = {name: make for name, make in PEERS.items() if importlib.util.find_spec(name) is not None}
    for name in sorted(set(PEERS) - set(peers)):
        print(f"{name} is not installed, and is left out", file=sys.stderr)

    def of_size(makers: dict[str, Callable[[int], Ends]]) -> dict[str, Callable[[], Ends]]:
        return {name: functools.partial(make, options.maxsize) for name, make in makers.items()}

    mixed, threads = of_size({"tideloop": ours, **peers}), of_size({"tideloop": ours, "queue.Queue": threads_own})
    works: dict[str, tuple[Callable[..., float], dict[str, Callable[[], Ends]]]] = {
        "thread to task": (to_task, mixed),
        "task to thread": (to_thread, mixed),
        "ping-pong": (ping_pong, mixed),
        "thread to thread": (between_threads, threads),
    }
    results = {name: measure(what, makers, options.rounds, options.items) for name, (what, makers) in works.items()}
    show(results, options.json)


if __name__ == "__main__":
    main()
