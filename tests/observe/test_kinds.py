"""Every kind of lock, and every way to take one, is seen by the detector."""

import asyncio
import threading

import pytest
from observe.watched import in_threads, names, watching
from thread_support import wait_until

import tideloop
from tideloop import observe
from tideloop.sync import Condition, Lock, Once, RLock, RWLock, acquire_all
from worlds import asyncio_worlds, run, worlds


def test_taking_back_the_lock_of_a_condition_is_a_wait_too():
    lock, other = RLock(), Lock()
    condition = Condition(lock)
    in_wait, notified = threading.Event(), threading.Event()

    def waits():
        with other, condition:
            in_wait.set()
            condition.wait()

    def notifies():
        in_wait.wait(5)
        with condition:
            condition.notify()
            notified.set()
            with other:
                pass

    with watching(victim=True) as found:
        raised = in_threads(waits, notifies)
    assert names(found[0]) == ["T0", "T1"]
    assert [type(error) for error in raised] == [type(None), observe.DeadlockError]


def test_a_ring_of_readers_writer_locks_is_found():
    locks = [RWLock() for _ in range(3)]
    all_read = threading.Barrier(3)

    def body(index):
        with locks[index].read():
            all_read.wait(5)
            with locks[(index + 1) % 3].write():
                pass

    with watching(victim=True) as found:
        raised = in_threads(*[lambda index=index: body(index) for index in range(3)])
    assert names(found[0]) == ["T0", "T1", "T2"]
    for member in found[0].members:
        assert member.text.endswith("1 reading, 0 writing, 1 waiting>, to write")
        assert member.holds[0].text.endswith(", to read")
    assert [type(error) for error in raised if error is not None] == [observe.DeadlockError]


def test_readers_that_do_not_wait_for_each_other_are_no_cycle():
    lock, other = RWLock(), Lock()
    both_read = threading.Barrier(2)

    def reads():
        with lock.read():
            both_read.wait(5)
            with other:
                pass

    def reads_and_holds():
        with other, lock.read():
            both_read.wait(5)

    with watching() as found:
        assert in_threads(reads, reads_and_holds) == [None, None]
        assert not found


def test_acquire_all_waits_where_it_is_called():
    first, second = Lock(), Lock()
    has_one = threading.Barrier(2)

    def takes_all():
        has_one.wait(5)
        with acquire_all(first, second):
            pass

    def takes_backwards():
        with second:
            has_one.wait(5)
            wait_until(first.locked)
            with first:
                pass

    with watching(victim=True) as found:
        in_threads(takes_all, takes_backwards)
    assert names(found[0]) == ["T0", "T1"]
    taken = {member.name: member for member in found[0].members}
    assert taken["T0"].holds[0].site.function.endswith("takes_all")


def test_tasks_of_trio_are_found_too():
    trio = pytest.importorskip("trio", reason="the test is about its tasks")
    raised = []

    async def body(one, other):
        try:
            async with one:
                await trio.sleep(0.001)
                async with other:
                    pass
        except observe.DeadlockError as error:
            raised.append(error)

    async def main():
        first, second = Lock(), Lock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body, first, second, name="first")
            nursery.start_soon(body, second, first, name="second")

    async def limited():
        lock = Lock()
        async with lock:
            with trio.move_on_after(0.05):
                await lock.acquire()
            assert await lock.acquire(timeout=0.05) is False

    with watching(victim=True) as found:
        trio.run(main)
        deadlock = found.pop()
        assert names(deadlock) == ["first", "second"]
        assert {member.site.filename for member in deadlock.members} == {__file__}
        assert len(raised) == 1
        trio.run(limited)
        assert not found


def test_what_acquire_all_takes_in_a_task_was_taken_where_it_is_awaited():
    async def main():
        first, second = Lock(), Lock()
        async with acquire_all(first):
            with pytest.raises(observe.DeadlockError):
                async with acquire_all(second, first):
                    pass

    with watching(victim=True) as found:
        tideloop.run(main())
    [member] = found[0].members
    assert [held.site.filename for held in member.holds] == [__file__] * len(member.holds)
    assert member.site.function.endswith("<locals>.main")


def test_who_does_something_once_and_who_waits_for_that():
    once, lock = Once(), Lock()
    running = threading.Event()

    def does_it():
        def body():
            running.set()
            wait_until(lock.locked)
            with lock:
                return 1

        return once.call(body)

    def waits():
        with lock:
            running.wait(5)
            once.call(int)

    with watching(victim=True) as found:
        raised = in_threads(does_it, waits)
        assert names(found[0]) == ["T0", "T1"]
        holding = {member.name: member.holds[0] for member in found[0].members}
        assert holding["T0"].what is once
        assert holding["T0"].site.function.endswith("does_it")
        assert [type(error) for error in raised if error is not None] == [observe.DeadlockError]
        # The turn is over, however it ended.
        assert once.call(int) in (0, 1)


@asyncio_worlds
def test_tasks_that_do_something_once(world):
    async def main():
        once, lock = Once(), Lock()

        async def body():
            await asyncio.sleep(0)
            async with lock:
                return 1

        async def does_it():
            return await once.call(body)

        async def waits():
            async with lock:
                await asyncio.sleep(0)
                return await once.call(body)

        tasks = [asyncio.create_task(does_it(), name="does"), asyncio.create_task(waits(), name="waits")]
        return await asyncio.gather(*tasks, return_exceptions=True)

    with watching(victim=True) as found:
        outcomes = run(world, main)
        assert names(found[0]) == ["does", "waits"]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DeadlockError", "int"]
        sites = {member.name: member.holds[0].site.function for member in found[0].members}
        assert sites["does"].endswith("does_it")


@worlds
def test_a_thread_that_blocks_on_what_a_task_of_the_loop_in_it_holds(world):
    lock = Lock()

    async def main():
        await lock.acquire()
        try:
            with lock:
                pass
        finally:
            lock.release()

    with watching(victim=True) as found, pytest.raises(observe.DeadlockError):
        run(world, main)
    thread, task = sorted(found[0].members, key=lambda member: member.kind, reverse=True)
    assert (thread.kind, task.kind) == ("thread", "task")
    assert thread.waits_for is lock
    assert task.holds[0].what is lock
    assert "which runs its loop" in str(found[0])


@pytest.mark.parametrize("run", [tideloop.run, asyncio.run], ids=["tideloop", "asyncio"])
def test_where_no_function_of_the_program_stands_there_is_no_site(run):
    async def main():
        first, second = Lock(), Lock()

        async def holds():
            async with first:
                await asyncio.sleep(0)
                async with second:
                    pass

        async def awaits_another():
            async with second:
                await asyncio.sleep(0)
                await asyncio.create_task(first.acquire(), name="no frame")

        tasks = [asyncio.create_task(holds(), name="holds"), asyncio.create_task(awaits_another(), name="awaits")]
        return await asyncio.gather(*tasks, return_exceptions=True)

    with watching(victim=True) as found:
        run(main())
        sites = {member.name: member.site for member in found[0].members}
        assert sites["no frame"] is None
        assert sites["holds"].function.endswith("holds")
