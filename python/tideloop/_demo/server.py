"""The demo's servers: the same program on stock asyncio, on uvloop and on Tideloop, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PEERS", "Server", "missing", "only_on"]

RUN_ON_UVLOOP = """
import runpy, sys, uvloop
uvloop.install()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

#: How each loop runs a file, in the order of the table.
PEERS = {
    "asyncio": [sys.executable],
    "uvloop": [sys.executable, "-W", "ignore::DeprecationWarning", "-c", RUN_ON_UVLOOP],
    "tideloop": [sys.executable, "-m", "tideloop"],
}
STOP_TIMEOUT_S = 10.0


def missing(peer: str) -> str | None:
    """Return why a peer cannot take part, or None."""
    module = {"asyncio": "asyncio", "uvloop": "uvloop", "tideloop": "tideloop._native"}[peer]
    return None if find_spec(module) is not None else f"{module} is not installed"


def version(peer: str) -> str:
    """Return the version of a peer, or "" for asyncio, which has Python's."""
    try:
        return metadata.version(peer)
    except metadata.PackageNotFoundError:
        return ""


@contextmanager
def only_on(processor: int | None) -> Iterator[None]:
    """Let what is started meanwhile run on this processor alone; on any if it is None."""
    if processor is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running server. `url` is where it listens.

    Raises RuntimeError if it does not start.
    """

    def __init__(self, peer: str, program: Path, processor: int | None) -> None:
        self.peer = peer
        command = [*PEERS[peer], str(program), "--port", "0"]
        with only_on(processor):
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        if not words or not words[-1].startswith("http://"):
            self.stop()
            raise RuntimeError(f"the server on {peer} did not start")
        self.url = words[-1]

    def stop(self) -> None:
        """End it as a service manager would, and by force if that does not help."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
