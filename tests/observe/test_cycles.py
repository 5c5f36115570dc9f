"""Cycles of waits for locks: each is found when it closes, with who holds what and where."""

import asyncio
import gc
import logging
import threading
import time

import pytest
from observe.watched import in_threads, names, watching

import tideloop
from tideloop import observe
from tideloop._native import _observe
from tideloop.sync import Event, Lock, RLock, Semaphore

LOOPS = pytest.mark.parametrize("run", [tideloop.run, asyncio.run], ids=["tideloop", "asyncio"])


def opposite_orders(first, second):
    """Two bodies for threads that take two locks in opposite orders."""
    both_hold_one = threading.Barrier(2)

    def body(one, other):
        def run():
            with one:
                both_hold_one.wait(5)
                with other:
                    pass

        return run

    return body(first, second), body(second, first)


async def opposite_tasks(first, second):
    async def body(one, other):
        async with one:
            await asyncio.sleep(0.001)
            async with other:
                pass

    tasks = [
        asyncio.create_task(body(*locks), name=f"task {n}")
        for n, locks in enumerate([(first, second), (second, first)])
    ]
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_two_threads_that_take_two_locks_in_opposite_orders_are_found(kind):
    with watching(victim=True) as found:
        raised = in_threads(*opposite_orders(kind(), kind()))
    [deadlock] = found
    assert names(deadlock) == ["T0", "T1"]
    [error] = [error for error in raised if error is not None]
    assert isinstance(error, observe.DeadlockError)
    assert error.deadlock is deadlock


@LOOPS
@pytest.mark.parametrize("kind", [Lock, RLock])
def test_two_tasks_that_take_two_locks_in_opposite_orders_are_found(run, kind):
    with watching(victim=True) as found:
        outcomes = run(opposite_tasks(kind(), kind()))
    [deadlock] = found
    assert names(deadlock) == ["task 0", "task 1"]
    assert {member.kind for member in deadlock.members} == {"task"}
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [observe.DeadlockError]


class SlowToSay(Lock):
    def __repr__(self):
        time.sleep(0.05)
        return "slow"


def test_since_when_a_member_waits_does_not_depend_on_how_long_the_report_takes():
    lock = SlowToSay()
    before = time.time()
    with watching(victim=True) as found, pytest.raises(observe.DeadlockError):
        with lock, lock:
            pass
    assert before <= found[0].members[0].since <= time.time()


def test_a_member_says_what_it_holds_and_waits_for_and_where_and_since_when():
    first, second = Lock(), Lock()
    before = time.time()
    with watching(victim=True) as found:
        in_threads(*opposite_orders(first, second))
    for member in found[0].members:
        [held] = member.holds
        assert {held.what, member.waits_for} == {first, second}
        assert (held.site.filename, member.site.filename) == (__file__, __file__)
        assert member.site.line == held.site.line + 2
        assert member.site.function.endswith("body.<locals>.run")
        assert before <= member.since <= time.time()
        for part in (member.name, held.text, member.text, str(held.site), str(member.site)):
            assert part in str(found[0])


def test_without_a_report_function_it_is_logged_as_an_error(caplog, exception_reports):
    observe.deadlocks(victim=True)
    try:
        with caplog.at_level(logging.ERROR, "tideloop"):
            in_threads(*opposite_orders(Lock(), Lock()))
    finally:
        observe.deadlocks(False)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("tideloop", "ERROR")
    assert record.getMessage().startswith("Deadlock: 2 wait for each other.")


def test_without_a_victim_nobody_is_disturbed_and_it_is_told_once(exception_reports):
    first, second = Lock(), Lock()
    both_hold_one = threading.Barrier(2)

    def body(one, other):
        one.acquire()
        both_hold_one.wait(5)
        other.acquire()

    with watching() as found:
        threads = [threading.Thread(target=body, args=locks) for locks in ((first, second), (second, first))]
        for thread in threads:
            thread.start()
        while not found:
            time.sleep(0.001)
        time.sleep(0.2)  # long enough to look again
        assert all(thread.is_alive() for thread in threads)
        assert len(found) == 1
        # Somebody else undoes the knot: each thread gets the other lock.
        first.release()
        second.release()
        for thread in threads:
            thread.join(5)
        first.release()
        second.release()


