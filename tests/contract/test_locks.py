"""Locks, events and semaphores: asyncio's promises, on asyncio and on Tideloop's own names."""

import asyncio
import gc
import importlib
import math
import sys
import weakref

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


async def hold(gate, name, log, turns=0):
    async with gate:
        log.append(name)
        for _ in range(turns):
            await asyncio.sleep(0)


# -- what they return --------------------------------------------------------------------------------------------------


def test_nothing_happens_before_the_first_step(aio):
    lock = aio.Lock()
    coroutine = lock.acquire()
    assert not lock.locked()
    assert asyncio.iscoroutine(coroutine)
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value is True
    assert lock.locked()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)
    lock.release()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda aio: aio.Lock().acquire(), "Lock.acquire"),
        (lambda aio: aio.Semaphore().acquire(), "Semaphore.acquire"),
        (lambda aio: aio.Event().wait(), "Event.wait"),
        (lambda aio: aio.Condition().wait(), "Condition.wait"),
        (lambda aio: aio.Condition().acquire(), "Lock.acquire"),
        (lambda aio: aio.Condition().wait_for(bool), "Condition.wait_for"),
        (lambda aio: aio.Barrier(1).wait(), "Barrier.wait"),
        (lambda aio: aio.Barrier(1).reset(), "Barrier.reset"),
        (lambda aio: aio.Barrier(1).abort(), "Barrier.abort"),
    ],
)
def test_one_that_is_never_awaited_says_so(aio, make, name):
    with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
        make(aio)
        gc.collect()


def test_what_is_free_does_not_suspend(aio):
    async def all_of_them():
        async with aio.Lock() as nothing:
            assert nothing is None
        async with aio.Semaphore(1) as nothing:
            assert nothing is None
        async with aio.Condition() as nothing:
            assert nothing is None
        event = aio.Event()
        event.set()
        assert await event.wait() is True
        async with aio.Barrier(1) as index:
            assert index == 0
        return "done"

    with pytest.raises(StopIteration) as stopped:
        all_of_them().send(None)
    assert stopped.value.value == "done"


def test_what_the_body_raises_goes_on(aio, run):
    async def main():
        for gate in (aio.Lock(), aio.Semaphore(), aio.Condition(), aio.Barrier(1)):
            with pytest.raises(ZeroDivisionError):
                async with gate:
                    raise ZeroDivisionError
            async with gate:
                pass

    run(main())


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_goes_round_in_the_order_of_arrival(aio, loop):
    async def main():
        lock, log = aio.Lock(), []
        await asyncio.gather(*[hold(lock, name, log, turns=name % 3) for name in range(7)])
        return log

    assert loop.run_until_complete(main()) == list(range(7))


def test_whoever_comes_while_the_next_one_wakes_queues_up_behind(aio, loop):
    lock, log = aio.Lock(), []
    loop.run_until_complete(lock.acquire())
    tasks = start(loop, hold(lock, "first", log), hold(lock, "second", log))
    lock.release()
    assert not lock.locked()
    assert "waiters:2" in repr(lock)
    tasks += [loop.create_task(hold(lock, "late", log))]
    loop.run_until_complete(asyncio.gather(*tasks))
    assert log == ["first", "second", "late"]


def test_one_that_is_cancelled_after_it_was_woken_wakes_the_next(aio, loop):
    lock, log = aio.Lock(), []
    loop.run_until_complete(lock.acquire())
    first, second = start(loop, hold(lock, "first", log), hold(lock, "second", log))
    lock.release()
    first.cancel()
    loop.run_until_complete(second)
    assert first.cancelled()
    assert log == ["second"]
    assert not lock._waiters


def test_one_that_gives_up_while_waiting_leaves_the_queue(aio, loop):
    lock, log = aio.Lock(), []
    loop.run_until_complete(lock.acquire())
    first, second = start(loop, hold(lock, "first", log), hold(lock, "second", log))
    first.cancel()
    turn(loop, 2)
    assert first.cancelled()
    assert len(lock._waiters) == 1
    lock.release()
    loop.run_until_complete(second)
    assert log == ["second"]


def test_a_free_lock_with_cancelled_waiters_is_free(aio, loop):
    lock = aio.Lock()
    loop.run_until_complete(lock.acquire())
    (waiting,) = start(loop, lock.acquire())
    waiting.cancel()
    lock.release()
    with pytest.raises(StopIteration):
        lock.acquire().send(None)
    turn(loop, 2)
    assert waiting.cancelled()
    lock.release()


def test_a_wait_that_is_closed_leaves_the_queue(aio, loop):
    lock = aio.Lock()

    async def main():
        await lock.acquire()
        waiting = lock.acquire()
        future = waiting.send(None)
        assert asyncio.isfuture(future)
        assert len(lock._waiters) == 1
        waiting.close()
        assert not lock._waiters
        lock.release()
        assert not lock.locked()

    loop.run_until_complete(main())


def test_an_exception_that_is_thrown_in_reaches_the_caller(aio, loop):
    async def main():
        event = aio.Event()
        waiting = event.wait()
        waiting.send(None)
        with pytest.raises(KeyError, match="x"):
            waiting.throw(KeyError("x"))
        assert not event._waiters

    loop.run_until_complete(main())


def test_releasing_what_is_not_held_is_an_error(aio, loop):
    with pytest.raises(RuntimeError, match="Lock is not acquired"):
        aio.Lock().release()
    with pytest.raises(RuntimeError, match="un-acquired lock"):
        aio.Condition().notify()
    with pytest.raises(RuntimeError, match="un-acquired lock"):
        aio.Condition().notify_all()
    with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
        loop.run_until_complete(aio.Condition().wait())


