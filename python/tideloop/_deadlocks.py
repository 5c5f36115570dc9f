"""What the deadlock detector finds, made readable, and what it asks about tasks."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import Context
from types import CodeType, ModuleType
from typing import Any, TypeAlias

from . import _doors
from ._native import EventLoop, TimerHandle, _observe
from ._synchronized import wrappers

__all__ = ["Deadlock", "DeadlockError", "Held", "Member", "Site", "deadlocks"]

logger = logging.getLogger("tideloop")

# What the detector gives for a member: its number, the task (None: it is a thread), what it holds, what it waits for.
_Place: TypeAlias = tuple[CodeType, int] | None
_Found: TypeAlias = tuple[int, Any, list[tuple[Any, _Place]], tuple[Any, _Place, int] | None]


@dataclasses.dataclass(frozen=True)
class Site:
    """A place in a program."""

    filename: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}, in {self.function}"


@dataclasses.dataclass(frozen=True)
class Held:
    """Something that a member holds.

    *text*: what it looked like then. *site*: where it was taken, None where that is not known.
    """

    what: Any
    text: str
    site: Site | None


@dataclasses.dataclass(frozen=True)
class Member:
    """One of a deadlock: it cannot go on without the next one, and the last not without the first.

    *kind*: ``"thread"`` or ``"task"``. *waits_for*: the primitive, whose *text* is what it looked like then; None where
    it needs the next one itself: it awaits that task, or that thread runs its loop. *site*: where it waits. *since*:
    since when, as of :func:`time.time`. Both are None where that is not known.
    """

    name: str
    kind: str
    holds: list[Held]
    waits_for: Any
    text: str
    site: Site | None
    since: float | None


@dataclasses.dataclass(frozen=True)
class Deadlock:
    """Threads and tasks of which none can go on; ``str()`` is the report."""

    members: list[Member]
    text: str

    def __str__(self) -> str:
        return self.text


class DeadlockError(RuntimeError):
    """Raised in the victim of a deadlock, out of the call that would never have returned.

    ``deadlock`` has the members.
    """

    def __init__(self, deadlock: Deadlock) -> None:
        super().__init__(str(deadlock))
        self.deadlock = deadlock


for _public in (Site, Held, Member, Deadlock, DeadlockError):
    _public.__module__ = "tideloop.observe"

_report: Callable[[Deadlock], object] | None = None


def deadlocks(on: bool = True, *, victim: bool = False, report: Callable[[Deadlock], object] | None = None) -> None:
    """Look for deadlocks from here on, or, with *on* False, no longer.

    Every cycle of waits for locks of :mod:`tideloop.sync`, through threads and tasks alike, is reported when it closes:
    to *report*, or where that is None to the logger ``tideloop``, as an error. With *victim*, the wait that has closed
    the cycle ends in :exc:`DeadlockError`. A Tideloop loop whose every task waits, with nothing left that could wake
    one, says so and ends in that error in any case. What is held or waited for when this is called is not known.
    *report* is called in the thread whose wait has closed the cycle, before anybody is let go: it must not wait for
    locks. Raises TypeError if it is no plain function. The environment variable ``TIDELOOP_DEADLOCKS=1`` (``=victim``)
    does the same from the start.
    """
    global _report
    if report is not None and (not callable(report) or inspect.iscoroutinefunction(report)):
        raise TypeError(f"report must be a function, which is called with a Deadlock, not {report!r}")
    _report = report if on else None
    for function in (_doors.wait_on_trio, _doors.take_in_order, _doors.call_once, *wrappers):
        # What is told of is where these were called.
        for code in (function.__code__, *function.__code__.co_consts):
            if isinstance(code, CodeType) and code.co_name != "__annotate__":
                _observe.is_ours(code)
    _observe.watch(on, on and victim)


def deadlock_found(members: list[_Found], victim: bool) -> DeadlockError | None:
    """Called by the detector with a cycle. The error for the victim, if there is one."""
    now = time.time()
    shown = [_member(found, members[(index + 1) % len(members)], now) for index, found in enumerate(members)]
    deadlock = Deadlock(shown, _text(shown, now))
    tell(deadlock)
    return DeadlockError(deadlock) if victim else None


def tell(deadlock: Deadlock) -> None:
    """Report it, as deadlocks() was told to; what that raises saves nobody from being told, and spares no victim."""
    if _report is None:
        logger.error("%s", deadlock)
        return
    try:
        _report(deadlock)
    except Exception:
        logger.exception("a deadlock could not be reported as it was wanted:\n%s", deadlock)


def _member(found: _Found, following: _Found, now: float) -> Member:
    number, task, holdings, wait = found
    name, kind = _name(number, task)
    holds = [Held(what, _shown(what), _site(site)) for what, site in holdings]
    if wait is None:
        needed, needed_kind = _name(following[0], following[1])
        text = f"{needed_kind} {needed!r}" + (", which runs its loop" if needed_kind == "thread" else "")
        return Member(name, kind, holds, None, text, None, None)
    what, site, since_ns = wait
    since = now - (time.monotonic_ns() - since_ns) / 1e9
    return Member(name, kind, holds, what, _shown(what), _site(site), since)


def _shown(what: Any) -> str:
    try:
        return repr(what)
    except Exception:
        return object.__repr__(what)


def _text(members: list[Member], now: float) -> str:
    count = len(members)
    lines = [f"Deadlock: {count} wait for each other." if count > 1 else "Deadlock: one waits for itself."]
    for member in members:
        lines.append(f"{member.kind} {member.name!r}")
        lines.extend(f"    holds {held.text}{_taken_at(held.site)}" for held in member.holds)
        lines.append(f"    waits for {member.text}")
        if member.site is not None:
            waited = "" if member.since is None else f", for {max(now - member.since, 0.0):.3f} s"
            lines.append(f"        at {member.site}{waited}")
    return "\n".join(lines)


def _taken_at(site: Site | None) -> str:
    return "" if site is None else f"\n        taken at {site}"


def _name(number: int, task: Any) -> tuple[str, str]:
    if task is not None:
        return _task_name(task), "task"
    for thread in threading.enumerate():
        if thread.ident is not None and thread.ident | 1 == number:
            return thread.name, "thread"
    return f"{number & ~1:#x}", "thread"


def _task_name(task: Any) -> str:
    get_name = getattr(task, "get_name", None)
    return str(get_name() if get_name is not None else getattr(task, "name", task))


def _site(site: _Place) -> Site | None:
    if site is None:
        return None
    code, offset = site
    # One entry per instruction of two bytes.
    for index, (line, _, _, _) in enumerate(code.co_positions()):
        if index * 2 >= offset and line is not None:
            return Site(code.co_filename, line, code.co_qualname)
    return Site(code.co_filename, code.co_firstlineno, code.co_qualname)


# What the detector asks about tasks.


def task_needs(task: Any) -> tuple[Any, int | None, Any]:
    """The task that *task* awaits, if it awaits exactly one; what runs it, and in which thread, where that says so."""
    if not hasattr(task, "get_loop"):  # a task of trio
        return None, None, task._runner if inspect.getcoroutinestate(task.coro) != inspect.CORO_CLOSED else None
    if task.done():
        return None, None, None
    awaited = getattr(task, "_fut_waiter", None)
    if not isinstance(awaited, asyncio.Task) or awaited.done():
        awaited = None
    event_loop = task.get_loop()
    return awaited, getattr(event_loop, "_thread_id", None), event_loop


def task_is_parked(task: Any) -> bool:
    """Whether *task* waits, and neither a cancellation nor anything else is on its way to it."""
    if not hasattr(task, "get_loop"):
        return not task._cancel_status.effectively_cancelled  # a task of trio
    waiter = getattr(task, "_fut_waiter", None)
    return waiter is not None and not waiter.done() and not getattr(task, "_must_cancel", False)


def task_has_deadline(task: Any) -> bool:
    """Whether a timeout will end what *task* does: asyncio's and ours, anyio's, trio's."""
    if not hasattr(task, "get_loop"):
        return _has_trio_deadline(task)
    if getattr(task, "_must_cancel", False):
        return True
    path = _with_those_who_await(task)
    if any(map(_has_anyio_deadline, path)) or _is_timed(path, task.get_loop()):
        return True
    kinds = tuple(_timeout_classes())
    # By type(): isinstance() would ask proxies for their __class__, which runs foreign code.
    return any(issubclass(type(found), kinds) and _limits(found, path) for found in gc.get_objects())


