"""Time limits of calls that threads wait for: one thread watches all of them, while there are any."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
import time
from concurrent.futures import Future, InvalidStateError
from logging import getLogger
from typing import Any

from ._native import CancelToken

__all__ = ["watch"]

# So many entries of calls that have ended may stay before those that are still open are counted against them.
ENDED_MIN_TO_SWEEP = 64


class _Entry:
    """One call. It lets go of all it knows once the call ends, which may be long before its time is over."""

    __slots__ = ("future", "shared", "token", "watch")

    def __init__(self, watch: _Watch, future: Future[Any], token: CancelToken | None, shared: bool) -> None:
        self.watch: _Watch | None = watch
        self.future: Future[Any] | None = future
        self.token, self.shared = token, shared

    def end(self, _: object = None) -> None:
        if self.watch is not None:
            self.watch.note_end(self)
        self.future = self.token = None


class _Watch:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: list[tuple[float, int, _Entry]] = []
        self._open = 0
        self._numbers = itertools.count()
        self._running = False

    def add(self, future: Future[Any], seconds: float, token: CancelToken | None, shared: bool) -> None:
        entry = _Entry(self, future, token, shared)
        item = (time.monotonic() + seconds, next(self._numbers), entry)
        with self._changed:
            if not self._running:
                threading.Thread(target=self._run, name="tideloop-deadlines", daemon=True).start()
                self._running = True
            heapq.heappush(self._deadlines, item)
            self._open += 1
            if self._deadlines[0] is item:
                self._changed.notify()
        future.add_done_callback(entry.end)

    def note_end(self, entry: _Entry) -> None:
        with self._changed:
            if entry.watch is None:
                return
            entry.watch = None
            self._open -= 1
            if self._open <= 0 or len(self._deadlines) > 2 * self._open + ENDED_MIN_TO_SWEEP:
                self._deadlines = [item for item in self._deadlines if item[2].watch is not None]
                heapq.heapify(self._deadlines)
                self._changed.notify()

    def forget(self) -> None:
        """In the child of a fork: the thread is the parent's, which may have held the lock, and so are the limits."""
        for _, _, entry in self._deadlines:
            entry.watch = None
        self.__init__()  # type: ignore[misc]

    def _run(self) -> None:
        try:
            while (entry := self._next()) is not None:
                _expire(entry)
                # Its callback has done so, unless one before that has raised what no future holds back.
                entry.end()
                del entry
        except BaseException:
            with self._changed:
                self._running = False  # the next call to be watched starts another thread
            raise

    def _next(self) -> _Entry | None:
        """The next call whose time is over, waited for; None when there is nothing left to watch."""
        with self._changed:
            # Calls that the collector ends while this thread has the lock put another list in its place.
            while deadlines := self._deadlines:
                left = deadlines[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(deadlines)[2]
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            self._running = False
            return None


def _expire(entry: _Entry) -> None:
    future, token = entry.future, entry.token
    if future is None or future.done():
        return
    # A call that has not begun never does, and needs no telling: others may have the same token.
    tell = not entry.shared or future.running()
    try:
        future.set_exception(TimeoutError())
    except InvalidStateError:
        return  # it was done meanwhile
    except BaseException:
        # Futures report what their callbacks raise, unless it is SystemExit or the like: this thread is not to end.
        getLogger("concurrent.futures").exception("exception calling callback for %r", future)
    if token is not None and tell:
        token.cancel()


_watch = _Watch()


def watch(future: Future[Any], seconds: float, token: CancelToken | None, *, shared: bool) -> None:
    """Have *future* fail with TimeoutError after *seconds* unless it is done, and *token* cancelled then.

    *shared*: other calls may have the token too, so that it is cancelled only if this one runs.
    """
    if seconds < math.inf:
        _watch.add(future, seconds, token, shared)


os.register_at_fork(after_in_child=_watch.forget)
