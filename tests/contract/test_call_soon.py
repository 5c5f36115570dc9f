"""The ready queue: first in, first out, whatever put an entry there."""

import asyncio
import socket
import threading

import pytest

from support import reports, turn


def test_callbacks_run_in_the_order_of_call_soon(loop):
    ran = []
    for number in range(1000):
        loop.call_soon(ran.append, number)
    turn(loop)
    assert ran == list(range(1000))


def test_callback_gets_its_arguments(loop):
    ran = []
    loop.call_soon(lambda *args: ran.append(args))
    loop.call_soon(lambda *args: ran.append(args), 1)
    loop.call_soon(lambda *args: ran.append(args), 1, "two", None)
    loop.call_soon(lambda *args: ran.append(args), *range(40))
    turn(loop)
    assert ran == [(), (1,), (1, "two", None), tuple(range(40))]


def test_callback_added_by_a_callback_runs_in_the_next_turn(loop):
    ran = []

    def first():
        ran.append("first")
        loop.call_soon(ran.append, "added")

    loop.call_soon(first)
    loop.call_soon(ran.append, "second")
    turn(loop)
    assert ran == ["first", "second"]
    turn(loop)
    assert ran == ["first", "second", "added"]


def test_callback_cancelled_in_its_own_turn_does_not_run(loop):
    ran = []
    loop.call_soon(lambda: handle.cancel())
    handle = loop.call_soon(ran.append, "cancelled")
    loop.call_soon(ran.append, "kept")
    turn(loop)
    assert ran == ["kept"]


def test_call_soon_threadsafe_from_the_own_thread_keeps_the_order(loop):
    ran = []

    def fill():
        for number in range(0, 40, 2):
            loop.call_soon(ran.append, number)
            loop.call_soon_threadsafe(ran.append, number + 1)

    loop.call_soon(fill)
    turn(loop, 2)
    assert ran == list(range(40))


def test_call_soon_threadsafe_before_the_loop_runs_keeps_the_order(loop):
    ran = []
    loop.call_soon(ran.append, 0)
    loop.call_soon_threadsafe(ran.append, 1)
    loop.call_soon(ran.append, 2)
    loop.call_soon_threadsafe(ran.append, 3)
    turn(loop, 2)
    assert ran == [0, 1, 2, 3]


def test_tasks_and_callbacks_and_futures_share_one_order(loop):
    ran = []

    async def step(name):
        ran.append(f"{name} starts")
        await asyncio.sleep(0)
        ran.append(f"{name} goes on")

    async def waits(future):
        await future
        ran.append("future seen")

    async def main():
        future = loop.create_future()
        loop.call_soon(ran.append, "1")
        first = loop.create_task(step("a"))
        loop.call_soon(ran.append, "2")
        second = loop.create_task(waits(future))
        third = loop.create_task(step("b"))
        loop.call_soon(future.set_result, None)
        loop.call_soon(ran.append, "3")
        await first
        await second
        await third

    loop.run_until_complete(main())
    assert ran == ["1", "a starts", "2", "b starts", "3", "a goes on", "b goes on", "future seen"]


def test_readiness_runs_behind_what_was_called_soon_before_it(loop):
    ours, theirs = socket.socketpair()
    ran = []

    def read():
        ran.append("read")
        ours.recv(10)

    def write_then_call():
        theirs.send(b"x")
        loop.call_soon(ran.append, "called")

    loop.add_reader(ours, read)
    loop.call_soon(write_then_call)
    turn(loop, 3)
    loop.remove_reader(ours)
    ours.close()
    theirs.close()
    assert ran == ["called", "read"]


def test_readiness_is_seen_while_other_work_stays_ready(loop):
    ours, theirs = socket.socketpair()

    async def busy():
        while True:
            await asyncio.sleep(0)

    async def main():
        task = loop.create_task(busy())
        seen = asyncio.Event()
        loop.add_reader(ours, seen.set)
        theirs.send(b"x")
        await asyncio.wait_for(seen.wait(), 5)
        loop.remove_reader(ours)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    ours.close()
    theirs.close()


