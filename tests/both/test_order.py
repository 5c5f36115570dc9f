"""Those who are let go on together run in the order in which they came, and what they leave keeps its order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import tideloop
from tideloop.channels import Channel
from tideloop.sync import Barrier, Condition, Event, Latch, Lock, Once, Queue, RLock, RWLock, Semaphore
from worlds import Tasks, asyncio_worlds, pause, run

COUNT = 5

Wait = Callable[[], Awaitable[Any]]


async def order_of(wait: Wait, let_go: Callable[[], Any]) -> list[int]:
    """The numbers of COUNT tasks that wait, in the order in which they run when all are let go."""
    order = []

    async def body(number: int) -> None:
        await wait()
        order.append(number)

    async with Tasks() as tasks:
        for number in range(COUNT):
            tasks.start(body, number)
        await pause(0.01)
        await let_go()
    return order


def condition() -> tuple[Wait, Callable[[], Any]]:
    one = Condition(Lock(fair=True))

    async def wait() -> None:
        async with one:
            await one.wait()

    async def notify() -> None:
        async with one:
            one.notify_all()

    return wait, notify


def at_once(wait: Wait, let_go: Callable[[], object]) -> tuple[Wait, Callable[[], Any]]:
    async def soon() -> None:
        let_go()

    return wait, soon


def event() -> tuple[Wait, Callable[[], Any]]:
    one = Event()
    return at_once(one.wait, one.set)


def latch() -> tuple[Wait, Callable[[], Any]]:
    one = Latch(1)
    return at_once(one.wait, one.count_down)


def semaphore() -> tuple[Wait, Callable[[], Any]]:
    one = Semaphore(0)
    return at_once(one.acquire, lambda: one.release(COUNT))


def fair_semaphore() -> tuple[Wait, Callable[[], Any]]:
    one = Semaphore(0, fair=True)
    return at_once(one.acquire, lambda: one.release(COUNT))


def queue_that_ends() -> tuple[Wait, Callable[[], Any]]:
    one: Queue[int] = Queue()

    async def wait() -> None:
        async for _ in one:
            pass

    return at_once(wait, one.shutdown)


def channel_that_ends() -> tuple[Wait, Callable[[], Any]]:
    one: Channel[int] = Channel()

    async def wait() -> None:
        async for _ in one:
            pass

    return at_once(wait, one.close)


KINDS = [condition, event, latch, semaphore, fair_semaphore, queue_that_ends, channel_that_ends]


@asyncio_worlds
@pytest.mark.parametrize("kind", KINDS)
def test_all_who_are_let_go_together_run_in_the_order_in_which_they_came(world, kind):
    assert run(world, order_of, *kind()) == list(range(COUNT))


@asyncio_worlds
def test_readers_who_are_let_in_together_run_in_the_order_in_which_they_came(world):
    async def main() -> list[int]:
        lock = RWLock("fair")
        async with lock.write():
            order: list[int] = []

            async def read(number: int) -> None:
                async with lock.read():
                    order.append(number)

            tasks = [asyncio.ensure_future(read(number)) for number in range(COUNT)]
            await pause(0.01)
        await asyncio.gather(*tasks)
        return order

    assert run(world, main) == list(range(COUNT))


async def cancel_together(tasks: list[asyncio.Future[int]]) -> None:
    """Cancel all in one turn, in another order than that in which they came, and wait for their ends."""
    for task in tasks[::2] + tasks[1::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asyncio_worlds
def test_items_given_to_getters_that_are_cancelled_together_are_there_again_in_their_order(world):
    async def main() -> list[int]:
        queue: Queue[int] = Queue()
        tasks = [asyncio.ensure_future(queue.get()) for _ in range(10)]
        await pause(0.01)
        for item in range(12):
            queue.put_nowait(item)
        await cancel_together(tasks)
        return [queue.get_nowait() for _ in range(12)]

    assert run(world, main) == list(range(12))


@asyncio_worlds
@pytest.mark.parametrize("capacity", [0, 5, None])
def test_values_given_to_receivers_that_are_cancelled_together_are_there_again_in_their_order(world, capacity):
    async def main() -> list[int]:
        channel: Channel[int] = Channel(capacity)
        tasks = [asyncio.ensure_future(channel.receive()) for _ in range(5)]
        await pause(0.01)
        for value in range(5):
            channel.send_nowait(value)
        await cancel_together(tasks)
        return [channel.receive_nowait() for _ in range(5)]

    assert run(world, main) == list(range(5))


@asyncio_worlds
def test_what_a_sender_that_is_cancelled_would_have_sent_is_not_there_though_there_was_room(world):
    async def main() -> list[int]:
        channel: Channel[int] = Channel(1)
        channel.send_nowait(0)
        cancelled = asyncio.ensure_future(channel.send(1))
        other = asyncio.ensure_future(channel.send(2))
        await pause(0.01)
        received = [channel.receive_nowait()]  # now there is room for the first of them
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        received.append(await channel.receive())
        await other
        assert len(channel) == 0
        return received

    assert run(world, main) == [0, 2]


@asyncio_worlds
def test_a_value_that_was_received_is_sent_though_its_sender_is_cancelled_then(world):
    async def main() -> int:
        channel: Channel[int] = Channel()
        sender = asyncio.ensure_future(channel.send(1))
        await pause(0.01)
        value = channel.receive_nowait()
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        assert len(channel) == 0
        return value

    assert run(world, main) == 1


@pytest.mark.parametrize("loop_factory", [tideloop.new_event_loop, asyncio.SelectorEventLoop])
@pytest.mark.parametrize(
    "wait",
    ["Queue().get()", "Lock", "Event().wait()", "Semaphore(0).acquire()", "Barrier(2).wait()", "Channel().send(1)"],
)
def test_a_program_that_ends_while_a_task_waits_ends_quietly(loop_factory, wait):
    program = f"""
        import asyncio, tideloop
        from tideloop.channels import Channel
        from tideloop.sync import *

        async def main():
            lock = Lock()
            await lock.acquire()
            await {"lock.acquire()" if wait == "Lock" else wait}

        loop = {loop_factory.__module__ if loop_factory.__module__ == "tideloop" else "asyncio"}.new_event_loop()
        task = loop.create_task(main())
        loop.run_until_complete(asyncio.sleep(0.01))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    # Beside the task's complaint, which logging may have no use for by then.
    said = [line for line in done.stderr.splitlines() if not line.startswith(("Task was destroyed", "task: <Task"))]
    assert (done.returncode, said) == (0, [])