def test_one_loop_each(aio, make_loop):
    lock, event, semaphore = aio.Lock(), aio.Event(), aio.Semaphore(0)
    first, second = make_loop(), make_loop()
    first.run_until_complete(lock.acquire())
    tasks = start(first, lock.acquire(), event.wait(), semaphore.acquire())
    with pytest.raises(
        RuntimeError, match=r"Lock object at .* \[locked, waiters:1\]> is bound to a different event loop"
    ):
        second.run_until_complete(lock.acquire())
    with pytest.raises(RuntimeError, match="Event object at .* is bound to a different event loop"):
        second.run_until_complete(event.wait())
    with pytest.raises(RuntimeError, match="Semaphore object at .* is bound to a different event loop"):
        second.run_until_complete(semaphore.acquire())
    lock.release()
    event.set()
    semaphore.release()
    for task in tasks:
        assert first.run_until_complete(task) is True


# -- events ------------------------------------------------------------------------------------------------------------


def test_all_who_wait_for_an_event_go_on_in_order_even_if_it_is_cleared_at_once(aio, loop):
    event, log = aio.Event(), []

    async def wait(name):
        log.append((name, await event.wait()))

    tasks = start(loop, *[wait(name) for name in range(4)])
    event.set()
    event.set()
    event.clear()
    assert "waiters:4" in repr(event)
    loop.run_until_complete(asyncio.gather(*tasks))
    assert log == [(name, True) for name in range(4)]
    assert not event.is_set()


def test_one_who_gives_up_on_an_event_is_forgotten(aio, loop):
    event = aio.Event()
    first, second = start(loop, event.wait(), event.wait())
    first.cancel()
    turn(loop, 2)
    assert len(event._waiters) == 1
    event.set()
    assert loop.run_until_complete(second) is True


# -- semaphores --------------------------------------------------------------------------------------------------------


def test_permits_go_out_in_the_order_of_arrival(aio, loop):
    async def main():
        semaphore, log = aio.Semaphore(2), []
        await asyncio.gather(*[hold(semaphore, name, log, turns=1 + name % 2) for name in range(9)])
        assert semaphore._value == 2
        return log

    assert loop.run_until_complete(main()) == list(range(9))


def test_a_permit_that_a_cancelled_waiter_had_been_given_goes_to_the_next(aio, loop):
    semaphore, log = aio.Semaphore(0), []
    first, second = start(loop, hold(semaphore, "first", log), hold(semaphore, "second", log))
    semaphore.release()
    assert semaphore._value == 0
    first.cancel()
    loop.run_until_complete(second)
    assert first.cancelled()
    assert log == ["second"]
    assert semaphore._value == 1


def test_whoever_comes_while_others_wake_has_to_wait(aio, loop):
    semaphore, log = aio.Semaphore(0), []
    tasks = start(loop, hold(semaphore, "first", log), hold(semaphore, "second", log))
    semaphore.release()
    semaphore.release()
    semaphore.release()
    assert semaphore.locked()
    tasks += [loop.create_task(hold(semaphore, "late", log))]
    loop.run_until_complete(asyncio.gather(*tasks))
    assert log == ["first", "second", "late"]
    assert semaphore._value == 3
    assert not semaphore.locked()


def test_a_bounded_semaphore_is_not_released_too_often(aio, run):
    semaphore = aio.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="BoundedSemaphore released too many times"):
        semaphore.release()
    run(semaphore.acquire())
    semaphore.release()
    assert semaphore._bound_value == semaphore._value == 2


def test_values_of_semaphores(aio, run):
    with pytest.raises(ValueError, match="initial value must be >= 0"):
        aio.Semaphore(-1)
    with pytest.raises(TypeError):
        aio.Semaphore("1")
    many = aio.Semaphore(math.inf)
    for _ in range(3):
        run(many.acquire())
    assert many._value == math.inf
    assert aio.Semaphore(sys.maxsize)._value == sys.maxsize
    assert aio.Semaphore(0).locked()


# -- the classes -------------------------------------------------------------------------------------------------------


def test_own_methods_of_a_derived_class_are_honoured_by_async_with(aio, run):
    log = []

    class Noisy:
        async def acquire(self):
            log.append("acquire")
            return await super().acquire()

        def release(self):
            log.append("release")
            return super().release()

    async def main():
        for base in (aio.Lock, aio.Semaphore, aio.BoundedSemaphore):
            gate = type("Gate", (Noisy, base), {})()
            async with gate:
                log.append(gate.locked())

    run(main())
    assert log == ["acquire", True, "release"] * 3


def test_a_derived_class_may_have_arguments_of_its_own(aio):
    class Named(aio.Lock):
        def __init__(self, name, *, colour):
            super().__init__()
            self.name, self.colour = name, colour

    lock = Named("a", colour="red")
    assert (lock.name, lock.colour, lock.locked()) == ("a", "red", False)
    assert repr(lock).endswith("[unlocked]>")


@pytest.mark.parametrize("name", ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore"])
def test_they_have_attributes_and_weak_references(aio, name):
    one = getattr(aio, name)()
    one.note = "mine"
    assert vars(one)["note"] == "mine"
    reference = weakref.ref(one)
    one.itself = one
    del one
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("name", ["Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore"])
def test_they_take_no_loop(aio, loop, name):
    with pytest.raises(TypeError, match=rf"{name}.__init__\(\) got an unexpected keyword argument 'loop'"):
        getattr(aio, name)(loop=loop)
