"""`Lock` and `Event` for threads and tasks, and what breaks elsewhere where both wait for one thing."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, new_loop, pause, until, wait, waiting

from tideloop.sync import Event, Lock, Semaphore

# `async with` on a lock that is free gives way to nobody: a task that does nothing else has to do so itself.
TURNS = 300


async def take(lock: Lock) -> Any:
    return await wait(lock.acquire())


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_has_it_when_it_is_free(kind: str, fair: bool) -> None:
    lock = Lock(fair=fair)
    with lock:
        party = Party(kind, take, lock)
        until(lambda: waiting(lock) == 1)
    assert party.result() is True
    assert lock.locked()
    lock.release()


def test_nobody_is_inside_beside_another_whoever_waits() -> None:
    lock = Lock()
    inside = 0
    count = 0

    async def body() -> None:
        nonlocal inside, count
        for _ in range(TURNS):
            await wait(lock.acquire())
            inside += 1
            assert inside == 1
            await pause()
            count += 1
            inside -= 1
            lock.release()

    for party in [Party(kind, body) for kind in ("thread", "thread", "tideloop", "asyncio", "tideloop")]:
        party.result()
    assert count == 5 * TURNS


@pytest.mark.parametrize("kind", TASKS)
def test_one_cancelled_when_it_has_been_given_the_lock_hands_it_on(kind: str) -> None:
    lock = Lock(fair=True)
    with lock:
        first = Party(kind, take, lock)
        until(lambda: waiting(lock) == 1)
        second = Party("thread", take, lock)
        until(lambda: waiting(lock) == 2)
        first.cancel()
    if first.result() is True:
        lock.release()
    assert second.result() is True
    lock.release()
    assert not lock.locked()


def test_in_one_loop_a_task_cancelled_after_its_turn_came_hands_it_on(loop: asyncio.AbstractEventLoop) -> None:
    lock = Lock(fair=True)

    async def main() -> Any:
        await lock.acquire()
        first, second = (asyncio.get_running_loop().create_task(take(lock)) for _ in range(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting(lock) == 2
        lock.release()  # to the first, which has not run since
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert loop.run_until_complete(main()) is True
    lock.release()


@pytest.mark.parametrize("kind", ["tideloop", "asyncio"])
def test_what_is_given_to_a_task_of_a_closed_loop_goes_to_the_next(kind: str) -> None:
    for fair in (False, True):
        lock = Lock(fair=fair)
        loop = new_loop(kind)
        with lock:
            coro = take(lock)
            task = loop.create_task(coro)
            until(lambda: bool(loop.run_until_complete(asyncio.sleep(0)) or waiting(lock)))  # noqa: B023
            other = Party("thread", take, lock)
            until(lambda: waiting(lock) == 2)  # noqa: B023
            loop.close()
        assert other.result() is True
        lock.release()
        assert not lock.locked()
        coro.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("kind", ["tideloop", "asyncio"])
def test_what_a_task_has_been_given_when_its_loop_is_closed_goes_to_the_next(kind: str, fair: bool) -> None:
    lock = Lock(fair=fair)
    loop = new_loop(kind)
    lock.acquire()
    task = loop.create_task(take(lock))
    until(lambda: bool(loop.run_until_complete(asyncio.sleep(0)) or waiting(lock)))
    other = Party("thread", take, lock)
    until(lambda: waiting(lock) == 2)
    lock.release()  # to the task, whose loop does not run
    # No collector, and the task is alive still: the loop itself hands on what nobody will come for.
    gc.disable()
    try:
        loop.close()
        assert other.result() is True
    finally:
        gc.enable()
    assert not task.done()
    lock.release()
    assert not lock.locked()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_that_is_up_when_the_lock_comes_loses_nothing(kind: str) -> None:
    lock = Lock(fair=True)
    got = 0
    for turn in range(20):
        lock.acquire()

        async def body() -> Any:
            return await wait(lock.acquire(timeout=0.002))

        party = Party(kind, body)
        time.sleep(0.0005 * (turn % 6))
        lock.release()
        if party.result():
            got += 1
            assert lock.locked()
            lock.release()
        assert not lock.locked()
        assert waiting(lock) == 0
    assert got > 0


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_is_not_starved_by_a_thread_that_barges(kind: str) -> None:
    lock = Lock()
    stop = threading.Event()

    def barge() -> None:
        while not stop.is_set():
            with lock:
                time.sleep(0.0003)

    thread = threading.Thread(target=barge)
    thread.start()
    try:

        async def body() -> int:
            for count in range(20):
                if not await wait(lock.acquire(timeout=5)):
                    return count
                lock.release()
            return 20

        assert Party(kind, body).result() == 20
    finally:
        stop.set()
        thread.join()


def test_fair_tickets_are_sold_once_each_and_in_equal_shares() -> None:
    lock = Lock(fair=True)
    tickets = list(range(200))
    sold: list[list[int]] = [[] for _ in range(4)]

    def sell(mine: list[int]) -> None:
        while True:
            with lock:
                if not tickets:
                    return
                # All others are in line: one that does not come for a while, on a busy machine, is no loser.
                until(lambda: waiting(lock) == 3)
                mine.append(tickets.pop())

    threads = [threading.Thread(target=sell, args=(mine,)) for mine in sold]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for mine in sold for number in mine) == list(range(200))
    assert max(map(len, sold)) / min(map(len, sold)) <= 1.2


def test_an_eager_task_waits_and_goes_on() -> None:
    if not hasattr(asyncio, "eager_task_factory"):
        import tideloop

        factory: Any = tideloop.eager_task_factory
    else:
        factory = asyncio.eager_task_factory
    lock = Lock()

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_task_factory(factory)
        await lock.acquire()
        tasks = [asyncio.ensure_future(take(lock)) for _ in range(2)]
        assert waiting(lock) == 2
        lock.release()
        results = [await tasks[0]]
        lock.release()
        return [*results, await tasks[1]]

    assert Party("tideloop", main).result() == [True, True]


@pytest.mark.parametrize("kind", TASKS)
def test_a_flood_of_wake_ups_reaches_every_task(kind: str) -> None:
    event = Event()

    async def body() -> int:
        if kind == "trio":
            import trio

            count = 0

            async def one() -> None:
                nonlocal count
                is_set = await event.wait()
                count += is_set

            async with trio.open_nursery() as nursery:
                for _ in range(500):
                    nursery.start_soon(one)
            return count
        return sum(await asyncio.gather(*(event.wait() for _ in range(500))))

    party = Party(kind, body)
    until(lambda: waiting(event) == 500)
    event.set()
    assert party.result() == 500


def test_a_finaliser_and_a_signal_handler_may_use_the_primitive_that_is_in_use() -> None:
    semaphore = Semaphore(0)

    class Releasing:
        def __del__(self) -> None:
            semaphore.release()

    def handler(*_: object) -> None:
        semaphore.release()
        semaphore.acquire(blocking=False)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(2000):
            cycle: Any = Releasing()
            cycle.itself = cycle
            del cycle
            gc.collect(0)
            assert semaphore.acquire(timeout=5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    while semaphore.acquire(blocking=False):
        pass
    assert waiting(semaphore) == 0


PROGRAM_SECONDS_MAX = 40


def run_program(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_interrupt_ends_a_wait_and_between_wake_and_return_loses_nothing() -> None:
    printed = run_program(
        """
        import os, signal, sys, threading, time
        from tideloop.sync import Lock, Condition

        def interrupt_who_waits(primitive):
            while not repr(primitive).endswith("1 waiting>"):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        lock = Lock()
        lock.acquire()
        threading.Thread(target=interrupt_who_waits, args=[lock]).start()
        began = time.monotonic()
        try:
            lock.acquire()
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - began < 5)
        lock.release()
        print(lock.locked())

        # The lock and the signal come together: the block is entered, and left by the interrupt, or it is not entered.
        lost = 0
        for turn in range(60):
            lock = Lock(fair=True)
            lock.acquire()
            def give():
                time.sleep(0.001)
                lock.release()
                os.kill(os.getpid(), signal.SIGINT)
            thread = threading.Thread(target=give)
            try:
                thread.start()
                with lock:
                    for _ in range(1000):  # a signal that came before a sleep does not end that
                        time.sleep(0.005)
            except KeyboardInterrupt:
                pass
            thread.join()
            lost += lock.locked()
        # From 3.14 on a signal may be handled between `__enter__` and the block, whatever lock it is.
        print(lost == 0 or sys.version_info >= (3, 14))

        condition = Condition()
        threading.Thread(target=interrupt_who_waits, args=[condition]).start()
        with condition:
            try:
                condition.wait()
            except KeyboardInterrupt:
                print("with the lock", condition._is_owned())
        """
    )
    assert printed.splitlines() == ["interrupted True", "False", "True", "with the lock True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_who_waited_in_the_parent_does_not_stand_in_the_way() -> None:
    printed = run_program(
        """
        import os, threading, time, warnings
        from tideloop.sync import Condition, Event, Lock, RLock, Semaphore
        warnings.simplefilter("ignore")

        locks = [Lock(), Lock(fair=True), RLock(), Semaphore(1), Semaphore(1, fair=True)]
        event, condition = Event(), Condition()
        def wait():
            with condition:
                condition.wait()
        for lock in locks:
            lock.acquire()
            threading.Thread(target=lock.acquire, daemon=True).start()
        threading.Thread(target=event.wait, daemon=True).start()
        threading.Thread(target=wait, daemon=True).start()
        everything = [*locks, event, condition]
        while not all(repr(one).endswith("1 waiting>") for one in everything):
            time.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            for lock in locks:
                lock.release()
                for _ in range(3):
                    assert lock.acquire(timeout=5), lock
                    lock.release()
            with condition:
                condition.notify_all()
            event.set()
            assert event.wait(5)
            thread = threading.Thread(target=wait)
            thread.start()
            while not repr(condition).endswith("1 waiting>"):
                time.sleep(0.001)
            with condition:
                condition.notify()
            thread.join(5)
            os._exit(thread.is_alive())
        print(os.waitpid(pid, 0)[1])
        for lock in locks:
            lock.release()
        with condition:
            condition.notify()
        event.set()
        """
    )
    assert printed == "0\n"


def test_an_event_that_is_set_and_cleared_at_once_lets_everybody_go() -> None:
    event = Event()

    async def body() -> Any:
        return await wait(event.wait())

    made = [Party(kind, body) for kind in ("thread", "tideloop", "asyncio")]
    until(lambda: waiting(event) == 3)
    event.set()
    event.clear()
    assert [party.result() for party in made] == [True] * 3
    assert event.wait(0) is False


def test_bad_arguments_raise_as_threading_does() -> None:
    lock = Lock()
    for arguments, error in (((False, 1), ValueError), ((True, -2), ValueError), ((True, 1e100), OverflowError)):
        with pytest.raises(error):
            lock.acquire(*arguments)
        with pytest.raises(error):
            threading.Lock().acquire(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NaN"):
        lock.acquire(timeout=float("nan"))
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        lock.release()
    assert not lock.locked()
