"""Ctrl+C, SIGTERM and SIGHUP: each ends the measuring in order, with a table of what is finished."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Ending", "ending", "held_back"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Which signal has come, if one has."""

    number: int | None = None
    held = False
    pending = False

    @property
    def status(self) -> int:
        """The exit status of a program that this signal has ended, as shells give it; 0 without one."""
        return 128 + self.number if self.number else 0

    def begin(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Those after the first change nothing: `timeout` and systemd send two."""
        if self.number is None:
            self.number = number
            self.pending = True
            self.go()

    def go(self) -> None:
        """Raise KeyboardInterrupt for the signal, once, and not while it is held back."""
        if self.pending and not self.held:
            self.pending = False
            raise KeyboardInterrupt


#: Handlers of signals belong to the process, and so does what they know.
_now = Ending()


@contextmanager
def ending() -> Iterator[Ending]:
    """While the block runs, the first of these signals raises KeyboardInterrupt; ignored ones (nohup) stay so."""
    global _now
    _now = state = Ending()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, state.begin)
    try:
        yield state
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Have a signal wait for the end of the block, which starts processes and notes them, or ends them."""
    state = _now
    state.held = True
    try:
        yield
    finally:
        state.held = False
        state.go()
