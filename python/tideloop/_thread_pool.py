"""The thread pool: an executor for threads and for tasks, with native workers."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import _native
from ._executors import loop_is_interrupted
from ._thread_calls import PLAIN, Calls, ThreadPoolView
from ._thread_workers import Workers

__all__ = ["Statistics", "ThreadPool", "ThreadPoolView"]

# A worker that has had nothing to do for so long ends; the next job that needs one starts one.
IDLE_SECONDS = 60.0
# ThreadPoolExecutor's own bounds.
WORKERS_MORE_THAN_CPUS = 4
WORKERS_MAX_DEFAULT = 32


@dataclass(frozen=True)
class Statistics:
    """What a pool has done so far, and what it does now."""

    workers: int
    """Threads that live."""
    idle: int
    """Threads that wait for a job."""
    queued: int
    """Jobs that wait for a thread."""
    running: int
    """Jobs that a thread is busy with."""
    submitted: int
    completed: int
    """Jobs whose function has returned."""
    failed: int
    """Jobs whose function has raised."""
    cancelled: int
    """Jobs that were never begun, because nobody wanted their result any more."""
    longest_wait_seconds: float
    """The longest time that a job has waited for a thread."""
    longest_run_seconds: float
    """The longest time that a job has taken."""


class ThreadPool(Calls, ThreadPoolExecutor):
    """Threads that call functions, for threads and for tasks.

    *max_workers*, *thread_name_prefix*, *initializer* and *initargs* are ThreadPoolExecutor's. *min_workers*: threads
    that stay; those beyond end when they have had nothing to do for *idle_seconds* (None: never). *daemon*: the end of
    the program does not wait for the pool's threads.
    Corresponds to :class:`concurrent.futures.ThreadPoolExecutor`.
    """

    _options = PLAIN
    _counter = itertools.count().__next__

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        min_workers: int = 0,
        idle_seconds: float | None = IDLE_SECONDS,
        daemon: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = min(WORKERS_MAX_DEFAULT, (_cpus() or 1) + WORKERS_MORE_THAN_CPUS)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if not 0 <= min_workers <= max_workers:
            raise ValueError("min_workers must be between 0 and max_workers")
        if idle_seconds is not None and not idle_seconds >= 0:  # NaN is not either
            raise ValueError("idle_seconds must be at least 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        prefix = thread_name_prefix or f"ThreadPoolExecutor-{self._counter()}"
        self._core = _native.ThreadPoolCore(max_workers, min_workers, idle_seconds)
        self._workers = Workers(self._core, prefix, initializer, initargs, daemon)
        self._workers.belong_to(self)
        self._max_workers = max_workers
        self._thread_name_prefix = prefix
        self.__dict__ |= {"_initializer": initializer, "_initargs": initargs}  # as ThreadPoolExecutor has them

    def _pool_core(self) -> _native.ThreadPoolCore:
        return self._core

    @property
    def _direct_core(self) -> _native.ThreadPoolCore | None:
        """What is given jobs without submit(), unless a derived class, or somebody for this pool, has one of their own.

        Loops of ours ask for it too.
        """
        return self._core if type(self).submit is Calls.submit and "submit" not in self.__dict__ else None

    def _whole_pool(self) -> ThreadPool:
        return self

    def statistics(self) -> Statistics:
        """What the pool has done so far, and what it does now."""
        return _statistics(self._core)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; *wait* until all are made and the threads have ended.

        With *cancel_futures* those that have not begun are cancelled.

        Corresponds to :meth:`concurrent.futures.Executor.shutdown`.
        """
        self._core.close(cancel_futures)
        if wait:
            self._workers.join()

    def __exit__(self, exc_type: type[BaseException] | None, exc_val: object, exc_tb: object) -> Literal[False]:
        interrupted = exc_type is not None and (
            issubclass(exc_type, KeyboardInterrupt)
            or (issubclass(exc_type, asyncio.CancelledError) and loop_is_interrupted())
        )
        if interrupted:
            # Who presses Ctrl+C does not want to wait for what is still to come.
            self._interrupt()
        else:
            self.shutdown(wait=True)
        return False

    def _must_help(self) -> bool:
        """Whether a call that this thread waits for is made by nobody else: it is one of ours, and no other is free."""
        now = self.statistics()
        return self._workers.is_one() and now.idle == 0 and now.workers >= self._max_workers

    def _interrupt(self) -> None:
        """Take no more calls, cancel what can be cancelled, and let nobody wait for the rest."""
        self._workers.interrupt()

    def __repr__(self) -> str:
        now = self.statistics()
        state = " shut down" if self._core.closing else ""
        return (
            f"<{type(self).__name__} {self._thread_name_prefix!r}{state} workers={now.workers}/{self._max_workers} "
            f"running={now.running} queued={now.queued}>"
        )

    # What programs that watch their pools look at.

    if not TYPE_CHECKING:

        @property
        def _threads(self) -> set[threading.Thread]:
            return set(self._workers.living.values())

        @property
        def _shutdown(self) -> bool:
            return self._core.closing

        @property
        def _broken(self) -> str | bool:
            return self._core.broken or False

        @property
        def _work_queue(self) -> _QueueSize:
            return _QueueSize(self._core)


class _QueueSize:
    """What is asked of ThreadPoolExecutor's private queue: how long it is."""

    def __init__(self, core: _native.ThreadPoolCore) -> None:
        self._core = core

    def qsize(self) -> int:
        return _statistics(self._core).queued

    def empty(self) -> bool:
        return self.qsize() == 0


def _statistics(core: _native.ThreadPoolCore) -> Statistics:
    figures: dict[str, Any] = dict(core.statistics())
    return Statistics(**{name: value if name.endswith("seconds") else int(value) for name, value in figures.items()})


def _cpus() -> int | None:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count()
    return os.cpu_count()
