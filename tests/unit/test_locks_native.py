"""What is Tideloop's own about locks, events, conditions, semaphores and barriers."""

import asyncio
import functools
import gc
import sys
import weakref

import pytest

import tideloop
from support import program_output, turn
from tideloop import locks


def start(loop, *coroutines):
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    turn(loop)
    return tasks


def finish(loop, tasks):
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))


# -- who waits, and why ------------------------------------------------------------------------------------------------


def test_each_says_who_waits_and_each_task_says_why(loop):
    lock, event, semaphore, barrier = locks.Lock(), locks.Event(), locks.Semaphore(0), locks.Barrier(2)
    condition = locks.Condition()
    loop.run_until_complete(lock.acquire())

    async def listen():
        async with condition:
            await condition.wait()

    tasks = start(loop, lock.acquire(), event.wait(), semaphore.acquire(), barrier.wait(), listen())
    assert [task._wait_reason for task in tasks] == ["lock", "event", "semaphore", "barrier", "condition"]
    for task, waited_for in zip(tasks, [lock, event, semaphore, barrier, condition], strict=True):
        assert task._waits_for is waited_for
    assert lock.statistics() == locks.LockStatistics(locked=True, waiting=(tasks[0],))
    assert event.statistics() == locks.EventStatistics(is_set=False, waiting=(tasks[1],))
    assert semaphore.statistics() == locks.SemaphoreStatistics(value=0, waiting=(tasks[2],))
    assert barrier.statistics() == locks.BarrierStatistics(parties=2, broken=False, waiting=(tasks[3],))
    assert condition.statistics() == locks.ConditionStatistics(locked=False, waiting=(tasks[4],))
    finish(loop, tasks)
    assert lock.statistics().waiting == event.statistics().waiting == ()


@pytest.mark.parametrize("task_class", [asyncio.tasks._PyTask, asyncio.tasks._CTask, tideloop.Task])
@pytest.mark.parametrize("kind", ["asyncio", "tideloop"])
def test_any_task_on_any_loop(task_class, kind):
    loop = asyncio.SelectorEventLoop() if kind == "asyncio" else tideloop.new_event_loop()
    log = []

    async def work(lock, semaphore, condition, event, name):
        async with lock:
            await asyncio.sleep(0)
            log.append(name)
        async with semaphore, condition:
            await condition.wait_for(event.is_set)
        return name

    async def main():
        lock, semaphore, condition, event = locks.Lock(), locks.Semaphore(2), locks.Condition(), locks.Event()
        tasks = [task_class(work(lock, semaphore, condition, event, name), loop=loop) for name in range(4)]
        await asyncio.sleep(0)
        if task_class is not asyncio.tasks._PyTask:  # whose callbacks do not tell whose they are
            assert lock.statistics().waiting == tuple(tasks[1:])
        for _ in range(30):
            await asyncio.sleep(0)
        event.set()
        while not all(task.done() for task in tasks):
            async with condition:
                condition.notify_all()
            await asyncio.sleep(0)
        return [task.result() for task in tasks]

    try:
        assert loop.run_until_complete(main()) == log == [0, 1, 2, 3]
    finally:
        loop.close()


# -- bound methods that become coroutines ------------------------------------------------------------------------------


def result_of(coroutine):
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


@pytest.mark.parametrize("make", [locks.Lock, locks.Condition, functools.partial(locks.Semaphore, 5)])
def test_methods_of_async_with_can_be_kept_and_called_again(make):
    gate = make()
    enter, leave = gate.__aenter__, gate.__aexit__
    for _ in range(3):
        assert result_of(enter()) is None
        assert result_of(leave(None, None, None)) is None
    enter_partly, leave_partly = functools.partial(gate.__aenter__), functools.partial(gate.__aexit__)
    for _ in range(3):
        assert result_of(enter_partly()) is None
        assert result_of(leave_partly(None, None, None)) is None
    assert result_of(type(gate).__aenter__(gate)) is None
    assert result_of(type(gate).__aexit__(gate, None, None, None)) is None
    with pytest.raises(TypeError):
        gate.__aenter__(1)
    with pytest.raises(TypeError):
        gate.__aexit__()
    with pytest.raises(TypeError):
        type(gate).__aenter__(object())


def test_a_method_of_async_with_that_is_only_looked_at_does_nothing(recwarn):
    lock = locks.Lock()
    reference = weakref.ref(lock)
    assert lock.__aenter__ is not None
    assert hasattr(lock, "__aexit__")
    lock.kept = lock.__aenter__
    del lock
    gc.collect()
    assert reference() is None
    assert not recwarn.list


def test_one_that_was_called_and_is_not_awaited_says_so():
    with pytest.warns(RuntimeWarning, match="coroutine '_ContextManagerMixin.__aenter__' was never awaited"):
        locks.Lock().__aenter__()
        gc.collect()


def test_they_work_in_an_exit_stack(run):
    import contextlib

    async def main():
        lock, semaphore = locks.Lock(), locks.Semaphore(1)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            await stack.enter_async_context(semaphore)
            assert lock.locked() and semaphore.locked()
        assert not lock.locked() and not semaphore.locked()

    run(main())


# -- memory ------------------------------------------------------------------------------------------------------------


UNUSED = """
import asyncio.locks, tideloop.locks, tracemalloc

def bytes_of(make):
    made = [make() for _ in range(64)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made += [make() for _ in range(2000)]
    took = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return took

print(bytes_of(tideloop.locks.NAME) / bytes_of(asyncio.locks.NAME))
"""


@pytest.mark.parametrize("name", ["Lock", "Event", "Condition"])
def test_an_unused_one_takes_no_more_memory_than_asyncios(name):
    assert float(program_output("tideloop", UNUSED.replace("NAME", name))) <= 1.0


def test_taking_what_is_free_allocates_nothing(run):
    async def main():
        lock, semaphore, event = locks.Lock(), locks.Semaphore(3), locks.Event()
        event.set()

        async def work(times):
            for _ in times:
                async with lock, semaphore:
                    await event.wait()

        await work([None] * 10)
        gc.disable()
        try:
            before = sys.getallocatedblocks()
            await work([None] * 1000)
            return sys.getallocatedblocks() - before
        finally:
            gc.enable()

    assert abs(run(main())) < 20


@pytest.mark.parametrize("name", ["Lock", "Event", "Semaphore"])
def test_a_cycle_through_one_that_is_waited_for_is_collected(loop, name):
    one = locks.Semaphore(0) if name == "Semaphore" else getattr(locks, name)()
    if name == "Lock":
        loop.run_until_complete(one.acquire())
    one.waiting = one.wait() if name == "Event" else one.acquire()
    loop.call_soon(one.waiting.send, None)
    turn(loop)
    assert len(one._waiters) == 1
    reference = weakref.ref(one)
    del one
    gc.collect()
    assert reference() is None


def test_a_condition_whose_lock_refers_to_it_is_collected():
    lock = locks.Lock()
    lock.condition = locks.Condition(lock)
    reference = weakref.ref(lock)
    del lock
    gc.collect()
    assert reference() is None