def _timeout_classes() -> list[type]:
    from . import timeouts
    from ._native import Timeout

    return [asyncio.timeouts.Timeout, timeouts.Timeout, Timeout, asyncio.TimerHandle, TimerHandle]


def _is_timed(path: list[Any], event_loop: Any) -> bool:
    """Whether a timer of a loop of ours will finish one of these futures, as for `wait_for` before Python 3.12."""
    return isinstance(event_loop, EventLoop) and any(
        found is each for found in gc.get_referents(event_loop) for each in path if not hasattr(each, "get_coro")
    )


def _limits(timeout: Any, path: list[Any]) -> bool:
    if isinstance(timeout, (asyncio.TimerHandle, TimerHandle)):  # which finishes a future, or cancels a task
        handle: Any = timeout
        about = [getattr(handle._callback, "__self__", None), *(handle._args or ())]
        return not handle.cancelled() and any(found is each for found in about for each in path)
    if not any(timeout._task is each for each in path) or timeout.when() is None:
        return False
    # asyncio's keep their task when they are over.
    return getattr(timeout, "_state", None) is not asyncio.timeouts._State.EXITED  # type: ignore[attr-defined]


def _with_those_who_await(task: Any) -> list[Any]:
    """The task, the futures and tasks that go on when it is done, through gather(), groups and such, and so on."""
    path, seen, ahead = [], set(), [task]
    while ahead:
        found = ahead.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if asyncio.isfuture(found):
            path.append(found)
            for callback in getattr(found, "_callbacks", None) or ():
                ahead.extend(_reached_by(callback))
        elif (parent := getattr(found, "_parent_task", None)) is not None:  # a TaskGroup
            ahead.append(parent)
    return path


