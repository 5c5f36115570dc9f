"""Loops whose clock stands still while anything runs and jumps where nothing does; one with nothing to wait for stops.

A jump ends at the next whole tick after the earliest deadline: timers of one tick come due in one turn, in the order of
their deadlines. Who takes deadlines that differ, and none within a few nanoseconds of a tick, gets the same order on
every loop (asyncio leaves the order of equal deadlines open).
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

TICK_NS = 1_000_000
START_NS = 1_000 * TICK_NS


def next_tick(deadline_ns: int) -> int:
    """The first whole tick that is not before `deadline_ns`."""
    return -(-deadline_ns // TICK_NS) * TICK_NS


class _Selector(selectors.DefaultSelector):
    """Looks at the descriptors without waiting, and lets time pass if that found nothing."""

    loop: Any = None

    def select(self, timeout: float | None = None) -> list[Any]:
        # The self-pipe alone is there: no descriptor of a program is waited for on a simulated clock.
        found = super().select(0) if len(self.get_map()) > 1 else []
        if not found and (timeout is None or timeout > 0):
            scheduled = self.loop._scheduled
            self.loop._advance_clock(round(scheduled[0].when() * 1e9) if scheduled else None)
        return found


class SimulatedAsyncioLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a simulated clock."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self.now_ns / 1e9

    def set_clock(self, ns: int) -> None:
        self.now_ns = ns

    def _advance_clock(self, earliest_ns: int | None) -> None:
        if earliest_ns is None:
            self.stop()
        else:
            self.set_clock(max(self.now_ns, next_tick(earliest_ns)))


def simulated_tideloop() -> type[asyncio.AbstractEventLoop]:
    """The class of Tideloop's loops on a simulated clock."""
    import tideloop

    class SimulatedTideloop(tideloop.EventLoop):
        """Tideloop's loop on a simulated clock."""

        def __init__(self, *, tasks: str | None = None) -> None:
            super().__init__(tasks=tasks)
            self.set_clock(START_NS)

        def set_clock(self, ns: int) -> None:
            self.now_ns = ns
            self._simulate_clock(ns)

        def _advance_clock(self, earliest_ns: int | None) -> None:
            if earliest_ns is None:
                self.stop()
            else:
                self.set_clock(max(self.now_ns, next_tick(earliest_ns)))

    return SimulatedTideloop
