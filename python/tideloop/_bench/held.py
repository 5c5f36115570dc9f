"""What many things that only are there take of memory: each time in a fresh process, forked off the worker."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import resource
import time
import traceback
from pathlib import Path
from typing import Any

from tideloop._bench.peers import Peer
from tideloop._bench.workload import Context, Held, check

__all__ = ["prepare", "seen"]

#: The first so many of a hundred things are made before the memory is looked at: they pay for pools and caches.
FIRST_PERCENT = 10


def prepare(peer: Peer) -> None:
    """Import what the children need, so that they have it already."""
    peer.asyncio()
    importlib.import_module(peer.module)


def seen(peer: Peer, workload: Held, context: Context) -> tuple[int, int]:
    """Return by how many bytes a process grew with `workload.things` more things, and how long that took in ns."""
    begun = time.perf_counter_ns()
    end, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(peer, workload, context, pipe)
    os.close(pipe)
    with open(end) as told:
        text = told.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("the process that holds the things has crashed")
    answer = json.loads(text)
    if "error" in answer:
        raise (NotImplementedError if answer["lacking"] else RuntimeError)(answer["error"])
    check(answer["bytes"] > 0, f"the process grew by {answer['bytes']} bytes")
    return answer["bytes"], time.perf_counter_ns() - begun


def _in_child(peer: Peer, workload: Held, context: Context, pipe: int) -> None:
    """Measure, tell, and leave no matter what: nothing of the worker may run here again."""
    answer: dict[str, Any] = {"error": "interrupted", "lacking": False}
    try:
        runner = asyncio.Runner(loop_factory=peer.new_event_loop)
        answer = {"bytes": runner.run(_grown(peer.asyncio(), workload, context))}
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}", "lacking": isinstance(error, NotImplementedError)}
    finally:
        os.write(pipe, json.dumps(answer).encode())
        os._exit(0)


async def _grown(names: Any, workload: Held, context: Context) -> int:
    async with workload.hold(names, context) as more:
        await more(workload.things * FIRST_PERCENT // 100)
        before = _resident_bytes()
        await more(workload.things)
        return _resident_bytes() - before


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
