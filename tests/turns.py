"""Whose turn it is when tests run in several processes (pytest-xdist): those that are marked `alone` run beside none.

A test that measures time is wrong about it where others have the processors. Each process locks one file while a test
runs: a test that may have company shares the lock, one that may not has it for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

# Two files of this folder, which every process has at hand: what is in them is not touched.
GATE, FIELD = (Path(__file__).parent / name for name in ("turns.py", "conftest.py"))


class Turns:
    """The locks of this process. They are of the checkout: runs on several Pythons take turns with one another too."""

    def __init__(self) -> None:
        self.gate, self.field = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (GATE, FIELD))

    @contextlib.contextmanager
    def one(self, alone: bool) -> Iterator[None]:
        """Wait for a turn and have it."""
        # Whoever waits for the field holds the gate: none who comes later is let in before one who must be alone.
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        fcntl.flock(self.field, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self.gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self.field, fcntl.LOCK_UN)
