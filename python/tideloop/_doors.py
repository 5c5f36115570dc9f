"""How one who waits for a shared primitive is woken on loops that are not ours: asyncio's, uvloop's, trio's."""

from __future__ import annotations

import asyncio
import collections
import inspect
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from . import _both

__all__ = [
    "call_once",
    "knock_on_foreign",
    "take_in_order",
    "tell_of_ends_on_trio",
    "wait_for_condition",
    "wait_on_trio",
]


class _Wait(Protocol):
    """What is waited for; answers are tuples of one, and None is none."""

    def enter(self, wake: Callable[[], None]) -> tuple[Any] | None: ...
    def look(self) -> tuple[Any] | None: ...
    def expire(self) -> tuple[Any] | None: ...
    def leave(self) -> bool: ...


class _Mailbox:
    """Knocks at tasks of one loop: one call_soon_threadsafe() for all that come before it looks."""

    def __init__(self) -> None:
        self._knocks: collections.deque[Callable[[], None]] = collections.deque()
        self._is_called = False

    def post(self, event_loop: asyncio.AbstractEventLoop, knock: Callable[[], None]) -> None:
        self._knocks.append(knock)
        if self._is_called:
            if event_loop.is_closed():
                raise RuntimeError("Event loop is closed")
            return
        self._is_called = True
        try:
            event_loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed
            self._is_called = False
            raise

    def _deliver(self) -> None:
        # First, so that whoever posts from here on calls again.
        self._is_called = False
        knocks = self._knocks
        while knocks:
            knocks.popleft()()


# Alive as long as the loop is to deliver. What a closed loop never delivered goes with it: a knock that nobody hears
# hands on what the task had been given.
_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Mailbox]] = weakref.WeakKeyDictionary()


def knock_on_foreign(event_loop: asyncio.AbstractEventLoop, knock: Callable[[], None]) -> None:
    """From any thread: have the loop call *knock*. Raises RuntimeError where that is closed."""
    known = _mailboxes.get(event_loop)
    mailbox = None if known is None else known()
    if mailbox is None:
        mailbox = _Mailbox()
        _mailboxes[event_loop] = weakref.ref(mailbox)
    mailbox.post(event_loop, knock)


async def wait_on_trio(wait: _Wait, timeout: float | None) -> Any:
    """Wait in a task of trio, at most *timeout* seconds (None: without limit)."""
    import trio

    token = trio.lowlevel.current_trio_token()
    woken = trio.Event()

    def wake() -> None:
        token.run_sync_soon(woken.set, idempotent=True)

    async def look() -> tuple[Any]:
        nonlocal woken
        while (found := wait.look()) is None:
            await woken.wait()
            woken = trio.Event()
        return found

    await trio.lowlevel.checkpoint_if_cancelled()
    answer = wait.enter(wake)
    if answer is not None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return answer[0]
    try:
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            answer = await look()
    except BaseException:
        if wait.leave():
            with trio.CancelScope(shield=True):
                await look()
        raise
    if answer is None:
        answer = wait.expire()
    if answer is not None:
        return answer[0]
    with trio.CancelScope(shield=True):
        lingered = await look()
    return lingered[0]


async def wait_for_condition(condition: _both.Condition, predicate: Callable[[], Any], timeout: float | None) -> Any:
    """Wait in a task until `predicate()` is true, at most *timeout* seconds; return what it returned last."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not (result := predicate()):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        await condition.wait(left)
    return result


_told_of: weakref.WeakSet[Any] = weakref.WeakSet()


def tell_of_ends_on_trio(runner: Any, tell: Callable[[Any], object]) -> None:
    """Have *tell* called with each task of this run of trio's, the one that goes on here, when it is done."""
    import trio

    class Ends(trio.abc.Instrument):
        def task_exited(self, task: Any) -> None:
            tell(task)

    if runner not in _told_of:
        _told_of.add(runner)
        trio.lowlevel.add_instrument(Ends())


async def call_once(once: _both.Once, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """`Once.call` in a task: what the function returns, or what is awaited of that."""
    turn = await once._turn()
    if turn is None:
        return once._result()
    try:
        once._begin()
        result = function(*args, **kwargs)
        if inspect.isawaitable(result):
            result = await result
    except BaseException:
        once._end(turn, False)
        raise
    once._end(turn, True, result)
    return result


async def take_in_order(locks: tuple[Any, ...], timeout: float | None) -> None:
    """Acquire all in a task; release what has been had where one cannot be had within *timeout* seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    taken = []
    try:
        for lock in locks:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not await lock.acquire(timeout=left):
                raise TimeoutError("not all locks could be had in time")
            taken.append(lock)
    except BaseException:
        for lock in reversed(taken):
            lock.release()
        raise
