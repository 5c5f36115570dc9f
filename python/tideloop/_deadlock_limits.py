"""Whether something will end what looks like a deadlock: timeouts of asyncio, of anyio and of trio, and timers."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import threading
from contextvars import Context
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

from ._deadlocks import task_is_parked
from ._native import EventLoop, TimerHandle

__all__ = ["something_ends"]

# From a timer's handle to what its function is about: a partial, a method, an object, an attribute of that.
_TIMER_DEPTH = 4
# From a done callback: a pair of it and its context, its closure, a cell.
_CALLBACK_DEPTH = 4
# What leads to everything else.
_NOT_BELOW = (type, ModuleType, dict, str, CodeType, Context, asyncio.AbstractEventLoop)


def something_ends(tasks: list[Any], wanted: list[Any]) -> bool:
    """Whether a timeout will end what one of *tasks* does, or a timer cancel it, or let go of one of *wanted*."""
    path: list[Any] = []
    for task in tasks:
        if not hasattr(task, "get_loop"):
            if _has_trio_deadline(task):
                return True
            continue
        if getattr(task, "_must_cancel", False):
            return True
        with_it = _with_those_who_await(task)
        event_loop = task.get_loop()
        if any(map(_has_anyio_deadline, with_it)) or _is_timed(with_it, event_loop):
            return True
        if _goes_on([each for each in with_it if not any(each is member for member in tasks)], event_loop):
            return True
        path += with_it
    targets = {id(target) for target in (*path, *wanted)}
    if any(_is_about(_parts_of(timer), targets) for timer in threading.enumerate()):
        return True
    timeouts, handles = tuple(_timeout_classes()), tuple(_handle_classes())
    # By type(): isinstance() would ask proxies for their __class__, which runs foreign code.
    for found in gc.get_objects():
        kind = type(found)
        if issubclass(kind, timeouts):
            if _limits(found, path):
                return True
        elif issubclass(kind, handles) and not found.cancelled() and _is_about([found], targets):
            return True
    return False


def _timeout_classes() -> list[type]:
    from . import timeouts
    from ._native import Timeout

    return [asyncio.timeouts.Timeout, timeouts.Timeout, Timeout]


def _handle_classes() -> list[type]:
    uvloop = sys.modules.get("uvloop.loop")
    return [asyncio.TimerHandle, TimerHandle, *([] if uvloop is None else [uvloop.TimerHandle])]


def _is_timed(path: list[Any], event_loop: Any) -> bool:
    """Whether a timer of a loop of ours will finish one of these futures, as for `wait_for` before Python 3.12."""
    return isinstance(event_loop, EventLoop) and any(
        found is each for found in gc.get_referents(event_loop) for each in path if not hasattr(each, "get_coro")
    )


def _goes_on(others: list[Any], event_loop: Any) -> bool:
    """Whether one of those who await runs next: a limit has cancelled it, perhaps, and it cancels what it awaits."""
    if any(hasattr(found, "get_coro") and not found.done() and not task_is_parked(found) for found in others):
        return True
    # Futures that are done have told those who wait for them, and no longer know them.
    done = [found for found in others if found.done()]
    waiters = [getattr(task, "_fut_waiter", None) for task in asyncio.all_tasks(event_loop)] if done else []
    return any(found is waiter for found in done for waiter in waiters)


def _limits(timeout: Any, path: list[Any]) -> bool:
    if not any(timeout._task is each for each in path) or timeout.when() is None:
        return False
    # asyncio's keep their task when they are over.
    return getattr(timeout, "_state", None) is not asyncio.timeouts._State.EXITED  # type: ignore[attr-defined]


def _parts_of(thread: threading.Thread) -> list[Any]:
    """What a thread that is a timer will call, and with what."""
    if not isinstance(thread, threading.Timer) or thread.finished.is_set():
        return []
    return [thread.function, *thread.args, *thread.kwargs.values()]


def _is_about(parts: list[Any], targets: set[int]) -> bool:
    """Whether a timer's handle, or what it calls, reaches one of these objects, by their addresses."""
    ahead = parts
    for _ in range(_TIMER_DEPTH):
        if any(id(found) in targets for found in ahead):
            return True
        ahead = [inner for outer in ahead for inner in _parts_below(outer)]
    return any(id(found) in targets for found in ahead)


def _parts_below(outer: Any) -> list[Any]:
    kind = type(outer)
    if issubclass(kind, FunctionType):
        cells = [cell.cell_contents for cell in outer.__closure__ or () if cell != CellType()]
        parts = [*cells, *(outer.__defaults__ or ()), *(outer.__kwdefaults__ or {}).values()]
        return [*parts, *_with_a_say(outer, parts)]
    if issubclass(kind, MethodType):
        return [outer.__self__, outer.__func__, *_with_a_say(outer.__func__, [outer.__self__])]
    if issubclass(kind, functools.partial):
        return [outer.func, *outer.args, *outer.keywords.values()]
    if issubclass(kind, (tuple, BuiltinMethodType, MethodWrapperType, *_handle_classes())) or _is_ours(kind):
        return gc.get_referents(outer)
    return []


def _is_ours(kind: type) -> bool:
    return kind.__module__ == "tideloop.sync"  # a side of an RWLock, say


def _with_a_say(function: Any, owners: list[Any]) -> list[Any]:
    """What these objects have, if the function cancels something or lets go of it: that may be among it."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    if "cancel" not in names and "release" not in names:
        return []
    return [attribute for owner in owners for attribute in _attributes_of(owner)]


def _attributes_of(instance: Any) -> list[Any]:
    found: list[Any] = []
    for referent in gc.get_referents(instance):
        found += referent.values() if type(referent) is dict else [referent]
    return found


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
