"""Tasks and what is composed of them: the names of :mod:`asyncio.tasks`."""

from __future__ import annotations

import sys
from asyncio import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    all_tasks,
    current_task,
    run_coroutine_threadsafe,
)
from asyncio import create_task as _create_task  # noqa: F401  for loops and awaitables that are not native
from asyncio import ensure_future as _ensure_future  # noqa: F401
from asyncio.tasks import _enter_task, _leave_task, _register_task, _unregister_task
from typing import TYPE_CHECKING

from ._native import _as_completed as as_completed

if TYPE_CHECKING:  # what asyncio's overloads say; and loops return its tasks, to type checkers
    from asyncio import Task, create_task, ensure_future, gather, shield, sleep, wait, wait_for
else:
    from ._native import Task, create_task, ensure_future, shield, sleep, wait_for
    from ._native import _gather as gather
    from ._native import _wait as wait

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "Task",
    "_enter_task",
    "_leave_task",
    "_register_task",
    "_unregister_task",
    "all_tasks",
    "as_completed",
    "create_eager_task_factory",
    "create_task",
    "current_task",
    "eager_task_factory",
    "ensure_future",
    "gather",
    "run_coroutine_threadsafe",
    "shield",
    "sleep",
    "wait",
    "wait_for",
]

if sys.version_info >= (3, 12):  # our loop knows asyncio's own, and makes native tasks by it
    from asyncio import create_eager_task_factory as create_eager_task_factory
    from asyncio import eager_task_factory as eager_task_factory
else:
    from ._eager import create_eager_task_factory as create_eager_task_factory
    from ._eager import eager_task_factory as eager_task_factory
