"""One worker: jobs on Tideloop that wait, compute, and have a part that only one worker may do at a time."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import tideloop

__all__ = ["COMPUTED_BYTES", "SERIAL_BYTES", "main"]

#: What a job waits for, as it would for a database.
WAIT_S = 0.002
#: Hashed in each job: by all workers at once, and by the one that has the lock. A fifth of the work is serial.
COMPUTED_BYTES = 200_000
SERIAL_BYTES = 50_000
CHUNK_BYTES = 2000  # below what makes hashlib let go of the interpreter's lock
#: Jobs under way at the same time in each worker, so that it computes while others wait.
CONCURRENCY = 8
COUNTER_BYTES = 8


def main(specification: dict[str, Any], commands: Iterator[dict[str, Any]], say: Callable[..., None]) -> None:
    """Do jobs for so many seconds when told so, and say how many they were."""
    shared = os.open(specification["shared"], os.O_RDWR)
    say(ready=True)
    with tideloop.Runner() as runner:
        for command in commands:
            begun = time.perf_counter_ns()
            jobs = runner.run(_work(shared, begun + int(command["seconds"] * 1e9)))
            say(jobs=jobs, wall_ns=time.perf_counter_ns() - begun)


async def _work(shared: int, until_ns: int) -> int:
    """Do jobs until then; return how many."""

    async def jobs() -> int:
        done = 0
        while time.perf_counter_ns() < until_ns:
            await asyncio.sleep(WAIT_S)
            _compute(COMPUTED_BYTES)
            _serial(shared)
            done += 1
        return done

    return sum(await asyncio.gather(*[jobs() for _ in range(CONCURRENCY)]))


def _compute(count: int) -> None:
    chunk = bytes(CHUNK_BYTES)
    digest = hashlib.sha256()
    for _ in range(count // CHUNK_BYTES):
        digest.update(chunk)


def _serial(shared: int) -> None:
    """Count the job in the file that all workers share; whoever comes meanwhile waits."""
    fcntl.flock(shared, fcntl.LOCK_EX)
    before = int.from_bytes(os.pread(shared, COUNTER_BYTES, 0), "little")
    _compute(SERIAL_BYTES)
    os.pwrite(shared, (before + 1).to_bytes(COUNTER_BYTES, "little"), 0)
    fcntl.flock(shared, fcntl.LOCK_UN)
