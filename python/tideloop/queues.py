"""Queues, native: items that wait for tasks, and tasks that wait for items or room. Corresponds to asyncio.queues."""

from __future__ import annotations

import asyncio.queues as _asyncio
import sys
from asyncio.queues import QueueEmpty, QueueFull
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import _native

__all__ = [
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
]

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

_T = TypeVar("_T")
_Comparable = TypeVar("_Comparable", bound="SupportsRichComparison")

if sys.version_info >= (3, 13):
    from asyncio.queues import QueueShutDown
else:

    class QueueShutDown(Exception):
        """Raised by `put` on a queue that was shut down, and by `get` when such a queue is empty.

        Corresponds to `asyncio.QueueShutDown` of Python 3.13.
        """


class QueueStatistics(NamedTuple):
    """What a queue holds, and who waits for it; of `Queue.statistics`."""

    size: int
    """Items in the queue."""
    maxsize: float
    """Items that it may hold; 0 or less: any number."""
    unfinished_tasks: int
    """Items for which `task_done` has not been called."""
    getters: tuple[Any, ...]
    """The tasks that wait for an item, the one that has waited longest first."""
    putters: tuple[Any, ...]
    """The tasks that wait for room."""
    joiners: tuple[Any, ...]
    """The tasks that wait for everything to be done."""
    is_shut_down: bool


class Queue(_native.Queue, _asyncio.Queue[_T]):
    """A queue of items between tasks: first in, first out.

    `maxsize` is the number of items that it holds before `put` waits; 0 or less: any number. Corresponds to
    `asyncio.Queue`, with `shutdown` on every version of Python. Classes that derive from it may override what they may
    override in asyncio's.
    """

    def statistics(self) -> QueueStatistics:
        """What the queue holds, and which tasks wait for it."""
        getters, putters = self._waiting()
        return QueueStatistics(
            self.qsize(),
            self.maxsize,
            self._unfinished_tasks,
            _waiting_tasks(getters),
            _waiting_tasks(putters),
            _waiting_tasks(self._joiners()),
            self._is_shutdown,
        )

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """For copy and pickle: asyncio's attributes."""
        return self.__dict__, {name: getattr(self, name) for name in _STATE}


_STATE = ("_maxsize", "_getters", "_putters", "_unfinished_tasks", "_finished", "_queue", "_is_shutdown")


class LifoQueue(Queue[_T], _asyncio.LifoQueue[_T]):
    """A queue that hands out first what was put last. Corresponds to `asyncio.LifoQueue`."""


class PriorityQueue(Queue[_Comparable], _asyncio.PriorityQueue[_Comparable]):
    """A queue that hands out the lowest item first, as `heapq` does; items are often tuples `(priority, data)`.

    Corresponds to `asyncio.PriorityQueue`.
    """


def _waiting_tasks(futures: list[Any]) -> tuple[Any, ...]:
    """The tasks that are called back when the futures are done."""
    callbacks = (callback for future in futures if not future.done() for callback, _ in future._callbacks or ())
    return tuple(task for task in (getattr(callback, "__self__", None) for callback in callbacks) if task is not None)


_native._register_queues(Queue, LifoQueue, PriorityQueue)
