"""Groups of tasks, native on every loop.

Counterpart: :mod:`asyncio.taskgroups`. A group is asyncio's to ``isinstance``. What asyncio does not have:
``statistics()`` tells who waits for whom. What newer versions have put right holds on all.
"""

from __future__ import annotations

import asyncio.taskgroups
from typing import Any, NamedTuple

from . import _native

__all__ = ["TaskGroup"]

_TaskGroup = asyncio.taskgroups.TaskGroup  # asyncio's own, whatever its name stands for later


class TaskGroupStatistics(NamedTuple):
    """What a task group says of itself.

    *tasks*: those that are not done, in the order in which they came. *errors*: how many have failed so far.
    *waiting*: the tasks that wait for them, at the end of the block: the group's parent, or nobody.
    """

    tasks: tuple[asyncio.Task[Any], ...]
    errors: int
    waiting: tuple[asyncio.Task[Any], ...]


class TaskGroup(_native.TaskGroup, _TaskGroup):
    """An asynchronous context manager that waits for all tasks that were created in it.

    When one fails, the others and the body of the block are cancelled, and the failures are raised together, as an
    exception group. Counterpart: :class:`asyncio.TaskGroup`.
    """

    def statistics(self) -> TaskGroupStatistics:
        """Tell which tasks are under way, how many failed, and who waits for them."""
        parent = self._parent_task if self._on_completed_fut is not None else None
        waiting = (parent,) if parent is not None else ()
        return TaskGroupStatistics(tuple(self._tasks_in_order()), len(self._errors), waiting)


_native._register_task_group(TaskGroup)
