"""How long another thread waits for the GIL beside a loop that is never idle.

    python benches/gil.py [LOOP …] [--json] [--seconds 5]

The loop is busy with sleep(0); the thread sleeps a millisecond at a time, and what it takes longer than that is the
wait for the GIL. The row "(no loop)" is the same thread beside an idle main thread: what the system's timer adds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time

import bench

PAUSE_S = 0.001
NO_LOOP = "(no loop)"


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    waits_ms: list[float] = []
    turns = 0
    end = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            before = time.monotonic_ns()
            time.sleep(PAUSE_S)
            waits_ms.append((time.monotonic_ns() - before) / 1e6 - PAUSE_S * 1e3)
        end.set()

    async def busy() -> None:
        nonlocal turns
        while not end.is_set():
            turns += 1
            await asyncio.sleep(0)

    thread = threading.Thread(target=watch)
    thread.start()
    if name == NO_LOOP:
        thread.join()
    else:
        loop = bench.new_event_loop(name)
        loop.run_until_complete(busy())
        loop.close()
    thread.join()
    waits_ms.sort()
    return {
        "median_ms": statistics.median(waits_ms),
        "p99_ms": waits_ms[len(waits_ms) * 99 // 100],
        "worst_ms": waits_ms[-1],
        "waits": len(waits_ms),
        "turns_per_s": turns / options.seconds,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5.0)


if __name__ == "__main__":
    bench.run(
        __file__,
        "Another thread's wait for the GIL beside a busy loop.",
        measure,
        {
            "median_ms": ("median, ms", ".2f"),
            "p99_ms": ("99 %, ms", ".2f"),
            "worst_ms": ("worst, ms", ".2f"),
            "waits": ("waits", ",d"),
            "turns_per_s": ("turns/s", ",.0f"),
        },
        add_options,
        (NO_LOOP, *bench.LOOPS),
    )
