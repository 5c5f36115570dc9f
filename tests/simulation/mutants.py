"""asyncio's primitives with one mistake each. Random programs that do not find them prove nothing."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

from .kinds import Names, TaskGroup


class UnfairLock(asyncio.Lock):
    """Wakes the youngest first."""

    def _wake_up_first(self) -> None:
        for waiter in reversed(self._waiters or ()):
            if not waiter.done():
                waiter.set_result(True)
                return


class BargedLock(asyncio.Lock):
    """Whoever comes takes it, past those who wait."""

    async def acquire(self) -> bool:  # type: ignore[override]
        if not self._locked:
            self._locked = True
            return True
        return await super().acquire()


class ForgetfulLock(asyncio.Lock):
    """A waiter that is cancelled after it was woken keeps the wake-up to itself."""

    async def acquire(self) -> bool:  # type: ignore[override]
        wake = self._wake_up_first
        try:
            return await super().acquire()
        except asyncio.CancelledError:
            # What the stdlib woke on this account goes to sleep again, as if it had not been.
            self._wake_up_first = wake
            raise

    def release(self) -> None:
        super().release()
        woken = [waiter for waiter in self._waiters or () if waiter.done()]
        if woken:
            self._wake_up_first = lambda: None  # type: ignore[method-assign]


class LateLock(asyncio.Lock):
    """Takes one turn more when somebody waits."""

    async def acquire(self) -> bool:  # type: ignore[override]
        contended = self._locked
        result = await super().acquire()
        if contended:
            await asyncio.sleep(0)
        return result


class LeakySemaphore(asyncio.Semaphore):
    """A cancelled waiter takes a permit with it."""

    async def acquire(self) -> bool:  # type: ignore[override]
        waits = self.locked()
        try:
            return await super().acquire()
        except asyncio.CancelledError:
            if waits and self._value > 0:
                self._value -= 1
            raise


class GenerousSemaphore(asyncio.Semaphore):
    """A cancelled waiter leaves a permit that nobody had."""

    async def acquire(self) -> bool:  # type: ignore[override]
        try:
            return await super().acquire()
        except asyncio.CancelledError:
            self.release()
            raise


class ReversedEvent(asyncio.Event):
    """Wakes the youngest first."""

    def set(self) -> None:
        self._waiters = collections.deque(reversed(self._waiters))
        super().set()


class LateEvent(asyncio.Event):
    """Takes a turn though it is set."""

    async def wait(self) -> bool:  # type: ignore[override]
        await asyncio.sleep(0)
        return await super().wait()


class HastyCondition(asyncio.Condition):
    """A waiter that is cancelled goes without the lock."""

    async def wait(self) -> bool:  # type: ignore[override]
        try:
            return await super().wait()
        except asyncio.CancelledError:
            self.release()
            raise


class ReversedCondition(asyncio.Condition):
    """Notifies the youngest first."""

    def notify(self, n: int = 1) -> None:
        self._waiters = collections.deque(reversed(self._waiters))
        super().notify(n)


class LossyQueue(asyncio.Queue):  # type: ignore[type-arg]
    """What is put while more than one waits goes to nobody."""

    def _put(self, item: Any) -> None:
        if len(self._getters) < 2:
            super()._put(item)


class DeafQueue(asyncio.Queue):  # type: ignore[type-arg]
    """A getter is not woken if it is the second in line."""

    def put_nowait(self, item: Any) -> None:
        kept = [self._getters.pop() for _ in range(len(self._getters) - 1)]
        super().put_nowait(item)
        if not self._getters:
            return
        self._getters.extend(kept)


class EarlyJoinQueue(asyncio.Queue):  # type: ignore[type-arg]
    """join() ends one item too early."""

    def task_done(self) -> None:
        super().task_done()
        if self._unfinished_tasks == 1:
            self._finished.set()


class PlainPriorityQueue(asyncio.PriorityQueue):  # type: ignore[type-arg]
    """The newest item comes last, whatever its priority."""

    def _put(self, item: Any) -> None:
        self._queue.append(item)

    def _get(self) -> Any:
        return self._queue.pop(0)


class BackwardBarrier(asyncio.Barrier):
    """Counts from the other end."""

    async def wait(self) -> int:  # type: ignore[override]
        return self.parties - 1 - await super().wait()


class BackwardGroup(TaskGroup):
    """Cancels the youngest task first."""

    def _abort(self) -> None:
        tasks = list(self._tasks)
        self._tasks.clear()
        for task in reversed(tasks):
            self._tasks.add(task)
        super()._abort()


async def late_wait_for(awaitable: Any, timeout: float | None) -> Any:
    """A turn more at the end."""
    try:
        return await asyncio.wait_for(awaitable, timeout)
    finally:
        await asyncio.sleep(0)


async def rude_wait_for(awaitable: Any, timeout: float | None) -> Any:
    """Leaves when the time is over, whether or not what it waited for has ended."""
    inner = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait([inner], timeout=timeout)
    if not done:
        inner.cancel()
        raise TimeoutError
    return inner.result()


async def immediate_sleep(delay: float, result: Any = None) -> Any:
    """sleep(0) gives way to nobody."""
    return await asyncio.sleep(delay, result) if delay > 0 else result


def cruel_gather(*awaitables: Any, return_exceptions: bool = False) -> Any:
    """Cancels the others when one fails."""
    children = [asyncio.ensure_future(each) for each in awaitables]

    def done(child: Any) -> None:
        if not child.cancelled() and child.exception():
            for other in children:
                other.cancel()

    for child in children:
        child.add_done_callback(done)
    return asyncio.gather(*children, return_exceptions=return_exceptions)


def thin_shield(awaitable: Any) -> Any:
    """Does not."""
    return asyncio.ensure_future(awaitable)


async def patient_wait(futures: Any, *, timeout: float | None = None, return_when: str) -> Any:
    """Waits for everything."""
    return await asyncio.wait(futures, timeout=timeout)


def lasting_timeout(delay: float | None) -> Any:
    """A time-out that has passed already does not count."""
    return asyncio.timeout(delay if delay is None or delay > 0 else None)


MUTANTS: dict[str, Any] = {
    "Lock": (UnfairLock, BargedLock, ForgetfulLock, LateLock),
    "Semaphore": (LeakySemaphore, GenerousSemaphore),
    "Event": (ReversedEvent, LateEvent),
    "Condition": (HastyCondition, ReversedCondition),
    "Queue": (LossyQueue, DeafQueue, EarlyJoinQueue),
    "PriorityQueue": (PlainPriorityQueue,),
    "Barrier": (BackwardBarrier,),
    "TaskGroup": (BackwardGroup,),
    "wait_for": (late_wait_for, rude_wait_for),
    "sleep": (immediate_sleep,),
    "gather": (cruel_gather,),
    "shield": (thin_shield,),
    "wait": (patient_wait,),
    "timeout": (lasting_timeout,),
}


def names_with(name: str, mutant: Any) -> Names:
    """asyncio's names, one of them with a mistake."""
    names = Names()
    # The class keeps its name, which is part of what programs write down.
    if isinstance(mutant, type):
        mutant = type(name, (mutant,), {})
    setattr(names, name, mutant)
    return names
