"""Parallel and Sequence: programs of processes that are functions, coroutines and programs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
import warnings

import pytest
from channel_support import on_every_loop, run_on
from thread_support import wait_until

from tideloop.channels import Broadcast, Channel, Closed, Parallel, Sequence, Watch


def after(seconds, what, printed):
    def process():
        time.sleep(seconds)
        printed.append(what)
        return what

    return process


def after_in_task(seconds, what, printed):
    async def process():
        await asyncio.sleep(seconds)
        printed.append(what)
        return what

    return process


@pytest.mark.parametrize("kind", [after, after_in_task])
def test_two_processes_print_in_the_order_of_their_times_and_then_comes_the_end(kind):
    printed = []
    began = time.monotonic()
    results = Parallel(kind(0.8, "two", printed), kind(0.1, "one", printed)).run()
    printed.append("end")
    assert printed == ["one", "two", "end"]
    assert results == ["two", "one"]
    assert 0.79 <= time.monotonic() - began < 5


def test_a_sequence_goes_on_when_a_process_has_ended():
    printed = []
    results = Sequence(
        after(0.02, "first", printed), after_in_task(0.0, "second", printed), after(0, "third", printed)
    ).run()
    assert printed == results == ["first", "second", "third"]


def test_programs_are_nested():
    printed = []

    def thread(what, before):
        def process():
            wait_until(lambda: printed[-1] == before)
            printed.append(what)
            return what

        return process

    def task(what, before):
        async def process():
            while printed[-1] != before:
                await asyncio.sleep(0.001)
            printed.append(what)
            return what

        return process

    program = Sequence(
        lambda: printed.append("begin"),
        # The two go on side by side, each at the other's word.
        Parallel(
            Sequence(thread("a1", before="b1"), thread("a2", before="b2")),
            Sequence(task("b1", before="begin"), task("b2", before="a1")),
        ),
        lambda: printed.append("end"),
    )
    assert program.run() == [None, [["a1", "a2"], ["b1", "b2"]], None]
    assert printed == ["begin", "b1", "a1", "b2", "a2", "end"]
    # It can be run again.
    printed.clear()
    assert program.run() == [None, [["a1", "a2"], ["b1", "b2"]], None]
    assert repr(program) == "<Sequence of 3 processes>"


def test_functions_run_in_threads_and_coroutines_in_the_loop():
    def thread():
        return threading.current_thread()

    async def task():
        return threading.current_thread()

    class Process:
        async def __call__(self):
            return threading.current_thread()

    here = threading.current_thread()
    results = Parallel(thread, thread, task, task(), functools.partial(task), Process()).run()
    assert results[2:] == [here] * 4
    assert len({here, *results[:2]}) == 3
    assert results[0].name == "process thread"


def test_a_thread_has_the_context_of_who_runs_the_program():
    variable = contextvars.ContextVar("variable")

    async def main():
        variable.set("from the task")
        return await Parallel(variable.get)

    assert asyncio.run(main()) == ["from the task"]


def test_nothing_at_once_and_nothing_in_a_row():
    assert (Parallel().run(), Sequence().run()) == ([], [])


@pytest.mark.parametrize("kind", [Parallel, Sequence])
def test_what_is_no_process_is_refused(kind):
    with pytest.raises(TypeError, match="a process is"):
        kind(1)


def test_a_program_that_runs_in_a_task_is_awaited():
    async def process():
        return "ran"

    async def main():
        program = Parallel(process())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(RuntimeError, match="running event loop"):
                program.run()
        return await program

    assert asyncio.run(main()) == ["ran"]


def test_a_coroutine_that_was_cancelled_before_it_ran_does_not_complain():
    async def never():
        raise AssertionError

    async def cancels_all():
        for task in asyncio.all_tasks():
            task.cancel()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_awaited(Parallel(cancels_all, never())))


@on_every_loop
def test_processes_of_both_kinds_talk_over_channels_on_every_loop(loop_name):
    numbers, squares = Channel(), Channel(2)

    def produce():
        with numbers:
            for number in range(20):
                numbers.send(number)

    async def square():
        with squares:
            async for number in numbers:
                await squares.send(number**2)

    def total():
        return sum(squares)

    async def main():
        return await Parallel(produce, square, total)

    assert run_on(loop_name, main) == [None, None, sum(n**2 for n in range(20))]


@on_every_loop
def test_all_failures_are_raised_together_when_nothing_runs_any_more(loop_name):
    ended = []

    def fails_first():
        raise KeyError("thread")

    def runs_on():
        wait_until(lambda: ended)
        ended.append("thread")
        raise ValueError("late")

    async def is_cancelled():
        try:
            await Channel().receive()
        finally:
            ended.append("task")

    async def main():
        await Parallel(is_cancelled, fails_first, runs_on)

    before = set(threading.enumerate())
    with pytest.raises(BaseExceptionGroup, match="processes of a Parallel have failed") as caught:
        run_on(loop_name, main)
    assert sorted(repr(error) for error in caught.value.exceptions) == ["KeyError('thread')", "ValueError('late')"]
    assert ended == ["task", "thread"]
    assert set(threading.enumerate()) <= before


@on_every_loop
def test_a_failure_closes_the_channels_at_which_threads_wait(loop_name):
    requests, answers = Channel(), Channel()

    def waits():
        return requests.receive()

    def waits_to_send():
        answers.send("nobody receives it")

    async def fails():
        while "1 waiting to send" not in repr(answers) or "1 to receive" not in repr(requests):
            await Parallel(functools.partial(time.sleep, 0.001))
        raise OSError("gone")

    async def main():
        await Parallel(waits, waits_to_send, fails, closing=[requests, answers])

    with pytest.raises(ExceptionGroup) as caught:
        run_on(loop_name, main)
    assert [repr(error) for error in caught.value.exceptions] == ["OSError('gone')"]
    assert requests.closed
    assert answers.closed


def _channel_and_wait():
    channel = Channel()
    return channel, channel.receive


def _broadcast_and_wait():
    broadcast = Broadcast(1)
    return broadcast, broadcast.subscribe().receive


def _watch_and_wait():
    watch = Watch(0)
    return watch, watch.subscribe().changed


@on_every_loop
@pytest.mark.parametrize("make", [_channel_and_wait, _broadcast_and_wait, _watch_and_wait])
@pytest.mark.parametrize("nested", [False, True])
def test_what_its_own_closing_ends_is_no_failure_in_threads_and_in_tasks(loop_name, make, nested):
    closed, wait = make()
    waiting = "1 to receive" if isinstance(closed, (Channel, Broadcast)) else "1 waiting"

    def in_thread():
        wait()

    async def in_task():
        await wait()

    async def at_last():
        # A task that has been told to end and waits all the same.
        try:
            await Channel().receive()
        finally:
            await _at_once(wait)

    async def _at_once(wait):
        if loop_name == "trio":
            import trio

            with trio.CancelScope(shield=True):
                await wait()
        else:
            await wait()

    def fails():
        wait_until(lambda: waiting.replace("1", "2") in repr(closed))
        raise OSError("gone")

    async def main():
        waits = Parallel(in_thread, in_task, at_last) if nested else Parallel()
        rest = () if nested else (in_thread, in_task, at_last)
        await Parallel(waits, *rest, fails, closing=[closed])

    with pytest.raises(ExceptionGroup) as caught:
        run_on(loop_name, main)
    assert [repr(error) for error in caught.value.exceptions] == ["OSError('gone')"]


def test_a_closed_that_comes_before_any_closing_is_a_failure_though_the_channel_is_listed():
    early, late = Channel(), Channel()

    def waits_early():
        early.receive()

    def waits_late():
        late.receive()

    def closes():
        wait_until(lambda: "1 to receive" in repr(early) and "1 to receive" in repr(late))
        early.close()

    with pytest.raises(ExceptionGroup) as caught:
        Parallel(waits_early, waits_late, closes, closing=[early, late]).run()
    (error,) = caught.value.exceptions
    assert isinstance(error, Closed)
    assert error.channel is early


def test_a_failure_of_an_inner_program_keeps_what_is_no_closed_of_the_outer_one():
    channel = Channel()

    def waits():
        channel.receive()

    def fails_late():
        wait_until(lambda: channel.closed)
        raise ValueError("late")

    def fails():
        wait_until(lambda: "1 to receive" in repr(channel))
        raise OSError("gone")

    with pytest.raises(ExceptionGroup) as caught:
        Parallel(Parallel(waits, fails_late), fails, closing=[channel]).run()
    errors = sorted(caught.value.exceptions, key=repr)
    assert [repr(error) for error in errors[1:]] == ["OSError('gone')"]
    assert [repr(error) for error in errors[0].exceptions] == ["ValueError('late')"]


@on_every_loop
@pytest.mark.parametrize("wrap", [Sequence, Parallel])
def test_threads_of_inner_programs_end_by_the_closing_of_the_outer_one(loop_name, wrap):
    channel = Channel()

    def waits():
        channel.receive()

    async def main():
        program = Parallel(wrap(waits), closing=[channel])
        if loop_name == "trio":
            import trio

            with trio.move_on_after(0.05):
                await program
            return
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await program

    run_on(loop_name, main)
    assert channel.closed

    def fails():
        raise OSError("gone")

    with pytest.raises(ExceptionGroup) as caught:
        Parallel(wrap(Parallel(waits, fails)), closing=[channel]).run()
    assert "Closed" not in repr(caught.value)


@on_every_loop
@pytest.mark.parametrize("in_thread", [True, False])
def test_a_cancelled_error_of_a_process_that_was_not_cancelled_is_a_failure(loop_name, in_thread):
    ended = []

    def raises():
        raise asyncio.CancelledError("its own")

    async def raises_in_task():
        raises()

    async def is_cancelled():
        try:
            await Channel().receive()
        finally:
            ended.append("task")

    async def main():
        await Parallel(is_cancelled, raises if in_thread else raises_in_task)

    with pytest.raises(BaseExceptionGroup) as caught:
        run_on(loop_name, main)
    assert [repr(error) for error in caught.value.exceptions] == ["CancelledError('its own')"]
    assert ended == ["task"]


def test_channels_are_closed_at_the_end_too_and_a_closed_of_another_one_is_a_failure():
    channel, other = Channel(1), Channel()
    other.close()
    assert Parallel(lambda: channel.send(1), closing=[channel]).run() == [None]
    assert channel.closed
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(other.receive).run()
    assert isinstance(caught.value.exceptions[0], Closed)


def test_a_sequence_ends_by_its_first_failure():
    ran = []

    async def never():
        ran.append("never")

    def fails():
        raise KeyError("second")

    with pytest.raises(KeyError, match="second"):
        Sequence(lambda: ran.append("first"), fails, never(), never).run()
    assert ran == ["first"]


@on_every_loop
def test_cancelling_a_program_ends_its_tasks_and_waits_for_its_threads(loop_name):
    channel, ended = Channel(), []

    def thread():
        try:
            channel.receive()
        except Closed:
            time.sleep(0.02)
            ended.append("thread")
            raise

    async def task():
        try:
            await Channel().receive()
        finally:
            ended.append("task")

    async def main():
        program = Parallel(thread, task, closing=[channel])
        if loop_name == "trio":
            import trio

            with trio.move_on_after(0.05):
                await program
            return
        running = asyncio.ensure_future(_awaited(program))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_on(loop_name, main)
    assert sorted(ended) == ["task", "thread"]


async def _awaited(program):
    return await program