def test_a_lock_that_its_own_thread_takes_again_is_a_deadlock_of_one():
    lock = Lock()
    with watching(victim=True) as found:
        with lock, pytest.raises(observe.DeadlockError, match="one waits for itself"):
            lock.acquire()
        assert not lock.locked()
    assert names(found[0]) == ["MainThread"]


@LOOPS
def test_a_lock_that_its_own_task_takes_again_is_a_deadlock_of_one(run):
    async def main():
        lock = Lock()
        async with lock:
            with pytest.raises(observe.DeadlockError):
                await lock.acquire()

    with watching(victim=True) as found:
        run(main())
    assert [member.kind for member in found[0].members] == ["task"]


def test_a_reentrant_lock_that_its_owner_takes_again_is_none():
    lock = RLock()
    with watching() as found:
        with lock, lock:
            assert lock.acquire()
        lock.release() if lock.owned() else None
        assert not found


def test_a_task_and_a_thread_that_wait_for_each_other_are_found():
    first, second = Lock(), Lock()
    has_second, may_wait = threading.Event(), threading.Event()

    def thread_body():
        with second:
            has_second.set()
            may_wait.wait(5)
            with first:
                pass

    async def main():
        asyncio.current_task().set_name("the task")
        async with first:
            await asyncio.to_thread(has_second.wait, 5)
            may_wait.set()
            async with second:
                pass

    with watching(victim=True) as found:
        raised = in_threads(thread_body, lambda: tideloop.run(main()))
    assert names(found[0]) == ["T0", "the task"]
    assert len([error for error in raised if isinstance(error, observe.DeadlockError)]) == 1


def test_a_task_whose_loop_thread_blocks_on_what_it_holds_is_found():
    lock = Lock()

    async def holder():
        async with lock:
            await asyncio.sleep(10)

    async def main():
        asyncio.current_task().set_name("blocks")
        task = asyncio.create_task(holder(), name="holds")
        await asyncio.sleep(0)
        with pytest.raises(observe.DeadlockError), lock:
            pass
        task.cancel()
        await asyncio.wait([task])

    with watching(victim=True) as found:
        tideloop.run(main())
    assert names(found[0]) == ["MainThread", "holds"]
    assert "waits for thread 'MainThread', which runs its loop" in str(found[0])


@pytest.mark.parametrize("mix", ["threads", "tasks", "both"])
def test_five_philosophers_are_named_within_a_second(mix):
    forks = [Lock() for _ in range(5)]
    in_hand = threading.Barrier(5) if mix == "threads" else None
    taken: list[int] = []

    def thread_philosopher(index):
        with forks[index]:
            taken.append(index)
            if in_hand is not None:
                in_hand.wait(5)
            while len(taken) < 5:
                time.sleep(0.001)
            with forks[(index + 1) % 5]:
                pass

    async def task_philosopher(index):
        async with forks[index]:
            taken.append(index)
            while len(taken) < 5:
                await asyncio.sleep(0.001)
            async with forks[(index + 1) % 5]:
                pass

    async def table(indices):
        tasks = [asyncio.create_task(task_philosopher(index), name=f"T{index}") for index in indices]
        await asyncio.gather(*tasks, return_exceptions=True)

    seated = {"threads": 5, "tasks": 0, "both": 2}[mix]
    bodies = [lambda index=index: thread_philosopher(index) for index in range(seated)]
    if seated < 5:
        bodies.append(lambda: tideloop.run(table(range(seated, 5))))
    begun = time.monotonic()
    with watching(victim=True) as found:
        in_threads(*bodies)
    assert names(found[0]) == ["T0", "T1", "T2", "T3", "T4"]
    assert time.monotonic() - begun < 1 or len(found) == 1