def _reached_by(callback: Any) -> list[Any]:
    """The futures, tasks and groups that a done callback is about: in its closure, say, or whose method it is."""
    reached, ahead = [], [callback]
    for _ in range(_CALLBACK_DEPTH):
        ahead = [inner for outer in ahead for inner in gc.get_referents(outer) if not isinstance(inner, _NOT_BELOW)]
        reached += [inner for inner in ahead if asyncio.isfuture(inner) or hasattr(type(inner), "create_task")]
    return reached


# A pair of the callback and its context, its closure, a cell.
_CALLBACK_DEPTH = 4
# What leads to everything else.
_NOT_BELOW = (type, ModuleType, dict, str, CodeType, Context, asyncio.AbstractEventLoop)


def _has_anyio_deadline(task: Any) -> bool:
    backend = sys.modules.get("anyio._backends._asyncio")
    state = backend._task_states.get(task) if backend is not None else None
    scope = getattr(state, "cancel_scope", None)
    while scope is not None:
        if scope.deadline != float("inf"):
            return True
        scope = scope._parent_scope
    return False


def _has_trio_deadline(task: Any) -> bool:
    status = task._cancel_status
    while status is not None:
        if status._scope.deadline != float("inf"):
            return True
        status = status._parent
    return False


# Those who end while they hold something.


class _ThreadEnd:
    """In a thread's own variables: dies with the thread."""

    def __init__(self, thread: threading.Thread | None) -> None:
        self._thread = thread
        self._ident = threading.get_ident()

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # In the child of a fork those of the parent's other threads die, too, in a thread that goes on.
        if not _is_finalizing() and threading.get_ident() == self._ident:
            _observe.thread_ended(self._thread)


_here = threading.local()
_foreign_tasks: weakref.WeakSet[Any] = weakref.WeakSet()


def thread_seen() -> None:
    """Called once in each thread that takes or awaits a lock."""
    ident = threading.get_ident()
    _here.end = _ThreadEnd(next((thread for thread in threading.enumerate() if thread.ident == ident), None))


def watch_foreign_task(task: Any) -> None:
    """Called when a task that is not ours takes a lock."""
    if not hasattr(task, "add_done_callback"):
        _watch_trio(task._runner)
    elif task not in _foreign_tasks:
        _foreign_tasks.add(task)
        task.add_done_callback(_foreign_task_done)


def _foreign_task_done(task: Any) -> None:
    _foreign_tasks.discard(task)
    _observe.task_ended(task)


def _watch_trio(runner: Any) -> None:
    """Be told when a task of this run of trio's, the one that goes on here, is done."""
    import trio

    class Ends(trio.abc.Instrument):  # type: ignore[misc, unused-ignore]
        def task_exited(self, task: Any) -> None:
            _observe.task_ended(task)

    if runner not in _watched_runs:
        _watched_runs.add(runner)
        trio.lowlevel.add_instrument(Ends())


_watched_runs: weakref.WeakSet[Any] = weakref.WeakSet()


def ended_holding(is_task: bool, who: Any, holdings: list[tuple[Any, _Place]]) -> None:
    """Called when a thread or task has ended that holds something."""
    name = (_task_name(who) if is_task else who.name) if who is not None else "?"
    lines = [f"{'Task' if is_task else 'Thread'} {name!r} has ended and still holds:"]
    lines.extend(f"    {what!r}{_taken_at(_site(site))}" for what, site in holdings)
    logger.error("%s", "\n".join(lines))


def _after_fork() -> None:
    if _observe.watches()[0]:
        _observe.forget_other_threads()


os.register_at_fork(after_in_child=_after_fork)


def begin_as_the_environment_says() -> None:
    """What ``TIDELOOP_DEADLOCKS`` asks for, when Tideloop is imported."""
    wanted = os.environ.get("TIDELOOP_DEADLOCKS", "").strip().lower()
    if wanted not in ("", "0", "false", "no", "off"):
        deadlocks(victim=wanted == "victim")
