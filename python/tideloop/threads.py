"""Work in threads: the names of :mod:`asyncio.threads`, and a pool that threads and tasks share.

Beyond :func:`to_thread`: :class:`ThreadPool`, whose calls can be awaited; :class:`Thread`, whose end can be, and which
hands over what its function returned or raised; :class:`CancelToken` and
:func:`current_token`, by which a function in a thread learns that nobody wants its result any more; and
:func:`tqdm_progress` and :func:`rich_progress` for ``ThreadPool.map``.
"""

from __future__ import annotations

from asyncio import events as _events
from collections.abc import Callable as _Callable
from contextvars import copy_context as _copy_context
from functools import partial as _partial
from typing import TYPE_CHECKING
from typing import Any as _Any
from typing import ParamSpec as _ParamSpec
from typing import TypeVar as _TypeVar

from ._executors import Executors as _Executors
from ._native import CancelToken as CancelToken
from ._native import current_token as current_token

if TYPE_CHECKING:
    from concurrent.futures.thread import BrokenThreadPool as BrokenThreadPool

    from ._thread import Thread as Thread
    from ._thread_calls import ThreadPoolView as ThreadPoolView
    from ._thread_future import Future as Future
    from ._thread_map import PoolMap as PoolMap
    from ._thread_pool import Statistics as Statistics
    from ._thread_pool import ThreadPool as ThreadPool
    from ._thread_progress import rich_progress as rich_progress
    from ._thread_progress import tqdm_progress as tqdm_progress

# What the package has of this module is what asyncio has.
__all__ = ["to_thread"]

_P = _ParamSpec("_P")
_T = _TypeVar("_T")


async def to_thread(func: _Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Await ``func(*args, **kwargs)`` in a thread of the loop's default executor, with the caller's context variables.

    Cancelling takes the call out of the queue if it has not begun. Corresponds to :func:`asyncio.to_thread`.
    """
    loop = _events.get_running_loop()
    context = _copy_context()
    if isinstance(loop, _Executors) and type(loop).run_in_executor is _Executors.run_in_executor:
        return await loop._run_in_default_thread(func, args, kwargs, context)
    return await loop.run_in_executor(None, _partial(context.run, func, *args, **kwargs))


# concurrent.futures takes longer to import than the rest of the package: it comes when somebody asks.
_LATER = {
    "BrokenThreadPool": "concurrent.futures.thread",
    "Future": "tideloop._thread_future",
    "PoolMap": "tideloop._thread_map",
    "Statistics": "tideloop._thread_pool",
    "Thread": "tideloop._thread",
    "ThreadPool": "tideloop._thread_pool",
    "ThreadPoolView": "tideloop._thread_calls",
    "rich_progress": "tideloop._thread_progress",
    "tqdm_progress": "tideloop._thread_progress",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


if not TYPE_CHECKING:

    def __getattr__(name: str) -> _Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
        return value
