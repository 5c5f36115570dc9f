"""Making Tideloop what asyncio itself gives out: asyncio.run(), asyncio.Runner() and asyncio.new_event_loop()."""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._loop import EventLoop, new_event_loop

__all__ = ["install", "uninstall"]

# What uninstall() has to do; None while asyncio's own loops, or names, are in place.
_undo: Callable[[], None] | None = None
_undo_names: Callable[[], None] | None = None


def install(*, names: bool = False) -> None:
    """Make every event loop that asyncio creates from now on a Tideloop one; harmless when done already.

    Below 3.14 through the event loop policy, from 3.14 on, where policies are deprecated, by replacing
    ``asyncio.new_event_loop``, which asyncio.run() and asyncio.Runner() call. There, a name that somebody imported
    from asyncio before keeps its old meaning.

    *names*: put Tideloop's functions, primitives and streams into the ``asyncio`` module and its submodules, too, for
    programs and libraries that cannot say ``import tideloop as asyncio``: Lock, Queue, StreamReader, open_connection,
    sleep, wait_for, TaskGroup and their like. Futures, tasks, handles, transports, loops and exceptions stay asyncio's.
    Call it first: a name that somebody imported from asyncio before keeps its old meaning, and what was made by it
    goes on working beside the new ones.
    """
    global _undo, _undo_names
    if _undo is None:
        _undo = _replace_new_event_loop() if sys.version_info >= (3, 14) else _set_policy()
    if names and _undo_names is None:
        from ._install_names import put_names_into_asyncio  # which needs the whole package

        _undo_names = put_names_into_asyncio()


def uninstall() -> None:
    """Put back what install() replaced, names too; harmless when there is nothing to put back."""
    global _undo, _undo_names
    for undo in (_undo_names, _undo):
        if undo is not None:
            undo()
    _undo = _undo_names = None


def _replace_new_event_loop() -> Callable[[], None]:
    before = asyncio.events.new_event_loop

    def replacement() -> asyncio.AbstractEventLoop:
        """Make an event loop: a Tideloop one, after tideloop.install()."""
        return new_event_loop()

    replacement.__name__ = replacement.__qualname__ = "new_event_loop"
    modules: tuple[Any, ...] = (asyncio, asyncio.events)
    for module in modules:
        module.new_event_loop = replacement

    def undo() -> None:
        for module in modules:
            if module.new_event_loop is replacement:  # not if somebody has replaced it since
                module.new_event_loop = before

    return undo


if sys.version_info < (3, 14) or TYPE_CHECKING:

    class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
        """asyncio's default policy, with Tideloop's loops; not there from 3.14 on, where policies are deprecated.

        Counterpart: :class:`asyncio.DefaultEventLoopPolicy`.
        """

        def new_event_loop(self) -> EventLoop:
            """Make a Tideloop event loop."""
            return new_event_loop()

    def _set_policy() -> Callable[[], None]:
        before = asyncio.get_event_loop_policy()
        if isinstance(before, EventLoopPolicy):
            return lambda: asyncio.set_event_loop_policy(None)
        ours = EventLoopPolicy()
        asyncio.set_event_loop_policy(ours)

        def undo() -> None:
            if asyncio.get_event_loop_policy() is ours:  # not if somebody has set another since
                asyncio.set_event_loop_policy(before)

        return undo
