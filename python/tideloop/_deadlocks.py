"""What the deadlock detector finds, made readable, and what it asks about tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import dataclasses
import functools
import inspect
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeAlias

from . import _both, _doors, _lifecycle, _thread_calls, _thread_workers
from ._native import _observe
from ._synchronized import wrappers

__all__ = ["Deadlock", "DeadlockError", "Held", "Member", "Site", "deadlocks"]

logger = logging.getLogger("tideloop")

_Place: TypeAlias = tuple[CodeType, int] | None
# The primitive, where, and whether it is shared with others.
_Holding: TypeAlias = tuple[Any, _Place, bool]
# What the detector gives for a member: its number, the task (None: it is a thread), what it holds, and what it waits
# for: the primitive, where, since when, and whether a share will do.
Found: TypeAlias = tuple[int, Any, list[_Holding], tuple[Any, _Place, int, bool] | None]


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
    for what, functions in enumerate(_functions_between()):
        for function in functions:
            for code in (function.__code__, *function.__code__.co_consts):
                if isinstance(code, CodeType) and code.co_name != "__annotate__":
                    _observe.stands_between(code, what)
    _watch_the_main_thread()
    _observe.watch(on, on and victim)


def _functions_between() -> tuple[tuple[Any, ...], ...]:
    """What may stand between a lock and the place in the program that is told of.

    Functions that were called there; those that call what they were given; and those that do so for others, who have
    the lock then.
    """
    ours = (_doors.wait_on_trio, _doors.take_in_order, _doors.call_once, *wrappers)
    named = (_thread_calls._call_named, _thread_calls._Call.__call__)
    runners = (_lifecycle.Lifecycle.run_forever, asyncio.events.Handle._run, threading.Thread.run)
    pools = [_thread_workers.Workers.work, concurrent.futures.thread._WorkItem.run]
    if sys.version_info >= (3, 14):
        pools.append(concurrent.futures.thread.WorkerContext.run)
    return (*ours, *named), runners, tuple(pools)


def deadlock_found(members: list[Found], victim: bool) -> DeadlockError | None:
    """Called by the detector with a cycle. The error for the victim, if there is one."""
    now = time.time()
    shown = [member_of(found, members[(index + 1) % len(members)]) for index, found in enumerate(members)]
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


def member_of(found: Found, following: Found) -> Member:
    """What the detector knows of one, in a report: *following* is whom it needs, where it waits for no primitive."""
    number, task, holdings, wait = found
    name, kind = _name(number, task)
    holds = [Held(what, _shown(what, shared), _site(site)) for what, site, shared in holdings]
    if wait is None:
        needed, needed_kind = _name(following[0], following[1])
        text = f"{needed_kind} {needed!r}" + (", which runs its loop" if needed_kind == "thread" else "")
        return Member(name, kind, holds, None, text, None, None)
    what, site, since_ns, shared = wait
    since = time.time() - (time.monotonic_ns() - since_ns) / 1e9
    return Member(name, kind, holds, what, _shown(what, shared), _site(site), since)


def _shown(what: Any, shared: bool) -> str:
    try:
        text = repr(what)
    except Exception:
        text = object.__repr__(what)
    return f"{text}, to {'read' if shared else 'write'}" if isinstance(what, _both.RWLock) else text


def _text(members: list[Member], now: float) -> str:
    count = len(members)
    lines = [f"Deadlock: {count} wait for each other." if count > 1 else "Deadlock: one waits for itself."]
    return "\n".join(lines + [line for member in members for line in lines_about(member, now)])


def lines_about(member: Member, now: float) -> list[str]:
    """What a report says of one: *now* as of :func:`time.time`."""
    lines = [f"{member.kind} {member.name!r}"]
    lines.extend(f"    holds {held.text}{_taken_at(held.site)}" for held in member.holds)
    lines.append(f"    waits for {member.text}")
    if member.site is not None:
        waited = "" if member.since is None else f", for {max(now - member.since, 0.0):.3f} s"
        lines.append(f"        at {member.site}{waited}")
    return lines


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


@functools.cache
def _watch_the_main_thread() -> None:
    # Before anybody waits for the others at the interpreter's end; whoever registers last is called first.
    with contextlib.suppress(RuntimeError):  # that is now
        threading._register_atexit(_main_thread_ends)  # type: ignore[attr-defined]


def _main_thread_ends() -> None:
    if _observe.watches()[0]:
        _observe.thread_ended(threading.main_thread())


def watch_foreign_task(task: Any) -> None:
    """Called when a task that is not ours takes a lock."""
    if not hasattr(task, "add_done_callback"):
        _doors.tell_of_ends_on_trio(task._runner, _observe.task_ended)
    elif task not in _foreign_tasks:
        _foreign_tasks.add(task)
        task.add_done_callback(_foreign_task_done)


def _foreign_task_done(task: Any) -> None:
    _foreign_tasks.discard(task)
    _observe.task_ended(task)


def ended_holding(is_task: bool, who: Any, holdings: list[_Holding]) -> None:
    """Called when a thread or task has ended that holds something."""
    name = (_task_name(who) if is_task else who.name) if who is not None else "?"
    lines = [f"{'Task' if is_task else 'Thread'} {name!r} has ended and still holds:"]
    lines.extend(f"    {_shown(what, shared)}{_taken_at(_site(site))}" for what, site, shared in holdings)
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
