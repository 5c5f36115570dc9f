"""The state of the process that no test may change: taken before a test, compared after it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

CHECKS = ("tasks", "handles", "descriptors", "threads", "children", "signals", "reports", "running loop", "policy")

# A thread whose join() has returned, and a child that was waited for, may be in /proc for a moment longer.
SETTLE_S_MAX = 5.0


class _Reports(logging.Handler):
    """Keeps what the loops' default exception handlers log, which is how anybody learns of their being called."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


REPORTS = _Reports()
LOGGERS = [logging.getLogger(name) for name in ("asyncio", "tideloop")]


def collect_twice() -> None:
    """Collect garbage, and what the finalizers of the first pass let go."""
    gc.collect()
    gc.collect()


def pending_tasks(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """The tasks of a stopped loop that are not done."""
    return [task for task in asyncio.all_tasks(loop) if not task.done()]


def _classes() -> tuple[tuple[type, ...], tuple[type, ...]]:
    """The classes of tasks and of handles that exist so far; type() looks past Tideloop's `__class__` property."""
    tasks, handles = [asyncio.Task, asyncio.tasks._PyTask], [asyncio.Handle]
    native = sys.modules.get("tideloop._native")
    if native is not None:
        tasks.append(native.Task)
        handles += [native.Handle, native.TimerHandle]
    return tuple(tasks), tuple(handles)


def _living() -> tuple[dict[int, Any], dict[int, Any]]:
    """Tasks that are not done and handles that are not cancelled, by id."""
    task_types, handle_types = _classes()
    tasks, handles = {}, {}
    for thing in gc.get_objects():
        kind = type(thing)
        if issubclass(kind, task_types):
            # A task made by a bare __new__ has no state to ask for.
            with contextlib.suppress(RuntimeError, AttributeError):
                if not thing.done():
                    tasks[id(thing)] = thing
        elif issubclass(kind, handle_types):
            with contextlib.suppress(RuntimeError, AttributeError):
                if not thing.cancelled():
                    handles[id(thing)] = thing
    return tasks, handles


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        # The descriptor that listdir itself used is gone by now.
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


# The threads that start children live as long as the process: a child may depend on its parent thread's life. So do
# those of libuv, which uvloop brings.
LASTING_THREADS = {"tideloop-spawn", "libuv-worker"}

# The newest libffi keeps itself open from its first closure on, which may be the import of ctypes or trio.
LASTING_FILE = "/libffi.so."


def _threads() -> set[int]:
    """Ids of the operating system's threads: native ones are not in threading.enumerate()."""
    return {tid for tid in map(int, os.listdir("/proc/self/task")) if _thread_comm(tid) not in LASTING_THREADS}


def _thread_comm(tid: int) -> str | None:
    try:
        with open(f"/proc/self/task/{tid}/comm") as file:
            return file.read().strip()
    except OSError:
        return None


def _children() -> set[int]:
    found: set[int] = set()
    for tid in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{tid}/children") as file:
            found |= {int(pid) for pid in file.read().split()}
    # multiprocessing starts its tracker once and keeps it for the life of the process.
    found.discard(multiprocessing.resource_tracker._resource_tracker._pid)
    return found


def _tracker_fd() -> int | None:
    return multiprocessing.resource_tracker._resource_tracker._fd


def _signals() -> dict[int, Any]:
    return {int(number): signal.getsignal(number) for number in signal.valid_signals()}


def _policy() -> Any:
    return getattr(asyncio.events, "_event_loop_policy", None)


def _thread_name(tid: int) -> str:
    for thread in threading.enumerate():
        if thread.native_id == tid:
            return repr(thread)
    comm = _thread_comm(tid)
    return f"native thread {tid}" if comm is None else f"native thread {tid} ({comm})"


@dataclass
class Snapshot:
    """What was there before the test."""

    task_ids: frozenset[int]
    handle_ids: frozenset[int]
    descriptors: dict[int, str]
    threads: set[int]
    children: set[int]
    signals: dict[int, Any]
    policy: Any
    # What is alive after the test.
    tasks: dict[int, Any] = field(default_factory=dict)
    handles: dict[int, Any] = field(default_factory=dict)

    @classmethod
    def take(cls) -> Snapshot:
        REPORTS.records.clear()
        for logger in LOGGERS:
            logger.addHandler(REPORTS)
        tasks, handles = _living()
        return cls(
            frozenset(tasks),
            frozenset(handles),
            _descriptors(),
            _threads(),
            _children(),
            _signals(),
            _policy(),
        )

    def stop(self) -> None:
        """Stop listening for reports."""
        for logger in LOGGERS:
            logger.removeHandler(REPORTS)

    def left_behind(self, allowed: set[str]) -> list[str]:
        """One line per thing that the test left, except of the kinds allowed."""
        unknown = allowed - set(CHECKS)
        if unknown:
            raise ValueError(f"no such checks: {sorted(unknown)}; there are {CHECKS}")
        collect_twice()
        self.stop()
        if REPORTS.records:
            # The records' tracebacks hold frames, and those the handles whose callbacks raised.
            allowed = allowed | {"handles"}
        self.tasks, self.handles = _living()
        left: list[str] = []
        for name in CHECKS:
            if name not in allowed:
                left += [f"{name}: {line}" for line in getattr(self, "_check_" + name.replace(" ", "_"))()]
        self.tasks, self.handles = {}, {}
        return left

    def _check_tasks(self) -> list[str]:
        return [repr(task) for key, task in self.tasks.items() if key not in self.task_ids]

    def _check_handles(self) -> list[str]:
        return [repr(handle) for key, handle in self.handles.items() if key not in self.handle_ids]

    def _check_descriptors(self) -> list[str]:
        now = _descriptors()
        now.pop(_tracker_fd() or -1, None)
        new = {fd: target for fd, target in now.items() if self.descriptors.get(fd) != target}
        return [f"{fd} -> {target}" for fd, target in new.items() if LASTING_FILE not in target]

    def _check_threads(self) -> list[str]:
        _settle(lambda: not (_threads() - self.threads))
        return [_thread_name(tid) for tid in _threads() - self.threads]

    def _check_children(self) -> list[str]:
        _settle(lambda: not (_children() - self.children))
        return [f"process {pid}" for pid in _children() - self.children]

    def _check_signals(self) -> list[str]:
        changed = [
            f"handler of {signal.Signals(number).name} is {handler!r}, was {self.signals[number]!r}"
            for number, handler in _signals().items()
            if handler != self.signals[number]
        ]
        if threading.current_thread() is threading.main_thread():
            fd = signal.set_wakeup_fd(-1)
            if fd != -1:
                changed.append(f"signal.set_wakeup_fd is still {fd}")
        return changed

    def _check_reports(self) -> list[str]:
        found = [f"{record.name}: {record.getMessage()}" for record in REPORTS.records]
        REPORTS.records.clear()
        return found

    def _check_running_loop(self) -> list[str]:
        running = asyncio._get_running_loop()
        return [repr(running)] if running is not None else []

    def _check_policy(self) -> list[str]:
        now = _policy()
        # The default policy is made by whoever asks first: that is no change.
        if now is self.policy or (self.policy is None and type(now).__module__ == "asyncio.unix_events"):
            return []
        return [f"event loop policy is {now!r}, was {self.policy!r}"]


def _settle(condition: Any) -> None:
    """Give the kernel up to SETTLE_S_MAX to make `condition` true; the caller judges what is there then."""
    deadline = time.monotonic() + SETTLE_S_MAX
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
