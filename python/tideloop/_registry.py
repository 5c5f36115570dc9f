"""Makes ``asyncio.all_tasks()`` see native tasks, without a weak reference for each task.

asyncio finds tasks in a WeakSet that the C half owns. :func:`install` gives that very set a class of ours, whose
iteration adds the native tasks from the extension's registry: so ``asyncio.all_tasks`` needs no replacement, and
works where it was imported by name before Tideloop was.
"""

from __future__ import annotations

import _asyncio
import asyncio
import typing
import weakref

from ._native import all_tasks as native_tasks

__all__ = ["install"]


class _TaskSet(weakref.WeakSet[typing.Any]):
    """asyncio's own set of scheduled tasks, seen together with the native ones."""

    def __iter__(self) -> typing.Iterator[typing.Any]:
        yield from super().__iter__()
        yield from native_tasks()


def install() -> None:
    """Let asyncio see native tasks. Further calls change nothing."""
    tasks = _asyncio_tasks()
    if type(tasks) is weakref.WeakSet:
        # The class of an instance may change to one of the same layout.
        tasks.__class__ = _TaskSet


def _asyncio_tasks() -> weakref.WeakSet[typing.Any] | None:
    """asyncio's WeakSet of the tasks that are not the C half's own; None where it is not found."""
    for name in ("_all_tasks", "_scheduled_tasks"):  # 3.11; 3.12 and 3.13
        found = getattr(_asyncio, name, None)
        if found is not None:
            return typing.cast("weakref.WeakSet[typing.Any]", found)
    return _hidden_set()


class _Probe:
    """Something that asyncio takes for a foreign task."""


def _hidden_set() -> weakref.WeakSet[typing.Any] | None:
    """From 3.14 on no name leads to the set, but what it holds does.

    A WeakSet gives each of its weak references a callback, which finds the set through a reference of its own.
    """
    probe = _Probe()
    asyncio._register_task(probe)  # type: ignore[arg-type]
    try:
        for reference in weakref.getweakrefs(probe):
            callback = reference.__callback__
            for default in getattr(callback, "__defaults__", None) or ():
                found = default() if isinstance(default, weakref.ref) else default
                if isinstance(found, weakref.WeakSet):
                    return found
    finally:
        asyncio._unregister_task(probe)  # type: ignore[arg-type]
    return None