@pytest.fixture
def leftovers_allowed() -> set[str]:
    """A loop that is closed under its tasks leaves them pending: that is the subject of the last tests."""
    return {"tasks", "reports", "handles"}


def waiting_in_a_closed_loop(body: Callable[[], Any]) -> asyncio.Task[Any]:
    """A task of a Tideloop loop that has been closed while it waits."""
    loop = tideloop.new_event_loop()
    task = loop.create_task(body())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


def test_who_waits_in_a_closed_loop_of_ours_counts_for_nothing_though_the_task_is_kept():
    barrier = Barrier(2)

    async def at_the_barrier() -> None:
        await barrier.wait()

    task = waiting_in_a_closed_loop(at_the_barrier)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.05)

    lock = RWLock("writer")
    reading = lock.read()
    reading.acquire()

    async def write() -> None:
        async with lock.write():
            pass

    other = waiting_in_a_closed_loop(write)
    assert lock.read().acquire(timeout=1)

    channel: Channel[int] = Channel()

    async def receive() -> None:
        await channel.receive()

    third = waiting_in_a_closed_loop(receive)
    with pytest.raises(TimeoutError):
        channel.send(1, timeout=0.05)
    assert not task.done()
    assert not other.done()
    assert not third.done()


def test_what_came_before_the_task_could_run_goes_on_when_its_loop_is_closed():
    lock = Lock(fair=True)
    lock.acquire()
    loop = tideloop.new_event_loop()

    async def take() -> None:
        await lock.acquire()

    async def main() -> None:
        loop.call_soon(lock.release)
        loop.call_soon(loop.stop)  # in the turn in which the task is given the lock, and before it runs

    task = loop.create_task(take())
    loop.run_until_complete(asyncio.sleep(0.01))
    taker = threading.Thread(target=lock.acquire)
    taker.start()
    while "2 waiting" not in repr(lock):
        time.sleep(0.001)
    loop.create_task(main())
    loop.run_forever()
    loop.close()
    taker.join(10)
    assert not taker.is_alive()
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [Lock, RLock, Semaphore, Condition])
def test_whether_to_block_may_be_said_by_any_object(lock):
    one = lock()
    assert one.acquire(1) is True
    one.release()
    assert one.acquire(0) is True
    if lock is not RLock and lock is not Condition:
        assert one.acquire(0) is False
    one.release()


def test_a_thread_that_calls_a_coroutine_function_once_is_told_that_it_cannot_await_it():
    async def function() -> int:
        return 3

    once = Once()
    with pytest.raises(TypeError, match="which a thread cannot await"):
        once.call(function)
    assert not once.done
    assert tideloop.run(calls(once, function)) == [3, 3]


async def calls(once: Once, function: Any) -> list[Any]:
    return [await once.call(function), await once.call(function)]


def test_a_class_that_derives_from_a_queue_says_its_size_as_it_would_to_the_stdlibs():
    class Small(Queue):  # type: ignore[type-arg]
        def __init__(self) -> None:
            super().__init__(2)

    queue = Small()
    queue.put(1)
    queue.put(2)
    assert (queue.maxsize, queue.full()) == (2, True)
