"""What ends a wait in time is no deadlock, wherever the limit stands; what only seems to is one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import time
import warnings

import pytest
from observe.watched import names, watching

import tideloop
from tideloop import observe
from tideloop.sync import Lock, synchronized
from tideloop.threads import ThreadPool
from worlds import asyncio_worlds, run


async def hold_and_take(one: Lock, other: Lock) -> None:
    async with one:
        await asyncio.sleep(0.02)
        async with other:
            pass


async def in_a_group(a: Lock, b: Lock) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(hold_and_take(a, b))
        group.create_task(hold_and_take(b, a))


async def in_our_group(a: Lock, b: Lock) -> None:
    async with tideloop.TaskGroup() as group:
        group.create_task(hold_and_take(a, b))
        group.create_task(hold_and_take(b, a))


async def gathered(a: Lock, b: Lock) -> None:
    await asyncio.gather(hold_and_take(a, b), hold_and_take(b, a))


async def gathered_by_us(a: Lock, b: Lock) -> None:
    await tideloop.gather(hold_and_take(a, b), hold_and_take(b, a))


async def waited_for(a: Lock, b: Lock) -> None:
    tasks = [asyncio.ensure_future(hold_and_take(a, b)), asyncio.ensure_future(hold_and_take(b, a))]
    try:
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def nested(a: Lock, b: Lock) -> None:
    await asyncio.gather(asyncio.ensure_future(in_a_group(a, b)))


TOGETHER = [in_a_group, in_our_group, gathered, gathered_by_us, waited_for, nested]


@pytest.mark.parametrize("together", TOGETHER)
@asyncio_worlds
@pytest.mark.parametrize("limit", ["asyncio.timeout", "tideloop.timeout", "asyncio.wait_for", "tideloop.wait_for"])
@pytest.mark.parametrize("is_over", [False, True], ids=["", "over"])
def test_a_limit_around_those_who_wait_for_each_other_ends_it(together, world, limit, is_over):
    async def main() -> None:
        a, b = Lock(), Lock()
        package = asyncio if limit.startswith("asyncio") else tideloop
        if is_over:  # when the loop next looks: what it cancels has yet to run
            asyncio.get_running_loop().call_later(0.01, time.sleep, 0.2)
        with pytest.raises(TimeoutError):
            if limit.endswith("wait_for"):
                await package.wait_for(together(a, b), 0.15)
            else:
                async with package.timeout(0.15):
                    await together(a, b)

    with watching(victim=True) as found:
        run(world, main)
        assert found == []


class Watchdog:
    def __init__(self, task: asyncio.Future[None]) -> None:
        self.task = task

    def bark(self, *_: object) -> None:
        self.task.cancel()

    def in_time(self) -> None:
        asyncio.get_running_loop().call_later(0.15, lambda: self.task.cancel())


def join_timers() -> None:
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)


TIMERS = {
    "a method": lambda loop, task: loop.call_later(0.15, task.cancel),
    "an argument": lambda loop, task: loop.call_later(0.15, lambda task: task.cancel(), task),
    "a closure": lambda loop, task: loop.call_later(0.15, lambda: task.cancel()),
    "a partial": lambda loop, task: loop.call_later(0.15, functools.partial(task.cancel, "too late")),
    "a watchdog": lambda loop, task: loop.call_at(loop.time() + 0.15, Watchdog(task).bark),
    "its closure": lambda loop, task: Watchdog(task).in_time(),
    "a thread": lambda loop, task: threading.Timer(0.15, loop.call_soon_threadsafe, (task.cancel,)).start(),
}


@pytest.mark.parametrize("timer", TIMERS.values(), ids=TIMERS)
@asyncio_worlds
@pytest.mark.parametrize("is_over", [False, True], ids=["", "over"])
def test_a_timer_that_will_cancel_one_of_them_is_a_limit(world, timer, is_over):
    async def main() -> None:
        a, b = Lock(), Lock()
        if is_over:
            asyncio.get_running_loop().call_later(0.01, time.sleep, 0.2)
        tasks = [asyncio.ensure_future(hold_and_take(a, b)), asyncio.ensure_future(hold_and_take(b, a))]
        timer(asyncio.get_running_loop(), tasks[0])
        assert await tasks[1] is None
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    with watching(victim=True) as found:
        run(world, main)
        assert found == []
    join_timers()


@asyncio_worlds
def test_a_timer_that_was_cancelled_or_is_about_others_is_none(world):
    async def main() -> None:
        a, b = Lock(), Lock()
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(hold_and_take(a, b)), asyncio.ensure_future(hold_and_take(b, a))]
        loop.call_later(60, tasks[0].cancel).cancel()
        other = loop.call_later(60, loop.create_future().cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        other.cancel()
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DeadlockError", "NoneType"]

    with watching(victim=True) as found:
        run(world, main)
        assert len(found.pop().members) == 2


@asyncio_worlds
def test_a_timer_that_lets_go_of_the_lock_is_a_limit(world):
    async def main() -> None:
        lock = Lock()
        await lock.acquire()
        asyncio.get_running_loop().call_later(0.1, lock.release)
        await lock.acquire()
        threading.Timer(0.1, lock.release).start()
        await asyncio.to_thread(lock.acquire)
        threading.Timer(0.1, lock.release).start()
        with lock:
            pass

    with watching(victim=True) as found:
        run(world, main)
        assert found == []
    join_timers()


@pytest.mark.parametrize("world", ["tideloop", "asyncio"])
def test_what_a_limit_ends_while_it_is_looked_at_is_no_deadlock(world):
    """To look for limits takes a while, as long as there is much to look at."""
    ballast: list[list[int]] = [[] for _ in range(300_000)]
    delays = [0.05 * step for step in range(8)]

    def once(delay: float) -> None:
        a, b = Lock(), Lock()
        ready = threading.Barrier(2)

        async def unlimited() -> None:
            async with a:
                ready.wait(10)
                time.sleep(delay)
                async with b:
                    pass

        async def inner() -> None:
            async with b:
                ready.wait(10)
                async with a:
                    pass

        async def limited() -> None:
            async def busy() -> None:
                while True:
                    time.sleep(0.1)
                    await asyncio.sleep(0)

            keeps_busy = asyncio.create_task(busy())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(inner(), 0.1)
            keeps_busy.cancel()

        threads = [threading.Thread(target=run, args=(world, function)) for function in (unlimited, limited)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()

    with watching() as found:
        for delay in delays:
            once(delay)
        assert found == []
    assert ballast


@asyncio_worlds
def test_what_a_thread_takes_for_others_is_nobodys(world):
    """`to_thread(lock.acquire)`: the thread has it no longer once that is done."""
    lock = Lock()

    async def user() -> None:
        await asyncio.to_thread(lock.acquire)
        try:
            await asyncio.sleep(0.01)
        finally:
            lock.release()

    async def main() -> list[None]:
        with ThreadPool(1) as pool:
            named = pool.with_options(name="a name")
            by_users = await asyncio.gather(*[user() for _ in range(3)])
            return [*by_users, await named.run(lock.acquire), await named.run(lock.release)]

    with watching(victim=True) as found:
        assert run(world, main)[:4] == [None, None, None, True]
        assert found == []


def test_anyios_limit_around_a_group_ends_it():
    anyio = pytest.importorskip("anyio", reason="the test is about its limits")

    async def main() -> None:
        a, b = Lock(), Lock()
        with anyio.move_on_after(0.15) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(hold_and_take, a, b)
                group.start_soon(hold_and_take, b, a)
        assert scope.cancelled_caught

    with watching(victim=True) as found:
        tideloop.run(main())
        assert found == []


@pytest.mark.parametrize("package", [asyncio, tideloop])
@pytest.mark.parametrize("loop_factory", [tideloop.new_event_loop, asyncio.SelectorEventLoop])
def test_a_limit_that_is_over_limits_nothing(package, loop_factory):
    async def body(one: Lock, other: Lock) -> None:
        async with package.timeout(60) as limit:
            await asyncio.sleep(0)
        await hold_and_take(one, other)
        assert limit is not None

    async def main() -> None:
        a, b = Lock(), Lock()
        outcomes = await asyncio.gather(body(a, b), body(b, a), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DeadlockError", "NoneType"]

    with watching(victim=True) as found:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        assert len(found.pop().members) == 2


@pytest.mark.parametrize("loop_factory", [tideloop.new_event_loop, asyncio.SelectorEventLoop])
def test_the_limit_of_a_task_whose_loop_stands_still_ends_nothing(loop_factory):
    lock = Lock()

    async def hold() -> None:
        async with asyncio.timeout(60), lock:
            await asyncio.sleep(0.2)

    async def main() -> None:
        task = asyncio.ensure_future(hold())
        await asyncio.sleep(0.05)
        with pytest.raises(observe.DeadlockError), lock:
            pass
        await task

    with watching(victim=True) as found:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        assert [member.kind for member in found.pop().members] == ["thread", "task"]


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("loop_factory", [tideloop.new_event_loop, asyncio.SelectorEventLoop])
def test_who_has_been_given_a_lock_and_cannot_run_holds_it(loop_factory, fair):
    given, other = Lock(fair=fair), Lock()
    holds_both, may_release = threading.Event(), threading.Event()

    def in_a_thread() -> None:
        with other:
            given.acquire()
            holds_both.set()
            may_release.wait(10)
            given.release()  # to the task, whose thread is about to block
            time.sleep(0.1)
            with contextlib.suppress(observe.DeadlockError), given:
                pass

    async def take() -> None:
        async with given:
            pass

    async def main() -> None:
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        holds_both.wait(10)
        task = asyncio.ensure_future(take())
        await asyncio.sleep(0.05)  # in line, and for longer than any barging is allowed
        may_release.set()
        time.sleep(0.02)
        with contextlib.suppress(observe.DeadlockError), other:
            pass
        await task
        thread.join()

    with watching(victim=True) as found, contextlib.suppress(observe.DeadlockError):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        assert [member.kind for member in found.pop().members].count("task") == 1


# --- the child of a fork --------------------------------------------------------------------------------------------


def test_the_child_of_a_fork_blames_no_thread_that_it_does_not_have_and_finds_its_own_deadlocks():
    lock, other = Lock(), Lock()
    release, holds = threading.Event(), threading.Event()

    def hold() -> None:
        with other:
            holds.set()
            release.wait(10)

    reading, writing = os.pipe()
    with watching(victim=True):
        thread = threading.Thread(target=hold)
        thread.start()
        holds.wait()
        with lock:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the threads are the subject
                child = os.fork()
            if child == 0:
                os.dup2(writing, 2)
                try:
                    lock.acquire()
                except observe.DeadlockError:
                    os._exit(7)
                os._exit(1)
        release.set()
        thread.join()
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == ""
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# --- where --------------------------------------------------------------------------------------------------------


class Account:
    def __init__(self, both_give: threading.Barrier) -> None:
        self.both_give = both_give
        self.other: Account

    @synchronized
    def give(self) -> None:
        self.both_give.wait(10)
        self.other.take()

    @synchronized
    def take(self) -> None:
        pass


def test_what_synchronized_takes_was_taken_where_the_method_is_called():
    both_give = threading.Barrier(2)
    one, other = Account(both_give), Account(both_give)
    one.other, other.other = other, one
    failed = []

    def give(account: Account) -> None:
        try:
            account.give()
        except observe.DeadlockError as error:
            failed.append(error)

    with watching(victim=True) as found:
        threads = [
            threading.Thread(target=give, args=(account,), name=name) for account, name in ((one, "a"), (other, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadlock = found.pop()
    assert names(deadlock) == ["a", "b"]
    assert len(failed) == 1
    for member in deadlock.members:
        assert (member.site.filename, member.site.function) == (__file__, "Account.give")
        assert [held.site.filename for held in member.holds] == [__file__]
