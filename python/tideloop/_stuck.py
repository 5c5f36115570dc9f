"""A loop that is about to sleep for ever: whether anything is left that could wake it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import time
from typing import Any

from ._deadlocks import Deadlock, DeadlockError, Member, Site, lines_about, member_of, task_is_parked, tell
from ._native import _observe

__all__ = ["stuck", "tell_stuck"]


def stuck(event_loop: Any) -> DeadlockError | None:
    """Called by the loop when it has nothing to do, no timer and no descriptor. The error, if it would sleep for ever.

    Any doubt means no: only where nothing but this thread could run is there an error.
    """
    tasks = [task for task in asyncio.all_tasks(event_loop) if not task.done()]
    if not tasks or not all(map(task_is_parked, tasks)):
        return None
    if event_loop._signal_handlers or event_loop._starting or event_loop._watched or _has_handlers():
        return None
    # To count threads lets others run. Whoever slept before and after has done nothing meanwhile; and whoever has ended
    # before has left what it had to say, which the loop looks for then.
    asleep = _asleep()
    if asleep != _other_threads() or asleep != _asleep() or _observe.busy():
        return None
    now = time.time()
    members = [_member(task) for task in sorted(tasks, key=lambda task: str(task.get_name()))]
    threads = [member_of(found, found) for found in _observe.waiting()]
    return DeadlockError(Deadlock(members + threads, _text(members, threads, event_loop, now)))


def tell_stuck(error: DeadlockError) -> None:
    """Called by the loop when it is certain that it has got nothing to do meanwhile."""
    tell(error.deadlock)


def _has_handlers() -> bool:
    """Whether a Python function of the program's own runs when some signal arrives."""
    return any(
        callable(handler) and not _is_ctrl_c(handler) for handler in map(signal.getsignal, signal.valid_signals())
    )


def _is_ctrl_c(handler: Any) -> bool:
    """Python's own for SIGINT, or that of a Runner."""
    function = getattr(handler, "func", None)  # a Runner's is a functools.partial
    return handler is signal.default_int_handler or getattr(function, "__qualname__", "") == "Runner._on_sigint"


def _other_threads() -> int:
    """How many threads there are beside this one, whoever has made them; -1 where that cannot be known."""
    if not sys.platform.startswith("linux"):
        return -1
    try:
        return len(os.listdir("/proc/self/task")) - 1
    except OSError:
        return -1


def _asleep() -> int:
    """How many threads sleep for ever unless others wake them: in waits without a limit, and workers of idle pools."""
    workers = sys.modules.get("tideloop._thread_workers")
    idle: int = 0 if workers is None else workers.idle()
    waiting: int = _observe.waiting_threads()
    return waiting + idle


def _member(task: Any) -> Member:
    found = _observe.story(task)
    known = member_of(found, found)
    if known.waits_for is not None:
        return known
    reason = getattr(task, "_wait_reason", None)
    waits_for = getattr(task, "_waits_for", None)
    if waits_for is None:
        waits_for = task._fut_waiter
    text = repr(waits_for) if reason in (None, "other") else f"{reason}: {waits_for!r}"
    return dataclasses.replace(known, waits_for=waits_for, text=text, site=_innermost(task.get_coro()))


def _innermost(coroutine: Any) -> Site | None:
    """Where a coroutine stands that waits, or the one that it awaits, and so on: the last place that is not ours.

    Nor asyncio's; where there is no other, it is the last of all.
    """
    site = outside = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            break
        site = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
        if os.path.dirname(site.filename) not in _OURS:
            outside = site
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return outside or site


_OURS = (os.path.dirname(asyncio.__file__), os.path.dirname(__file__))


def _text(members: list[Member], threads: list[Member], event_loop: Any, now: float) -> str:
    count = len(members)
    whose = "its only task waits" if count == 1 else f"its {count} tasks wait"
    beside = "" if not threads else ", as does a thread" if len(threads) == 1 else f", as do {len(threads)} threads"
    lines = [f"Deadlock: nothing can wake {event_loop!r} any more, and {whose}{beside}."]
    return "\n".join(lines + [line for member in members + threads for line in lines_about(member, now)])
