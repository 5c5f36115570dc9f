"""A program that does nothing, from its start to its end: the peer's own run(), or asyncio's with the peer's loop."""

from __future__ import annotations

import sys

from tideloop._bench.peers import Peer
from tideloop._bench.workload import Started

# Loops whose users call run() of their own; others' users hand new_event_loop to asyncio's.
WITH_RUN = ("asyncio", "tideloop", "uvloop")


def command(peer: Peer) -> list[str] | None:
    """Return the program as users of the peer write it."""
    if peer.floor:
        return None
    if peer.module in WITH_RUN:
        lines = [f"import {peer.module}", "async def noop(): pass", f"{peer.module}.run(noop())"]
    else:
        run = f"asyncio.Runner(loop_factory={peer.module}.new_event_loop)"
        lines = [
            f"import asyncio, {peer.module}",
            "async def noop(): pass",
            f"with {run} as runner: runner.run(noop())",
        ]
    return [sys.executable, "-P", "-c", "\n".join(lines)]


WORKLOAD = Started("start, `run(noop())`, end of a process", command, names=False)