def test_timers_are_seen_while_other_work_stays_ready(loop):
    async def busy():
        while True:
            await asyncio.sleep(0)

    async def main():
        task = loop.create_task(busy())
        await asyncio.wait_for(asyncio.sleep(0.005), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())


def test_call_soon_threadsafe_wakes_a_parked_loop(loop):
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(loop.stop))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()


def test_calls_from_one_thread_keep_their_order(loop):
    ran = []

    def call():
        for number in range(1000):
            loop.call_soon_threadsafe(ran.append, number)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    loop.run_forever()
    thread.join()
    assert ran == list(range(1000))


def test_four_threads_with_a_hundred_thousand_calls_each_lose_none(loop):
    threads_count, calls_each = 4, 100_000
    counts = [0] * threads_count
    ended = []

    def count(index, number):
        assert counts[index] == number
        counts[index] += 1

    def call(index):
        for number in range(calls_each):
            loop.call_soon_threadsafe(count, index, number)
        loop.call_soon_threadsafe(end)

    def end():
        ended.append(True)
        if len(ended) == threads_count:
            loop.stop()

    threads = [threading.Thread(target=call, args=(index,)) for index in range(threads_count)]
    with reports(loop) as seen:
        for thread in threads:
            thread.start()
        loop.run_forever()
        for thread in threads:
            thread.join()
    assert counts == [calls_each] * threads_count
    assert not seen


def test_call_soon_threadsafe_from_a_thread_into_a_closed_loop_is_a_runtime_error(make_loop):
    loop = make_loop()
    loop.close()
    caught = []

    def call():
        try:
            loop.call_soon_threadsafe(print)
        except RuntimeError as exc:
            caught.append(str(exc))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert caught == ["Event loop is closed"]


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe"])
def test_what_cannot_be_called_is_refused_in_debug_mode(loop, method):
    loop.set_debug(True)
    with pytest.raises(TypeError, match=rf"a callable object was expected by {method}\(\)"):
        getattr(loop, method)("not callable")
    with pytest.raises(TypeError, match="coroutines cannot be used with"):
        getattr(loop, method)(asyncio.sleep)


def test_coroutine_object_is_refused_in_debug_mode(loop):
    loop.set_debug(True)
    coroutine = asyncio.sleep(0)
    with pytest.raises(TypeError, match="coroutines cannot be used with"):
        loop.call_soon(coroutine)
    coroutine.close()


def test_exception_in_a_callback_does_not_stop_the_others(loop):
    ran = []

    def fail():
        raise ZeroDivisionError("on purpose")

    with reports(loop) as seen:
        loop.call_soon(ran.append, 1)
        loop.call_soon(fail)
        loop.call_soon(ran.append, 2)
        turn(loop)
    assert ran == [1, 2]
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]
    seen.clear()


def test_wrong_number_of_arguments_reaches_the_exception_handler(loop):
    with reports(loop) as seen:
        loop.call_soon(lambda: None, "one too many")
        turn(loop)
    assert isinstance(seen[0]["exception"], TypeError)
    seen.clear()


def test_callback_that_is_any_callable_runs(loop):
    class Call:
        def __init__(self):
            self.ran = []

        def __call__(self, value):
            self.ran.append(value)

        def method(self, value):
            self.ran.append(value)

        @classmethod
        def made(cls, value, into):
            into.append(value)

    call = Call()
    loop.call_soon(call, 1)
    loop.call_soon(call.method, 2)
    loop.call_soon(Call.made, 3, call.ran)
    turn(loop)
    assert call.ran == [1, 2, 3]


def test_keyword_arguments_other_than_context_are_refused(loop):
    with pytest.raises(TypeError):
        loop.call_soon(print, sep="")
    with pytest.raises(TypeError):
        loop.call_soon()
