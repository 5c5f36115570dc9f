"""The event loop: the native one, with everything around it that is not hot."""

from __future__ import annotations

import asyncio
import os

from . import _native
from ._children import Children
from ._datagrams import Datagrams
from ._lifecycle import Lifecycle
from ._sendfile import Sendfile
from ._unix import UnixSockets

__all__ = ["EventLoop", "new_event_loop"]

_TASK_KINDS = ("native", "asyncio")


class EventLoop(Datagrams, UnixSockets, Children, Sendfile, Lifecycle, _native.EventLoop, asyncio.AbstractEventLoop):
    """Tideloop's event loop: turns, timers, futures, tasks and transports in Rust, the rest in this package.

    *tasks* as for :func:`new_event_loop`. Counterpart: :class:`asyncio.SelectorEventLoop`.
    """

    def __init__(self, *, tasks: str | None = None) -> None:
        super().__init__()
        try:
            self._use_asyncio_tasks(_wants_asyncio_tasks(tasks))
        except ValueError:
            self.close()
            raise


def new_event_loop(*, tasks: str | None = None) -> EventLoop:
    """Make an event loop.

    *tasks*: ``"native"`` or ``"asyncio"``; the latter makes create_task() return asyncio's own tasks, which
    ``python -m asyncio ps`` can see. None: as the environment variable ``TIDELOOP_TASKS`` says, else native.
    Raises ValueError for anything else. Counterpart: :func:`asyncio.new_event_loop`.
    """
    return EventLoop(tasks=tasks)


def _wants_asyncio_tasks(tasks: str | None) -> bool:
    source = "tasks"
    if tasks is None:
        source, tasks = "TIDELOOP_TASKS", os.environ.get("TIDELOOP_TASKS") or "native"
    if tasks not in _TASK_KINDS:
        raise ValueError(f"{source} must be one of {', '.join(_TASK_KINDS)}, not {tasks!r}")
    return tasks == "asyncio"
