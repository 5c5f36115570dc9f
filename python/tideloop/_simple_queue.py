"""The queue without a bound, without unfinished tasks."""

from __future__ import annotations

from typing import TypeVar

from ._both import Queue

__all__ = ["SimpleQueue"]

_T = TypeVar("_T")


class SimpleQueue(Queue[_T]):
    """A :class:`Queue` that is always without a bound, as :class:`queue.SimpleQueue`: what it is called for is clear.

    ``put()`` never waits, whatever it is told.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()


SimpleQueue.__module__ = "tideloop.sync"
