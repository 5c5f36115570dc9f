"""Waiting a random while before trying again, longer each time: what gets two polite threads past each other."""

from __future__ import annotations

import asyncio
import sys
import time

from .tasks import sleep

__all__ = ["Backoff"]


class Backoff:
    """Random pauses between attempts, for whoever tries instead of waiting.

    The pause is evenly distributed between nothing and a limit in seconds, which is *base* at first, doubles with each
    pause and ends at *ceiling*. So of two that got into each other's way one comes back much earlier than the other.
    One object per contender: it is not shared.
    """

    __slots__ = ("_base", "_ceiling", "_limit")

    def __init__(self, base: float = 0.0005, ceiling: float = 0.1) -> None:
        if not 0 < base <= ceiling:
            raise ValueError(f"0 < base <= ceiling must hold, not base={base!r}, ceiling={ceiling!r}")
        self._base = base
        self._ceiling = ceiling
        self._limit = base

    def wait(self) -> None:
        """Pause this thread."""
        time.sleep(self._next())

    async def sleep(self) -> None:
        """Pause this task, of whatever loop, or of trio."""
        trio = sys.modules.get("trio")
        if trio is not None and asyncio._get_running_loop() is None:
            await trio.sleep(self._next())
        else:
            await sleep(self._next())

    def reset(self) -> None:
        """Begin with short pauses again: the attempt has succeeded."""
        self._limit = self._base

    def _next(self) -> float:
        import random  # which would make `import tideloop` slower

        pause = random.uniform(0, self._limit)
        self._limit = min(2 * self._limit, self._ceiling)
        return pause

    def __repr__(self) -> str:
        return f"<Backoff limit={self._limit} ceiling={self._ceiling}>"
