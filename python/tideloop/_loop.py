"""The event loop: the native one, with everything around it that is not hot."""

from __future__ import annotations

import asyncio
import os

from . import _native
from ._connections import Connections
from ._lifecycle import Lifecycle

__all__ = ["EventLoop", "new_event_loop"]

_TASK_KINDS = ("native", "asyncio")


class EventLoop(Connections, Lifecycle, _native.EventLoop, asyncio.AbstractEventLoop):
    """Tideloop's event loop: turns, timers, futures, tasks and transports in Rust, the rest in this package.

    Counterpart: :class:`asyncio.SelectorEventLoop`.
    """

    def __init__(self) -> None:
        super().__init__()
        kind = os.environ.get("TIDELOOP_TASKS")
        if kind:
            self._use_asyncio_tasks(_is_asyncio(kind, "TIDELOOP_TASKS"))


def new_event_loop(*, tasks: str | None = None) -> EventLoop:
    """Make an event loop.

    *tasks*: ``"native"`` or ``"asyncio"``; the latter makes create_task() return asyncio's own tasks, which
    ``python -m asyncio ps`` can see. None: as the environment variable ``TIDELOOP_TASKS`` says, else native.
    Raises ValueError for anything else. Counterpart: :func:`asyncio.new_event_loop`.
    """
    asyncio_tasks = None if tasks is None else _is_asyncio(tasks, "tasks")
    loop = EventLoop()  # type: ignore[abstract]  # asyncio leaves what a loop lacks to NotImplementedError
    if asyncio_tasks is not None:
        loop._use_asyncio_tasks(asyncio_tasks)
    return loop


def _is_asyncio(kind: str, source: str) -> bool:
    if kind not in _TASK_KINDS:
        raise ValueError(f"{source} must be one of {', '.join(_TASK_KINDS)}, not {kind!r}")
    return kind == "asyncio"
