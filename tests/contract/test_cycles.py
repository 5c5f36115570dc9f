"""Reference cycles through each class of the loop are collected, ten thousand of each."""

import asyncio
import contextlib
import gc
import socket

import pytest

from support import future_class, turn

COUNT = 10_000


class Tracked:
    """Part of a cycle; counts how many are alive."""

    alive = 0

    def __init__(self):
        Tracked.alive += 1

    def __del__(self):
        Tracked.alive -= 1


@pytest.fixture(autouse=True)
def _count_from_zero():
    Tracked.alive = 0
    yield
    Tracked.alive = 0


def collected(make, count=COUNT):
    """Make many cycles and say how many parts of them are alive after a collection."""
    for _ in range(count):
        make()
    gc.collect()
    gc.collect()
    return Tracked.alive


def test_future_in_its_own_attribute(loop):
    def make():
        future = loop.create_future()
        future.me, future.tracked = future, Tracked()

    assert collected(make) == 0


def test_future_as_its_own_result(loop):
    def make():
        future = loop.create_future()
        future.set_result((future, Tracked()))

    assert collected(make) == 0


def test_future_in_its_own_callback(loop):
    def make():
        future, tracked = loop.create_future(), Tracked()
        future.add_done_callback(lambda _f: (future, tracked))
        future.add_done_callback(lambda _f: (future, tracked))

    assert collected(make) == 0


def test_future_in_its_own_exception(loop):
    def make():
        future = loop.create_future()
        error = ValueError(future, Tracked())
        future.set_exception(error)
        future.exception()

    assert collected(make) == 0


def test_future_in_its_own_cancel_message(loop):
    def make():
        future = loop.create_future()
        future.cancel((future, Tracked()))

    assert collected(make) == 0


def test_subclass_of_a_future(loop, loop_kind):
    class Mine(future_class(loop_kind)):
        pass

    def make():
        future = Mine(loop=loop)
        future.me, future.tracked = future, Tracked()

    assert collected(make) == 0


def test_finished_task_in_its_own_attribute(loop):
    async def noop():
        return Tracked()

    def make():
        task = loop.create_task(noop())
        task.me = task
        return task

    for _ in range(COUNT // 100):
        for _ in range(100):
            make()
        turn(loop, 2)
    gc.collect()
    assert Tracked.alive == 0


def test_pending_task_waiting_on_a_future_that_only_it_holds(loop):
    async def waits(tracked):
        await loop.create_future()

    def make():
        loop.create_task(waits(Tracked()))._log_destroy_pending = False

    for _ in range(COUNT // 100):
        for _ in range(100):
            make()
        turn(loop, 2)
    gc.collect()
    gc.collect()
    assert Tracked.alive == 0


def test_task_that_never_started_on_a_closed_loop(make_loop):
    async def noop(tracked):
        pass

    def make():
        loop = make_loop()
        for _ in range(10):
            task = loop.create_task(noop(Tracked()))
            task.me = task
            task._log_destroy_pending = False
            coroutine = task.get_coro()
            coroutine.close()
        loop.close()

    assert collected(make, 10) == 0


def test_handle_in_its_own_arguments(loop):
    def make():
        cell = [Tracked()]
        cell.append(loop.call_soon(cell.append, cell))

    for _ in range(COUNT // 100):
        for _ in range(100):
            make()
        turn(loop)
    gc.collect()
    assert Tracked.alive == 0


def test_timer_in_its_own_arguments(loop):
    def make():
        cell = [Tracked()]
        handle = loop.call_later(0, cell.append, cell)
        cell.append(handle)

    for _ in range(COUNT // 100):
        for _ in range(100):
            make()
        turn(loop, 2)
    gc.collect()
    assert Tracked.alive == 0


def test_cancelled_timer_in_its_own_arguments(loop):
    def make():
        cell = [Tracked()]
        handle = loop.call_later(3600, cell.append, cell)
        cell.append(handle)
        handle.cancel()

    assert collected(make) == 0
    turn(loop, 2)


def test_iterator_of_a_future(loop):
    def make():
        future = loop.create_future()
        future.iterator, future.tracked = iter(future), Tracked()

    assert collected(make) == 0


def test_loop_that_holds_itself(new_loop):
    def make():
        loop = new_loop()
        loop.me = loop
        loop.tracked = Tracked()
        loop.set_exception_handler(lambda _loop, _context: loop)
        loop.set_task_factory(lambda _loop, coroutine, **_options: loop)
        loop.call_soon(print, loop)
        loop.call_later(10, print, loop)
        loop.close()

    assert collected(make, 200) == 0


def test_closed_transport_and_protocol_that_hold_each_other(loop):
    class Protocol(asyncio.Protocol):
        def __init__(self):
            self.tracked = Tracked()

        def connection_made(self, transport):
            self.transport = transport

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for _ in range(300):
                transport, _ = await loop.create_connection(Protocol, *listener.getsockname())
                listener.accept()[0].close()
                transport.close()
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    loop.run_until_complete(main())
    gc.collect()
    gc.collect()
    assert Tracked.alive == 0


def test_server_that_its_protocol_factory_holds(loop):
    async def main():
        for _ in range(100):
            cell = [Tracked()]
            server = await loop.create_server(lambda cell=cell: cell, "127.0.0.1", 0)
            cell.append(server)
            server.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 5)

    loop.run_until_complete(main())
    turn(loop, 2)
    gc.collect()
    assert Tracked.alive == 0


def test_objects_are_made_under_every_small_threshold_of_the_collector(loop):
    async def noop():
        await asyncio.sleep(0)

    before = gc.get_threshold()
    try:
        for threshold in range(1, 9):
            gc.set_threshold(threshold, 1, 1)
            for _ in range(50):
                future = loop.create_future()
                future.attribute = [future]
                future.set_result(None)
                task = loop.create_task(noop())
                task.attribute = [task]
                loop.call_soon(list, [future])
                loop.call_later(0, list, [task])
                loop.run_until_complete(task)
    finally:
        gc.set_threshold(*before)
