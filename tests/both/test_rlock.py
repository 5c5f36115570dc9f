"""`RLock` for threads and tasks: its owner is the task that runs, or the thread where none does."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, pause, until, wait, waiting

from tideloop.sync import RLock


@pytest.mark.parametrize("kind", KINDS)
def test_its_owner_enters_again_and_releases_as_often(kind: str) -> None:
    lock = RLock()

    async def body() -> None:
        assert not lock.owned()
        assert await wait(lock.acquire())
        assert await wait(lock.acquire(timeout=1))
        assert lock.acquire(blocking=False)
        with lock:
            assert lock._recursion_count() == 4
        for _ in range(3):
            assert lock.owned()
            lock.release()
        assert not lock.owned()
        assert not lock.locked()
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock.release()

    Party(kind, body).result()


@pytest.mark.parametrize("kind", TASKS)
def test_async_with_enters_again(kind: str) -> None:
    lock = RLock()

    async def body() -> None:
        async with lock, lock:
            assert lock._recursion_count() == 2
        assert not lock.locked()

    Party(kind, body).result()


@pytest.mark.parametrize("kind", KINDS)
def test_another_neither_has_it_nor_releases_it(kind: str) -> None:
    lock = RLock()

    async def body() -> None:
        assert lock.locked()
        assert not lock.owned()
        assert not lock.acquire(blocking=False)
        assert not await wait(lock.acquire(timeout=0.01))
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock.release()

    with lock:
        Party(kind, body).result()
        assert lock.owned()


def test_two_tasks_of_one_thread_are_two_owners() -> None:
    lock = RLock()

    async def second() -> bool:
        assert not lock.owned()
        async with lock:
            return lock.owned()

    async def first() -> None:
        async with lock:
            task = asyncio.get_running_loop().create_task(second())
            await pause(0.01)
            assert not task.done()
        assert await task

    Party("tideloop", first).result()


def test_a_callback_of_a_loop_is_not_the_task_that_holds_it() -> None:
    lock = RLock()
    seen: list[Any] = []

    async def body() -> None:
        async with lock:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: seen.append((lock.owned(), lock.acquire(blocking=False))))
            await pause()
            await pause()

    Party("tideloop", body).result()
    assert seen == [(False, False)]


def test_a_task_that_ended_with_it_stays_the_owner_whatever_gets_its_address(loop: asyncio.AbstractEventLoop) -> None:
    lock = RLock()

    async def take() -> None:
        await lock.acquire()

    async def ask() -> bool:
        return bool(lock.owned())

    loop.run_until_complete(take())
    gc.collect()
    assert not any(loop.run_until_complete(ask()) for _ in range(50))
    assert lock.locked()
    assert "Task finished" in repr(lock)
    lock._at_fork_reinit()
    assert not lock.locked()


def test_a_thread_that_ended_with_it_stays_the_owner_whatever_gets_its_number() -> None:
    lock = RLock()
    threading.Thread(target=lock.acquire).start()
    until(lock.locked)
    owned: list[bool] = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: owned.append(lock.owned()))
        thread.start()
        thread.join()
    assert owned == [False] * 20


def test_a_cycle_of_a_lock_and_the_task_that_holds_it_is_collected(loop: asyncio.AbstractEventLoop) -> None:
    class Named(RLock):
        pass

    async def take(lock: RLock) -> RLock:
        await lock.acquire()
        return lock

    reference = weakref.ref(loop.run_until_complete(take(Named())))
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_has_it_when_it_is_released(kind: str) -> None:
    lock = RLock(fair=True)

    async def body() -> bool:
        assert await wait(lock.acquire())
        owned = lock.owned()
        lock.release()
        return bool(owned)

    with lock, lock:
        party = Party(kind, body)
        until(lambda: waiting(lock) == 1)
        assert "count=2, 1 waiting" in repr(lock)
    assert party.result()


def test_a_thread_may_take_it_through_threading_condition() -> None:
    lock = RLock()
    condition = threading.Condition(lock)  # type: ignore[arg-type]
    with lock, condition:
        assert condition.wait(0.01) is False
        assert lock._recursion_count() == 2
    assert not lock.locked()


def test_bad_arguments_raise_as_threading_does() -> None:
    lock = RLock()
    with pytest.raises(ValueError, match="can't specify a timeout"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="non-negative"):
        lock.acquire(timeout=-2)
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(timeout=float("nan"))
    with pytest.raises(OverflowError):
        lock.acquire(timeout=threading.TIMEOUT_MAX + 1)
    assert lock.acquire(timeout=-1)
    lock.release()
