"""Locks, events, conditions, semaphores and barriers, native on every loop.

Counterpart: :mod:`asyncio.locks`. Each class is asyncio's to ``isinstance``; taking a free lock neither suspends nor
allocates. What asyncio does not have: ``statistics()`` tells who waits.
"""

from __future__ import annotations

import asyncio.locks
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import _native

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"]

# asyncio's own, whatever its names stand for later.
_Lock = asyncio.locks.Lock
_Event = asyncio.locks.Event
_Condition = asyncio.locks.Condition
_Semaphore = asyncio.locks.Semaphore
_BoundedSemaphore = asyncio.locks.BoundedSemaphore
_Barrier = asyncio.locks.Barrier

_Tasks = tuple["asyncio.Task[Any]", ...]


class LockStatistics(NamedTuple):
    """What a lock says of itself: *locked*, and the tasks that wait for it, in the order in which they came."""

    locked: bool
    waiting: _Tasks


class EventStatistics(NamedTuple):
    """What an event says of itself: *is_set*, and the tasks that wait for it."""

    is_set: bool
    waiting: _Tasks


class ConditionStatistics(NamedTuple):
    """What a condition says of itself: whether its lock is *locked*, and the tasks that wait to be notified."""

    locked: bool
    waiting: _Tasks


class SemaphoreStatistics(NamedTuple):
    """What a semaphore says of itself: the permits that are left, and the tasks that wait for one."""

    value: int
    waiting: _Tasks


class BarrierStatistics(NamedTuple):
    """What a barrier says of itself: *parties*, whether it is *broken*, and the tasks that wait at it."""

    parties: int
    broken: bool
    waiting: _Tasks


def _waiting(futures: Iterable[Any]) -> _Tasks:
    """Tell which tasks await these futures."""
    tasks: list[asyncio.Task[Any]] = []
    for future in futures:
        tasks.extend(getattr(future, "_asyncio_awaited_by", None) or ())
    return tuple(tasks)


class Lock(_native.Lock, _Lock):
    """A lock that one task at a time holds; those who wait get it in the order in which they came.

    Counterpart: :class:`asyncio.Lock`.
    """

    def __init__(self) -> None:
        pass

    def statistics(self) -> LockStatistics:
        """Tell whether it is locked, and who waits."""
        return LockStatistics(self.locked(), _waiting(self._waiters))


class Event(_native.Event, _Event):
    """A flag that tasks can wait for.

    Counterpart: :class:`asyncio.Event`.
    """

    def __init__(self) -> None:
        pass

    def statistics(self) -> EventStatistics:
        """Tell whether it is set, and who waits."""
        return EventStatistics(self.is_set(), _waiting(self._waiters))


class Condition(_native.Condition, _Condition):
    """A lock, and a way to wait until somebody who holds it says that something has changed.

    *lock*: a :class:`Lock` or what behaves like one; None for a new one. Counterpart: :class:`asyncio.Condition`.
    """

    def __init__(self, lock: asyncio.Lock | None = None) -> None:
        if lock is None:
            lock = Lock()
        if self._start(lock):
            # Of another's making: asyncio's own methods are going to use these.
            for name in ("locked", "acquire", "release"):
                setattr(self, name, getattr(lock, name))

    def statistics(self) -> ConditionStatistics:
        """Tell whether the lock is held, and who waits to be notified."""
        return ConditionStatistics(self.locked(), _waiting(self._waiters))


class Semaphore(_native.Semaphore, _Semaphore):
    """A number of permits; those who wait for one get it in the order in which they came.

    *value*: permits at the start; ValueError if it is negative. Counterpart: :class:`asyncio.Semaphore`.
    """

    def __init__(self, value: int = 1) -> None:
        self._start(value, bounded=False)

    def statistics(self) -> SemaphoreStatistics:
        """Tell how many permits are left, and who waits."""
        return SemaphoreStatistics(self._value, _waiting(self._waiters))


class BoundedSemaphore(Semaphore, _BoundedSemaphore):
    """A semaphore whose release() raises ValueError where no permit was taken.

    *value*: permits at the start and at most. Counterpart: :class:`asyncio.BoundedSemaphore`.
    """

    def __init__(self, value: int = 1) -> None:
        self._start(value, bounded=True)


# `async with barrier as x` gives a number, whatever typeshed says of asyncio's.
class Barrier(_native.Barrier, _Barrier):  # type: ignore[misc]
    """A point at which *parties* tasks wait for each other.

    ValueError if *parties* is less than 1. Counterpart: :class:`asyncio.Barrier`.
    """

    def __init__(self, parties: int) -> None:
        self._start(parties, Condition())

    def statistics(self) -> BarrierStatistics:
        """Tell who waits for the others, or to be let in while the barrier drains."""
        return BarrierStatistics(self.parties, self.broken, _waiting(self._cond._waiters))


# The hot methods are put into these classes, not into their bases: so the interpreter calls them quickest.
_native._register_primitives(Lock, Event, Condition, Semaphore, BoundedSemaphore)
