"""A program that only imports its event loop; most of them import asyncio, too."""

from __future__ import annotations

import sys

from tideloop._bench.peers import Peer
from tideloop._bench.workload import Started


def command(peer: Peer) -> list[str] | None:
    """Return a program that imports the peer."""
    return None if peer.floor else [sys.executable, "-P", "-c", f"import {peer.module}"]


WORKLOAD = Started("a process that imports the loop", command, names=False)
