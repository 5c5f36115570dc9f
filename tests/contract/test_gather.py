"""gather: results, failures, cancellation, and in which turn each happens; with asyncio's name and with Tideloop's."""

import asyncio
import sys

import pytest


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


async def result(value, *, after=0):
    await turns(after)
    return value


async def failure(error, *, after=0):
    await turns(after)
    raise error


def test_results_are_in_the_order_of_the_arguments(aio, run):
    async def main():
        assert await aio.gather(result(1, after=3), result(2), result(3, after=1)) == [1, 2, 3]

    run(main())


def test_of_nothing_is_a_future_that_is_done(aio, run):
    async def main():
        future = aio.gather()
        assert future.done()
        assert await future == []

    run(main())


def test_what_it_returns_is_a_future(aio, run):
    async def main():
        future = aio.gather(result(1))
        assert asyncio.isfuture(future)
        assert isinstance(future, asyncio.Future)
        assert type(future).__name__ == "_GatheringFuture"
        assert repr(future) == "<_GatheringFuture pending>"
        assert future.get_loop() is asyncio.get_running_loop()
        assert await future == [1]

    run(main())


def test_what_was_given_twice_runs_once(aio, run):
    async def main():
        coro = result(1)
        future = asyncio.get_running_loop().create_future()
        future.set_result(2)
        assert await aio.gather(coro, future, coro, future) == [1, 2, 1, 2]

    run(main())


def test_equal_awaitables_are_one(aio, run):
    class Awaitable:
        def __init__(self, name):
            self.name = name

        def __await__(self):
            yield from result(None).__await__()
            started.append(self.name)
            return self.name

        def __eq__(self, other):
            return isinstance(other, Awaitable)

        def __hash__(self):
            return 1

    started = []

    async def main():
        assert await aio.gather(Awaitable("a"), Awaitable("b"), result(1)) == ["a", "a", 1]
        assert started == ["a"]

    run(main())


def test_futures_of_every_making_are_children(aio, run):
    class Derived(asyncio.Future):
        pass

    async def main():
        loop = asyncio.get_running_loop()
        futures = [
            loop.create_future(),
            asyncio.Future(),
            Derived(),
            loop.create_task(result(3)),
            aio.gather(result(4)),
        ]
        for value, future in enumerate(futures[:3]):
            loop.call_soon(future.set_result, value)
        assert await aio.gather(*futures) == [0, 1, 2, 3, [4]]

    run(main())


def test_the_first_exception_is_raised_at_once_and_the_others_go_on(aio, run):
    async def main():
        other = asyncio.ensure_future(result(1, after=5))
        with pytest.raises(ZeroDivisionError):
            await aio.gather(other, failure(ZeroDivisionError(), after=1))
        assert not other.done()
        assert await other == 1

    run(main())


def test_exceptions_after_the_first_are_not_reported(aio, run):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await aio.gather(failure(ZeroDivisionError()), failure(ValueError(), after=2))
        await turns(5)

    run(main())  # the exception handler is not called


def test_exceptions_may_be_results(aio, run):
    async def main():
        error, future = ValueError(), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel, "enough")
        values = await aio.gather(result(1), failure(error), future, return_exceptions=True)
        assert values[:2] == [1, error]
        assert isinstance(values[2], asyncio.CancelledError)
        assert values[2].args == ("enough",)

    run(main())


def test_a_child_that_is_cancelled_without_a_message_has_an_empty_one(aio, run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        [value] = await aio.gather(future, return_exceptions=True)
        assert value.args == ("",)

    run(main())


def test_the_cancellation_of_a_child_is_an_exception_like_others(aio, run):
    async def main():
        task, other = asyncio.ensure_future(asyncio.sleep(10)), asyncio.ensure_future(result(1, after=5))
        outer = aio.gather(task, other)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert not outer.cancelled()
        assert isinstance(outer.exception(), asyncio.CancelledError)
        assert await other == 1

    run(main())


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_to_cancel_it_is_to_cancel_the_children(aio, run, return_exceptions):
    async def main():
        tasks = [asyncio.ensure_future(asyncio.sleep(10)) for _ in range(3)]
        outer = aio.gather(*tasks, return_exceptions=return_exceptions)
        await turns(2)
        assert outer.cancel("stop")
        assert not outer.done()
        with pytest.raises(asyncio.CancelledError) as info:
            await outer
        assert info.value.args == ("stop",)
        await turns(2)
        assert all(task.cancelled() for task in tasks)
        assert not outer.cancel()

    run(main())


def test_the_cancellation_of_the_task_that_awaits_it_reaches_the_children(aio, run):
    async def main():
        children = [asyncio.ensure_future(asyncio.sleep(10)) for _ in range(2)]

        async def body():
            await aio.gather(*children)

        task = asyncio.ensure_future(body())
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(child.cancelled() for child in children)

    run(main())


def test_children_that_heed_no_cancellation_do_not_make_it_undone(aio, run):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "here"

    async def main():
        outer = aio.gather(stubborn(), return_exceptions=True)
        await turns(2)
        assert outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer

    run(main())


def test_it_is_done_one_turn_after_its_last_child(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        log, future = [], loop.create_future()
        future.add_done_callback(lambda _: log.append("before"))
        outer = aio.gather(future)
        future.add_done_callback(lambda _: log.append(f"after {outer.done()}"))
        outer.add_done_callback(lambda _: log.append("outer"))
        future.set_result(1)
        assert not outer.done()
        loop.call_soon(log.append, "soon")
        await turns()
        assert log == ["before", "after True", "soon"]
        await turns()
        assert log[3:] == ["outer"]

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="from 3.12 on")
def test_of_futures_that_are_done_is_done_at_once(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()
        good.set_result(1)
        bad.set_exception(ValueError())
        assert aio.gather(good).result() == [1]
        assert isinstance(aio.gather(good, bad).exception(), ValueError)

    run(main())


def test_what_cannot_be_awaited_is_refused(aio, run):
    async def main():
        task = asyncio.ensure_future(result(1))
        with pytest.raises(TypeError, match="a coroutine or an awaitable is required"):
            aio.gather(task, 5)
        assert await task == 1

    run(main())


def test_futures_of_two_loops_are_refused(aio, run, make_loop):
    other = make_loop()

    async def main():
        here, there = asyncio.get_running_loop().create_future(), other.create_future()
        with pytest.raises(ValueError, match="The future belongs to a different loop"):
            aio.gather(here, there)

    run(main())


def test_outside_of_a_loop_futures_tell_theirs(aio, make_loop):
    loop = make_loop()
    futures = [loop.create_future() for _ in range(2)]
    outer = aio.gather(*futures)
    for future in futures:
        loop.call_soon(future.set_result, 1)
    assert loop.run_until_complete(outer) == [1, 1]


def test_its_callbacks_look_like_asyncios(aio, run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        outer = aio.gather(future)
        assert "gather.<locals>._done_callback()" in repr(future)
        [(callback, _)] = future._callbacks
        assert future.remove_done_callback(callback) == 1
        assert not future._callbacks
        outer.cancel()

    run(main())


def test_in_debug_mode_it_knows_where_it_was_made(aio, run):
    async def main():
        asyncio.get_running_loop().set_debug(True)
        outer = aio.gather(result(1))
        assert any(frame.name == "main" for frame in outer._source_traceback)
        assert await outer == [1]

    run(main())
