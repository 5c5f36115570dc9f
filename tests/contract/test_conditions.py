"""Conditions and barriers: asyncio's promises, on asyncio and on Tideloop's own names."""

import asyncio
import importlib

import pytest

from support import turn


@pytest.fixture
def aio(loop_kind):
    """The module that the names come from."""
    return importlib.import_module(loop_kind)


def start(loop, *coroutines):
    """Tasks that have made their first step."""
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    turn(loop)
    return tasks


# -- conditions --------------------------------------------------------------------------------------------------------


async def listen(condition, name, log):
    async with condition:
        log.append((name, await condition.wait()))


def test_as_many_as_are_notified_go_on_in_order(aio, loop):
    condition, log = aio.Condition(), []
    tasks = start(loop, *[listen(condition, name, log) for name in range(6)])
    turn(loop, 6)

    async def notify(how_many):
        async with condition:
            condition.notify(how_many)

    loop.run_until_complete(notify(2))
    turn(loop, 8)
    assert log == [(0, True), (1, True)]
    loop.run_until_complete(notify(n := 0))
    turn(loop, 8)
    assert len(log) == 2, n

    async def notify_by_name():
        async with condition:
            condition.notify(n=1)
            condition.notify()
            condition.notify_all()

    loop.run_until_complete(notify_by_name())
    loop.run_until_complete(asyncio.gather(*tasks))
    assert [name for name, _ in log] == list(range(6))


def test_a_wait_that_is_cancelled_takes_the_lock_again_first(aio, loop):
    condition, log = aio.Condition(), []
    (waiting,) = start(loop, listen(condition, "waits", log))
    assert not condition.locked()
    loop.run_until_complete(condition.acquire())
    waiting.cancel()
    turn(loop, 5)
    assert not waiting.done()
    waiting.cancel()
    turn(loop, 5)
    assert not waiting.done()
    condition.release()
    turn(loop, 5)
    assert waiting.cancelled()
    assert not condition.locked()
    assert not log


def test_a_wait_for_looks_at_its_predicate_each_time(aio, loop):
    condition, looks = aio.Condition(), []
    value = 0

    def predicate():
        looks.append(value)
        return value if value > 1 else None

    async def wait():
        async with condition:
            return await condition.wait_for(predicate)

    (waiting,) = start(loop, wait())

    async def change():
        nonlocal value
        async with condition:
            value += 1
            condition.notify()

    for _ in range(2):
        loop.run_until_complete(change())
        turn(loop, 4)
    assert loop.run_until_complete(waiting) == 2
    assert looks == [0, 1, 2]


def test_what_a_predicate_raises_goes_on(aio, run):
    async def main():
        condition = aio.Condition()
        async with condition:
            with pytest.raises(ZeroDivisionError):
                await condition.wait_for(lambda: 1 / 0)
        assert not condition.locked()

    run(main())


@pytest.mark.parametrize("kind", ["asyncio's", "derived", "own"])
def test_a_condition_on_any_lock(aio, loop, kind):
    log = []

    class Derived(aio.Lock):
        async def acquire(self):
            log.append("acquire")
            return await super().acquire()

        def release(self):
            log.append("release")
            super().release()

    class Own:
        def __init__(self):
            self.inner = asyncio.Lock()

        def locked(self):
            return self.inner.locked()

        async def acquire(self):
            return await self.inner.acquire()

        def release(self):
            self.inner.release()

    lock = {"asyncio's": asyncio.Lock, "derived": Derived, "own": Own}[kind]()
    condition = aio.Condition(lock)
    assert condition._lock is lock
    heard = []
    (waiting,) = start(loop, listen(condition, "waits", heard))
    assert not condition.locked()
    assert "unlocked, waiters:1" in repr(condition)

    async def notify():
        assert await condition.acquire() is True
        condition.notify()
        condition.release()

    loop.run_until_complete(notify())
    loop.run_until_complete(waiting)
    assert heard == [("waits", True)]
    if kind == "derived":
        assert log == ["acquire", "release"] * 3


# -- barriers ----------------------------------------------------------------------------------------------------------


def test_a_barrier_lets_all_go_when_the_last_one_comes(aio, loop):
    barrier = aio.Barrier(3)
    assert barrier.parties == 3
    tasks = start(loop, barrier.wait(), barrier.wait())
    assert barrier.n_waiting == 2
    assert "[filling, waiters:2/3]" in repr(barrier)
    tasks += start(loop, barrier.wait())
    assert loop.run_until_complete(asyncio.gather(*tasks)) == [0, 1, 2]
    assert barrier.n_waiting == 0

    async def again():
        async with barrier as index:
            return index

    tasks = start(loop, again(), again(), again())
    assert loop.run_until_complete(asyncio.gather(*tasks)) == [0, 1, 2]


def test_those_who_wait_at_a_barrier_that_is_reset_or_aborted_are_told(aio, loop):
    barrier = aio.Barrier(3)
    tasks = start(loop, barrier.wait(), barrier.wait())
    loop.run_until_complete(barrier.reset())
    results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert [type(result) for result in results] == [asyncio.BrokenBarrierError] * 2
    assert not barrier.broken
    tasks = start(loop, barrier.wait(), barrier.wait())
    loop.run_until_complete(barrier.abort())
    results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert [str(result) for result in results] == ["Abort or reset of barrier"] * 2
    assert barrier.broken
    with pytest.raises(asyncio.BrokenBarrierError, match="Barrier aborted"):
        loop.run_until_complete(barrier.wait())


def test_one_who_gives_up_at_a_barrier_is_not_counted(aio, loop):
    barrier = aio.Barrier(2)
    (waiting,) = start(loop, barrier.wait())
    waiting.cancel()
    turn(loop, 3)
    assert waiting.cancelled()
    assert barrier.n_waiting == 0
    tasks = start(loop, barrier.wait(), barrier.wait())
    assert [loop.run_until_complete(task) for task in tasks] == [0, 1]


def test_a_barrier_needs_parties(aio):
    with pytest.raises(ValueError, match="parties must be >"):
        aio.Barrier(0)
    with pytest.raises(TypeError):
        aio.Barrier()
