"""call_soon_threadsafe: how fast a parked loop wakes up, and what four threads at once get through.

    python benches/threadsafe.py [LOOP …] [--json]

The latency is from the call in the thread to the callback on the loop. In the second part every call is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time

import bench

PAUSE_S = 0.002  # long enough for the loop to be parked again
THREADS = 4


def wake_ups_us(name: str, times: int) -> list[float]:
    """Wake a parked loop from a thread, again and again."""
    loop = bench.new_event_loop(name)
    latencies: list[float] = []

    def wake() -> None:
        for _ in range(times):
            time.sleep(PAUSE_S)
            called = time.monotonic_ns()
            loop.call_soon_threadsafe(lambda called=called: latencies.append((time.monotonic_ns() - called) / 1e3))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=wake)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    loop.close()
    return latencies


def flood(name: str, calls: int) -> tuple[int, float]:
    """Call from four threads at once; return how many callbacks ran, and the seconds."""
    loop = bench.new_event_loop(name)
    ran = 0

    def count() -> None:
        nonlocal ran
        ran += 1

    def call() -> None:
        for _ in range(calls):
            loop.call_soon_threadsafe(count)

    async def main() -> None:
        await asyncio.gather(*(loop.run_in_executor(None, call) for _ in range(THREADS)))
        await asyncio.sleep(0)

    started = time.perf_counter()
    loop.run_until_complete(main())
    seconds = time.perf_counter() - started
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    return ran, seconds


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    latencies = sorted(wake_ups_us(name, options.wake_ups))
    ran, seconds = flood(name, options.calls)
    return {
        "median_us": statistics.median(latencies),
        "p99_us": latencies[len(latencies) * 99 // 100],
        "worst_us": latencies[-1],
        "lost": THREADS * options.calls - ran + options.wake_ups - len(latencies),
        "call_ns": seconds / (THREADS * options.calls) * 1e9,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=int, default=100_000, help="of each of the four threads")
    parser.add_argument("--wake-ups", type=int, default=1000)


if __name__ == "__main__":
    bench.run(
        __file__,
        f"call_soon_threadsafe on a parked loop, and from {THREADS} threads at once.",
        measure,
        {
            "median_us": ("wake-up median, µs", ".0f"),
            "p99_us": ("99 %, µs", ".0f"),
            "worst_us": ("worst, µs", ".0f"),
            "call_ns": ("4 threads, ns/call", ".0f"),
            "lost": ("calls lost", "d"),
        },
        add_options,
    )
