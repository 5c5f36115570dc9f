"""Makes ``asyncio.all_tasks()`` and ``asyncio.current_task()`` see native tasks, at no cost per task or step.

asyncio finds tasks in a WeakSet that the C half owns. :func:`install` gives that very set a class of ours, whose
iteration adds the native tasks from the extension's registry: so ``asyncio.all_tasks`` needs no replacement, and
works where it was imported by name before Tideloop was. On 3.11, ``asyncio.current_task`` is a Python function over
a module dictionary; there a mapping that asks the native loops takes the dictionary's place. Later versions' is C, and
the extension writes where it reads.
"""

from __future__ import annotations

import _asyncio
import asyncio
import sys
import typing
import weakref
from collections.abc import Iterator, MutableMapping

from ._native import Task, _current_task, _set_current_task
from ._native import all_tasks as native_tasks

__all__ = ["install"]


class _TaskSet(weakref.WeakSet[typing.Any]):
    """asyncio's own set of scheduled tasks, seen together with the native ones."""

    def __iter__(self) -> Iterator[typing.Any]:
        yield from super().__iter__()
        yield from native_tasks()


class _CurrentTasks(MutableMapping[typing.Any, typing.Any]):
    """The task that each loop runs: what 3.11's ``asyncio.current_task`` looks into."""

    __slots__ = ("_asyncio_tasks",)

    get = staticmethod(_current_task)  # the one method that asyncio calls; the rest is for whoever looks in here

    def __init__(self, asyncio_tasks: dict[typing.Any, typing.Any]) -> None:
        self._asyncio_tasks = asyncio_tasks

    def __getitem__(self, loop: typing.Any) -> typing.Any:
        task = _current_task(loop)
        if task is None:
            raise KeyError(loop)
        return task

    def __setitem__(self, loop: typing.Any, task: typing.Any) -> None:
        if not (isinstance(task, Task) and _set_current_task(loop, task)):
            self._asyncio_tasks[loop] = task

    def __delitem__(self, loop: typing.Any) -> None:
        if not _set_current_task(loop, None):
            del self._asyncio_tasks[loop]

    def __iter__(self) -> Iterator[typing.Any]:
        seen = {task.get_loop(): None for task in native_tasks() if _current_task(task.get_loop()) is task}
        return iter({**seen, **dict.fromkeys(self._asyncio_tasks)})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def install() -> None:
    """Let asyncio see native tasks. Further calls change nothing."""
    tasks = _asyncio_tasks()
    if type(tasks) is weakref.WeakSet:
        # The class of an instance may change to one of the same layout.
        tasks.__class__ = _TaskSet
    current = vars(asyncio.tasks).get("_current_tasks")
    if sys.version_info < (3, 12) and type(current) is dict:
        vars(asyncio.tasks)["_current_tasks"] = _CurrentTasks(current)


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
