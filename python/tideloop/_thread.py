"""A thread of its own whose end can be awaited, and whose exception reaches whoever joins it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._both import Event

__all__ = ["Thread"]

LOGGER = logging.getLogger("tideloop")


class Thread(threading.Thread):
    """A :class:`threading.Thread` that hands over what its function returned or raised.

    ``join()`` and ``result()`` block a thread; in a task of any loop they give something to await. What the function
    has raised they raise, with its traceback, each time. An exception that nobody has been handed is logged when the
    thread object goes, or at exit; :func:`threading.excepthook` is not called. SystemExit ends the thread quietly.
    """

    _ended: Event | None = None
    _returned: Any = None
    _error: BaseException | None = None
    _traceback: TracebackType | None = None
    # Its error has been handed to nobody.
    _is_unretrieved = False
    _left_behind = False

    def start(self) -> None:
        """Start it. Raises RuntimeError if that has been done before, as :meth:`threading.Thread.start`."""
        is_first = self._ended is None
        if is_first:
            self.run = self._noting(self.run)  # type: ignore[method-assign]
            self._ended = Event()
        try:
            super().start()
        except BaseException:
            if is_first:
                self._ended = None
                del self.run
            raise
        _begun.add(self)

    def run(self) -> Any:
        """Call the target; what this returns, in a subclass too, is the result."""
        try:
            if self._target is not None:  # type: ignore[attr-defined]
                return self._target(*self._args, **self._kwargs)  # type: ignore[attr-defined]
        finally:
            # As threading's does: they may refer to this thread.
            del self._target, self._args, self._kwargs  # type: ignore[attr-defined]

    def join(self, timeout: float | None = None) -> Any:
        """Wait until it has ended, at most *timeout* seconds, and raise what it has raised.

        A thread blocks and gets None, a task gets an awaitable of that; ``is_alive()`` tells whether the time was up.
        Raises RuntimeError before start(), and in the thread itself. Corresponds to :meth:`threading.Thread.join`.
        """
        return self._after(timeout, lambda _: None)

    def result(self, timeout: float | None = None) -> Any:
        """Wait as join(), and return what its function has returned: in a task, an awaitable of that.

        Raises TimeoutError if it has not ended in *timeout* seconds, and RuntimeError in the child of a fork that has
        left it behind. Corresponds to :meth:`concurrent.futures.Future.result`.
        """
        return self._after(timeout, self._result)

    def _result(self, has_ended: bool) -> Any:
        if not has_ended:
            raise TimeoutError(f"{self.name} has not ended in time")
        if self._left_behind:
            raise RuntimeError("the thread was left behind in the parent process of a fork")
        return self._returned

    def _after(self, timeout: float | None, then: Callable[[bool], Any]) -> Any:
        if self._ended is None:
            raise RuntimeError("cannot join thread before it is started")
        if self is threading.current_thread():
            raise RuntimeError("cannot join current thread")

        def settle(has_ended: bool) -> Any:
            if has_ended:
                self._retrieve()
            return then(has_ended)

        async def settle_soon(ended: Any) -> Any:
            return settle(await ended)

        ended = self._ended.wait(timeout)
        return settle(ended) if isinstance(ended, bool) else settle_soon(ended)

    def _noting(self, run: Callable[[], Any]) -> Callable[[], None]:
        def noting() -> None:
            try:
                self._returned = run()
            except SystemExit:
                pass
            except BaseException as error:
                self._error, self._traceback, self._is_unretrieved = error, error.__traceback__, True
            finally:
                del self.run
                assert self._ended is not None
                self._ended.set()

        return noting

    def _retrieve(self) -> None:
        # It has nothing left to do but to end.
        super().join()
        self._is_unretrieved = False
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)

    def _report(self) -> None:
        if self._is_unretrieved:
            self._is_unretrieved = False
            LOGGER.error("exception of thread %s was never retrieved", self.name, exc_info=self._error)

    def __del__(self) -> None:
        self._report()


_begun: weakref.WeakSet[Thread] = weakref.WeakSet()


def _at_exit() -> None:
    for thread in list(_begun):
        thread._report()


def _after_fork() -> None:
    for thread in list(_begun):
        ended = thread._ended
        if ended is not None and not ended.is_set() and thread is not threading.current_thread():
            thread._left_behind = True
            ended._at_fork_reinit()
            ended.set()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
