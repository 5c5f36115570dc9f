"""The threads of a pool's workers: how they start, who waits for them, what becomes of them at exit and in a fork."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures.thread import BrokenThreadPool
from logging import getLogger
from typing import Any

from . import _native

__all__ = ["Workers"]


class _WorkerThread(threading.Thread):
    """A worker's thread.

    The interpreter's own wait for threads at exit cannot be interrupted without a second traceback, nor be told that
    somebody has pressed Ctrl+C before. So to the interpreter all of them are daemonic, and the pools wait for theirs.
    """

    def __init__(self, threads: Workers, number: int, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._workers, self._number = threads, number
        # Taken by the first who decides whether it works: itself, or whoever starts it and is interrupted.
        self._decided = threading.Lock()

    def decide(self) -> bool:
        """Whether the caller is the first to decide."""
        return self._decided.acquire(blocking=False)

    def run(self) -> None:
        if not self.decide():
            return
        # What it starts in turn, and whoever asks, is to see what the program sees.
        self._daemonic = self._workers.daemon
        try:
            self._workers.work(self._number)
        finally:
            del self._workers


class Workers:
    """The threads of a pool's workers: starts them, and waits for them."""

    def __init__(
        self,
        core: _native.ThreadPoolCore,
        prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        daemon: bool,
    ) -> None:
        self.core, self.daemon = core, daemon
        self.living: dict[int, _WorkerThread] = {}
        self._prefix, self._initializer, self._initargs = prefix, initializer, initargs
        # Held while a thread starts, so that whoever waits for all of them waits for that one too.
        self._starting = threading.RLock()
        self._interrupted = False
        core.set_starter(self.start)
        _known.add(self)

    def belong_to(self, pool: object) -> None:
        """Once nobody refers to *pool* any more its threads end, when they have done what is in the queue."""
        core = self.core
        self._pool = weakref.ref(pool, lambda _: core.close(False))

    def start(self, number: int) -> BaseException | None:
        """Called by the core, in whatever thread submits: what interrupted it, by Ctrl+C say, if the worker runs."""
        with self._starting:
            thread = _WorkerThread(self, number, f"{self._prefix}_{number}")
            interrupt = None
            try:
                thread.start()
            except BaseException as error:
                if thread.decide():
                    raise  # it will not work
                interrupt = error
            if thread.is_alive():
                self.living[number] = thread
            return interrupt

    def is_one(self) -> bool:
        """Whether the caller runs in one of these threads."""
        thread = threading.current_thread()
        return isinstance(thread, _WorkerThread) and thread._workers is self

    def work(self, number: int) -> None:
        try:
            if self._initializer is not None:
                self._initializer(*self._initargs)
        except BaseException:
            getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            self.core.break_down("A thread initializer failed, the thread pool is not usable anymore")
            self.core.gone(number)
        else:
            self.core.work(number)
        finally:
            with self._starting:
                if self.living.get(number) is threading.current_thread():
                    del self.living[number]

    def join(self) -> None:
        with self._starting:
            threads = list(self.living.values())
        for thread in threads:
            thread.join()

    def interrupt(self) -> None:
        """Stop as far as one can, and let nobody wait for the rest."""
        self._interrupted = True
        self.core.close(True)
        self.core.stop_running()

    def at_exit(self, interrupted: bool) -> None:
        if interrupted or self.daemon:
            self.interrupt()
        self.core.close(False)

    def join_at_exit(self) -> None:
        if not self._interrupted:
            self.join()

    def after_fork(self) -> None:
        self._starting = threading.RLock()
        self.living.clear()
        why = "the thread that ran this was left behind in the parent process of a fork"
        futures = [thing for job in gc.get_referents(self.core) for thing in gc.get_referents(job)]
        self.core.forget_threads(BrokenThreadPool(why))
        for future in futures:
            if issubclass(type(future), _native.ThreadFuture):
                _ = future._exception  # counts as looked at: that is the parent's to do


_known: weakref.WeakSet[Workers] = weakref.WeakSet()


def idle() -> int:
    """How many workers of all pools wait for something to do."""
    return sum(int(dict(workers.core.statistics())["idle"]) for workers in list(_known))


def _at_exit() -> None:
    """Before the interpreter waits for threads: every pool does what is queued, unless the program was interrupted."""
    _native.ThreadPoolCore.end_all()
    interrupted = _ended_by_interrupt()
    pools = list(_known)
    for threads in pools:
        threads.at_exit(interrupted)
    for threads in pools:
        threads.join_at_exit()


def _ended_by_interrupt() -> bool:
    """Whether Ctrl+C has ended the main program.

    The interpreter notes what it has printed a traceback of. At a prompt that may be long ago, and has ended nothing.
    """
    if sys.flags.interactive or hasattr(sys, "ps1"):
        return False
    last = getattr(sys, "last_type", None)
    return isinstance(last, type) and issubclass(last, KeyboardInterrupt)


def _after_fork() -> None:
    for threads in list(_known):
        threads.after_fork()


threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_after_fork)
