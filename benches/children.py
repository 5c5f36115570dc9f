"""Starting child processes: how long it takes, and how long it keeps the loop from anything else.

    python benches/children.py [LOOP …] [--json] [--count 500] [--at-once 20] [--held-mib 2048] [--repeat 3]

COUNT times /bin/true is started and awaited, AT-ONCE at a time, while the process holds that much memory. Beside it a
coroutine sleeps a millisecond at a time; by how much its longest sleep was longer is the worst stall of the loop. On a
busy machine most of that is waiting for a processor: "own" is without (Linux, /proc/thread-self/schedstat).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import bench

PROGRAM = "/bin/true"
TICK_S = 0.001
PAGE_BYTES = 4096


async def start_and_await(count: int, at_once: int) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            process = await asyncio.create_subprocess_exec(PROGRAM)
            if await process.wait() != 0:
                raise AssertionError(f"{PROGRAM} ended with {process.returncode}")

    await asyncio.gather(*(work() for _ in range(at_once)))


def waited_for_processor() -> float:
    """Seconds that this thread was ready to run and did not."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


async def watched(count: int, at_once: int) -> tuple[float, float, float]:
    """Seconds of wall time, of the worst stall, and of the worst without waiting for a processor."""
    stalls: list[tuple[float, float]] = []

    async def tick() -> None:
        while True:
            waited, before = waited_for_processor(), time.perf_counter()
            await asyncio.sleep(TICK_S)
            stall = time.perf_counter() - before - TICK_S
            stalls.append((stall, stall - (waited_for_processor() - waited)))

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(10 * TICK_S)
    stalls.clear()
    start = time.perf_counter()
    await start_and_await(count, at_once)
    wall = time.perf_counter() - start
    ticking.cancel()
    return wall, max(stall for stall, _ in stalls), max(own for _, own in stalls)


def measure(name: str, options: argparse.Namespace) -> bench.Figures:
    held = bytearray(options.held_mib << 20)
    held[::PAGE_BYTES] = b"\1" * len(range(0, len(held), PAGE_BYTES))  # touched, and so really held
    loop = bench.new_event_loop(name)
    asyncio.set_event_loop(loop)  # asyncio's own watchers of children ask for it
    loop.run_until_complete(start_and_await(options.at_once, options.at_once))
    runs = [loop.run_until_complete(watched(options.count, options.at_once)) for _ in range(options.repeat)]
    loop.close()
    return {
        "wall_s": [wall for wall, _, _ in runs],
        "per_s": [options.count / wall for wall, _, _ in runs],
        "stall_ms": [worst * 1e3 for _, worst, _ in runs],
        "stall_ms_worst": max(worst for _, worst, _ in runs) * 1e3,
        "own_stall_ms": max(own for _, _, own in runs) * 1e3,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--held-mib", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=3)


if __name__ == "__main__":
    bench.run(
        __file__,
        f"{PROGRAM} started and awaited, many at a time, beside a coroutine that must not wait.",
        measure,
        {
            "wall_s": ("wall, s", ".3f"),
            "per_s": ("children/s", ",.0f"),
            "stall_ms": ("worst stall, ms", ".2f"),
            "stall_ms_worst": ("worst of all", ".2f"),
            "own_stall_ms": ("of that, own", ".2f"),
        },
        add_options,
    )
