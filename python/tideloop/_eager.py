"""Tasks that start at once, on Python 3.11 too, whose asyncio does not know them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Protocol, TypeVar

from ._native import Task

__all__ = ["create_eager_task_factory", "eager_task_factory"]


_T = TypeVar("_T")


class _Factory(Protocol):
    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, _T] | Generator[Any, None, _T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[_T]: ...


def create_eager_task_factory(custom_task_constructor: Callable[..., asyncio.Task[Any]]) -> _Factory:
    """Return a task factory, for :meth:`loop.set_task_factory`, that starts each task as soon as it is made.

    *custom_task_constructor* is called with ``(coro, loop=, name=, context=, eager_start=True)``.
    Counterpart: :func:`asyncio.create_eager_task_factory` (3.12).
    """

    def factory(
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, _T] | Generator[Any, None, _T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[_T]:
        """Make a task that starts at once."""
        return custom_task_constructor(coro, loop=loop, name=name, context=context, eager_start=True)

    return factory


eager_task_factory: _Factory = create_eager_task_factory(Task)
