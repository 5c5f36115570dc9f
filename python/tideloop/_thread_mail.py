"""How what threads have done reaches a loop that is not ours: one call_soon_threadsafe() for all that is there."""

from __future__ import annotations

import asyncio
import collections
import sys
import weakref
from concurrent.futures import Future
from typing import Any

from ._executors import asyncio_error
from ._native import CancelToken

__all__ = ["done_on", "mailbox_of", "wait_on", "wait_on_trio"]


class Mailbox:
    """Futures that are done in some thread, for one loop to fetch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The registry below keeps a mailbox for as long as its loop lives: it must not keep that alive.
        self._loop = weakref.ref(loop)
        self._done: collections.deque[tuple[Any, Future[Any]]] = collections.deque()
        self._called = False

    def post(self, receiver: Any, future: Future[Any]) -> None:
        """From any thread: have ``receiver(future)`` called in the loop. One that is closed hears of nothing."""
        loop = self._loop()
        if loop is None:
            return
        self._done.append((receiver, future))
        self._have_delivered(loop)

    def _have_delivered(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._called:
            return  # whoever has set it has called, and the loop has not come to it yet
        self._called = True
        try:
            loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            if not loop.is_closed():
                raise
            self._done.clear()

    def _deliver(self) -> None:
        self._called = False  # first: what is posted from here on calls again
        loop = self._loop()
        try:
            while self._done:
                receiver, future = self._done.popleft()
                try:
                    receiver(future)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    # It is nobody else's: the rest is for others.
                    if loop is not None:
                        context = {"message": "Exception in what a thread pool's call was awaited with"}
                        loop.call_exception_handler({**context, "exception": error, "future": future})
        finally:
            if self._done and loop is not None:  # an interrupt ends this turn, not what is still to be delivered
                self._have_delivered(loop)


_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = weakref.WeakKeyDictionary()


def mailbox_of(loop: asyncio.AbstractEventLoop) -> Mailbox:
    """The mailbox of *loop*."""
    mailbox = _mailboxes.get(loop)
    if mailbox is None:
        mailbox = _mailboxes[loop] = Mailbox(loop)
    return mailbox


def wait_on(
    loop: asyncio.AbstractEventLoop, future: Future[Any], token: CancelToken | None = None
) -> asyncio.Future[Any]:
    """A future of *loop* that becomes what *future* is. Cancelling it cancels that one and *token*."""
    waiting: asyncio.Future[Any] = loop.create_future()
    mailbox = mailbox_of(loop)

    def settle(done: Future[Any]) -> None:
        if waiting.done():
            return
        if done.cancelled():
            waiting.cancel()
        elif (error := done.exception()) is not None:
            waiting.set_exception(asyncio_error(error))
        else:
            waiting.set_result(done.result())

    def on_waiting_done(waiting: asyncio.Future[Any]) -> None:
        if waiting.cancelled():
            if not future.cancel() and token is not None:
                token.cancel()
            future.add_done_callback(_retrieve)

    waiting.add_done_callback(on_waiting_done)
    future.add_done_callback(lambda done: mailbox.post(settle, done))
    return waiting


def done_on(loop: asyncio.AbstractEventLoop, future: Future[Any]) -> asyncio.Future[None]:
    """A future of *loop* that is done when *future* is, and has nothing else to do with it."""
    waiting: asyncio.Future[None] = loop.create_future()
    mailbox = mailbox_of(loop)

    def settle(_: Future[Any]) -> None:
        if not waiting.done():
            waiting.set_result(None)

    future.add_done_callback(lambda done: mailbox.post(settle, done))
    return waiting


def _retrieve(future: Future[Any]) -> None:
    """Whoever waited has gone: what the function raises is nobody's."""
    if not future.cancelled():
        future.exception()


async def wait_on_trio(future: Future[Any], token: CancelToken, timeout: float | None) -> Any:
    """The same for trio, where *timeout* is in seconds. Raises RuntimeError where neither asyncio nor trio runs."""
    trio = sys.modules.get("trio")
    if trio is None or not _in_trio(trio):
        future.cancel()
        raise RuntimeError("no running event loop")
    trio_token, task = trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()

    def on_done(future: Future[Any]) -> None:
        trio_token.run_sync_soon(wake)

    def wake() -> None:
        if waits:
            waits.clear()
            trio.lowlevel.reschedule(task)

    def abort(_: object) -> Any:
        waits.clear()
        if not future.cancel():
            token.cancel()
        future.add_done_callback(_retrieve)
        return trio.lowlevel.Abort.SUCCEEDED

    waits = [True]
    scope = trio.move_on_after(timeout) if timeout is not None else trio.CancelScope()
    with scope:
        future.add_done_callback(on_done)
        await trio.lowlevel.wait_task_rescheduled(abort)
        return future.result()
    raise TimeoutError


def _in_trio(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True