def test_a_wait_with_a_limit_is_part_of_no_deadlock():
    first, second = Lock(), Lock()
    both_hold_one = threading.Barrier(2)

    def body(one, other, timeout):
        with one:
            both_hold_one.wait(5)
            if other.acquire(timeout=timeout):
                other.release()

    with watching() as found:
        in_threads(lambda: body(first, second, 0.1), lambda: body(second, first, -1))
        assert not found


@pytest.mark.parametrize("names_of", ["asyncio", "tideloop"])
def test_a_task_in_a_timeout_is_part_of_no_deadlock(names_of):
    module = {"asyncio": asyncio, "tideloop": tideloop}[names_of]

    async def body(one, other, timeout):
        async with one:
            await asyncio.sleep(0.001)
            try:
                async with module.timeout(timeout), other:
                    pass
            except TimeoutError:
                return True

    async def main():
        first, second = Lock(), Lock()
        return await asyncio.gather(body(first, second, 0.05), body(second, first, None))

    with watching() as found:
        assert tideloop.run(main()) == [True, None]
        assert not found


def test_a_task_that_is_being_cancelled_is_part_of_no_deadlock():
    async def body(one, other):
        async with one:
            await asyncio.sleep(0.001)
            async with other:
                pass

    async def main():
        first, second = Lock(), Lock()
        waits = asyncio.create_task(body(first, second))
        await second.acquire()
        await asyncio.sleep(0.01)
        waits.cancel()
        # It has not run yet, and still holds the first.
        assert first.locked()
        assert await first.acquire()
        first.release()
        second.release()

    with watching() as found:
        tideloop.run(main())
        assert not found


def test_what_has_no_owner_is_not_tracked():
    with watching() as found:
        permits, event = Semaphore(1), Event()
        permits.acquire()
        assert permits.acquire(timeout=0.01) is False
        assert event.wait(0.01) is False
        assert not found


def test_a_lock_taken_by_a_task_that_does_nothing_else_belongs_to_nobody():
    async def main():
        lock = Lock()
        await asyncio.create_task(lock.acquire())
        waits = asyncio.create_task(lock.acquire())
        await asyncio.sleep(0)
        lock.release()
        await waits
        lock.release()

    with watching() as found:
        tideloop.run(main())
        assert not found


def test_what_a_task_holds_dies_with_nothing_left_behind():
    class Bag(Lock):
        pass

    with watching():
        lock = Bag()
        lock.acquire()
        lock.bag = [lock]
        del lock
        gc.collect()


def test_locks_that_were_taken_before_detection_began_or_after_it_ended_do_no_harm():
    early, late = Lock(), Lock()
    early.acquire()
    with watching() as found:
        early.release()
        early.acquire()
        late.acquire()
        early.release()
        assert not found
        late.release()
        late.acquire()
        observe.deadlocks(False)
        late.release()
        late.acquire()
        observe.deadlocks(report=found.append)
        late.release()


def test_a_report_that_fails_does_not_disturb_who_waits(exception_reports):
    reported = threading.Event()

    def fail(_):
        reported.set()
        raise ValueError("the report")

    lock = Lock()
    observe.deadlocks(report=fail)
    try:
        thread = threading.Thread(target=lambda: (reported.wait(10), time.sleep(0.05), lock.release()))
        with lock:
            thread.start()
            lock.acquire()
        thread.join()
    finally:
        observe.deadlocks(False)
    [record] = exception_reports
    assert str(record.exc_info[1]) == "the report"
    assert "one waits for itself" in record.getMessage()


def test_a_report_that_fails_spares_no_victim(exception_reports):
    def fail(_):
        raise ValueError("the report")

    class Shy(Lock):
        def __repr__(self):
            raise ValueError("of no one's business")

    lock = Shy()
    observe.deadlocks(victim=True, report=fail)
    try:
        with pytest.raises(observe.DeadlockError), lock, lock:
            pass
    finally:
        observe.deadlocks(False)
    assert len(exception_reports) == 1


@pytest.mark.parametrize("report", [5, "print", asyncio.sleep])
def test_a_report_is_a_plain_function(report):
    with pytest.raises(TypeError, match="must be a function"):
        observe.deadlocks(report=report)
    assert _observe.watches() == (False, False)
