"""sleep(), shield(), ensure_future() and create_task(), with asyncio's names and with Tideloop's."""

import asyncio
import itertools
import math
import sys
import types

import pytest

from support import reports


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


async def value(result=None, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


# sleep


@pytest.mark.parametrize("delay", [0, -1, -0.5, 0.001, True])
def test_a_sleep_returns_its_result(aio, run, delay):
    async def main():
        if delay is not True:
            assert await aio.sleep(delay) is None
            assert await aio.sleep(delay, "result") == "result"
            assert await aio.sleep(delay=delay, result=ValueError) is ValueError

    run(main())


def test_a_sleep_is_never_too_short_and_sleeps_end_in_the_order_of_their_ends(aio, run):
    async def main():
        loop, log, begun = asyncio.get_running_loop(), [], []
        delays = (0.003, 0.001, 0.002)

        async def sleeper(number):
            begun.append(loop.time())
            await aio.sleep(delays[number])
            log.append(number)
            assert loop.time() - begun[number] >= delays[number] - 1e-6

        sleepers = [asyncio.ensure_future(sleeper(number)) for number in range(3)]
        loop.call_soon(lambda: begun.append(loop.time()))
        await asyncio.gather(*sleepers)
        # Each sleep began between two of the times: if the machine stood still there, another order is right.
        for one, other in itertools.combinations(log, 2):
            assert begun[one] + delays[one] <= begun[other + 1] + delays[other]

    run(main())


def test_a_sleep_of_nothing_is_one_turn(aio, run):
    async def main():
        log = []
        asyncio.get_running_loop().call_soon(log.append, "turn")
        await aio.sleep(0)
        assert log == ["turn"]

    run(main())


def test_a_sleep_that_is_cancelled_leaves_nothing_behind(aio, run):
    async def main():
        task = asyncio.create_task(aio.sleep(100))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    run(main())


@pytest.mark.parametrize("delay", [None, "1", []])
def test_a_sleep_of_what_is_no_number_is_a_type_error_when_it_is_awaited(aio, run, delay):
    async def main():
        sleep = aio.sleep(delay)
        with pytest.raises(TypeError):
            await sleep

    run(main())


def test_a_sleep_for_not_a_number_of_seconds_is_refused(aio, run):
    if aio is asyncio and sys.version_info < (3, 13):
        pytest.skip("from 3.13 on")

    async def main():
        with pytest.raises(ValueError, match="Invalid delay: NaN"):
            await aio.sleep(math.nan)

    run(main())


def test_a_sleep_may_be_yielded_from(aio, run):
    @types.coroutine
    def old_fashioned():
        return (yield from aio.sleep(0, "result"))

    async def main():
        assert await old_fashioned() == "result"

    run(main())


def test_a_sleep_nobody_awaits_is_a_warning(aio):
    with pytest.warns(RuntimeWarning, match="coroutine 'sleep' was never awaited"):
        aio.sleep(1)


# shield


def test_a_shield_has_the_outcome_of_what_it_shields(aio, run):
    async def main():
        async def fail():
            await asyncio.sleep(0)
            raise LookupError("no")

        assert await aio.shield(value(1)) == 1
        assert await aio.shield(asyncio.create_task(value(2, turns=2))) == 2
        with pytest.raises(LookupError, match="no"):
            await aio.shield(fail())

    run(main())


def test_a_shield_that_is_cancelled_leaves_the_rest_alone(aio, run):
    async def main():
        task = asyncio.create_task(value("kept", turns=3))

        async def outer():
            await aio.shield(task)

        waiting = asyncio.create_task(outer())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not task.done()
        assert await task == "kept"

    run(main())


def test_what_is_shielded_and_cancelled_cancels_the_shield(aio, run):
    async def main():
        task = asyncio.create_task(asyncio.sleep(10))
        shield = aio.shield(task)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shield
        assert shield.cancelled()

    run(main())


def test_what_is_done_needs_no_shield(aio, run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result(1)
        assert aio.shield(future) is future

    run(main())


def test_an_exception_behind_a_shield_that_was_cancelled_is_reported_as_the_version_does(aio, loop, exception_reports):
    async def main():
        inner = loop.create_future()
        shield = aio.shield(inner)
        shield.cancel()
        inner.set_exception(LookupError("nobody hears"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    heard = sys.version_info >= (3, 14)
    assert [type(context["exception"]) for context in seen] == ([LookupError] if heard else [])


def test_how_many_turns_a_shield_takes(aio, loop):
    async def main():
        log = []

        def turn(number=0):
            log.append(number)
            if number < 6:
                loop.call_soon(turn, number + 1)

        turn()
        await aio.shield(value())
        log.append("done")
        while log[-1] != 6:
            await asyncio.sleep(0)
        return log

    assert loop.run_until_complete(main()) == [0, 1, 2, 3, "done", 4, 5, 6]


# ensure_future and create_task


def test_ensure_future_takes_what_can_be_awaited(aio, run):
    class Awaitable:
        def __await__(self):
            yield
            return "awaited"

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        assert aio.ensure_future(future) is future
        assert aio.ensure_future(future, loop=loop) is future
        future.cancel()
        task = aio.ensure_future(value(1))
        assert isinstance(task, asyncio.Task)
        assert await task == 1
        assert await aio.ensure_future(aio.sleep(0, 2), loop=loop) == 2
        assert await aio.ensure_future(Awaitable()) == "awaited"
        with pytest.raises(TypeError, match="An asyncio.Future, a coroutine or an awaitable is required"):
            aio.ensure_future(5)

    run(main())


def test_ensure_future_refuses_a_future_of_another_loop(aio, loop, make_loop):
    future = loop.create_future()
    with pytest.raises(ValueError, match="belongs to a different loop"):
        aio.ensure_future(future, loop=make_loop())
    future.cancel()


def test_create_task_takes_a_name_and_a_context(aio, run):
    async def main():
        task = aio.create_task(value(1), name="named")
        assert task.get_name() == "named"
        assert await task == 1
        with pytest.raises(TypeError):
            aio.create_task(5)
        with pytest.raises(TypeError):
            aio.create_task(value=5)

    run(main())


def test_create_task_needs_a_running_loop(aio):
    coroutine = value()
    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.create_task(coroutine)
    coroutine.close()
