"""wait_for(): the result in time, a cancellation when time is up, and who sees what of it."""

import asyncio
import contextvars
import sys

import pytest

IN_PLACE = sys.version_info >= (3, 12)


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


async def value(result=None, turns=0):
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


class Awaitable:
    """Awaitable, and nothing else."""

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return "awaited"


@pytest.mark.parametrize("limit", [None, 10, 10.5])
def test_the_result_comes_through(aio, run, limit):
    async def main():
        loop = asyncio.get_running_loop()
        assert await aio.wait_for(value(1), limit) == 1
        assert await aio.wait_for(value(2, turns=3), limit) == 2
        assert await aio.wait_for(aio.sleep(0, 3), limit) == 3
        assert await aio.wait_for(Awaitable(), limit) == "awaited"
        assert await aio.wait_for(asyncio.create_task(value(4, turns=1)), timeout=limit) == 4
        future = loop.create_future()
        loop.call_soon(future.set_result, 5)
        assert await aio.wait_for(future, limit) == 5
        assert await aio.wait_for(future, limit) == 5

    run(main())


@pytest.mark.parametrize("limit", [None, 10])
def test_an_exception_comes_through(aio, run, limit):
    async def main():
        async def fail():
            await asyncio.sleep(0)
            raise LookupError("no")

        with pytest.raises(LookupError, match="no"):
            await aio.wait_for(fail(), limit)

    run(main())


def test_when_time_is_up_what_is_waited_for_is_cancelled_and_ends_first(aio, run):
    async def main():
        log = []

        async def inner():
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.sleep(0.001)
                log.append("inner has ended")

        with pytest.raises(TimeoutError) as raised:
            await aio.wait_for(inner(), 0.001)
        log.append("timeout")
        assert log == ["inner has ended", "timeout"]
        assert type(raised.value.__cause__) is asyncio.CancelledError
        assert asyncio.current_task().cancelling() == 0

    run(main())


@pytest.mark.parametrize("limit", [0, -1])
def test_without_time_nothing_is_begun(aio, run, limit):
    async def main():
        began = []

        async def inner():
            began.append(True)

        with pytest.raises(TimeoutError):
            await aio.wait_for(inner(), limit)
        assert began == []
        done = asyncio.get_running_loop().create_future()
        done.set_result(1)
        assert await aio.wait_for(done, limit) == 1
        pending = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await aio.wait_for(pending, limit)
        assert pending.cancelled()

    run(main())


@pytest.mark.parametrize("limit", [0.001, 0])
def test_a_result_in_spite_of_the_cancellation_counts(aio, run, limit):
    async def main():
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return "all the same"

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        assert await aio.wait_for(task, limit) == "all the same"

    run(main())


@pytest.mark.parametrize("limit", [0.001, 0])
def test_an_exception_from_the_cancellation_counts(aio, run, limit):
    async def main():
        async def clumsy():
            try:
                await asyncio.sleep(10)
            finally:
                raise LookupError("on the way out")

        task = asyncio.create_task(clumsy())
        await asyncio.sleep(0)
        with pytest.raises(LookupError, match="on the way out"):
            await aio.wait_for(task, limit)

    run(main())


@pytest.mark.parametrize("limit", [None, 10])
def test_a_cancellation_goes_inside(aio, run, limit):
    async def main():
        log = []

        async def inner():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                log.append("inner")
                raise

        async def outer():
            await aio.wait_for(inner(), limit)

        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["inner"]

    run(main())


def test_shielded_it_goes_on(aio, run):
    async def main():
        task = asyncio.create_task(value(1, turns=50))
        with pytest.raises(TimeoutError):
            await aio.wait_for(aio.shield(task), 0)
        assert not task.done()
        assert await task == 1

    run(main())


def test_who_runs_it_and_in_which_context_is_the_versions(aio, run):
    async def main():
        variable = contextvars.ContextVar("variable", default="before")
        seen = []

        async def inner():
            seen.append(asyncio.current_task() is mine)
            variable.set("inner")

        mine = asyncio.current_task()
        await aio.wait_for(inner(), 10)
        assert seen == [IN_PLACE]
        assert variable.get() == ("inner" if IN_PLACE else "before")

    run(main())


def test_how_many_turns_it_takes_is_the_versions(aio, loop):
    async def main():
        log = []

        def turn(number=0):
            log.append(number)
            if number < 8:
                loop.call_soon(turn, number + 1)

        async def inner():
            log.append("inner")

        turn()
        await aio.wait_for(inner(), 10)
        log.append("first")
        await aio.wait_for(asyncio.sleep(0), 10)
        log.append("second")
        while log[-1] != 8:
            await asyncio.sleep(0)
        return log

    found = loop.run_until_complete(main())
    if IN_PLACE:
        assert found == [0, "inner", "first", 1, "second", 2, 3, 4, 5, 6, 7, 8]
    else:
        assert found == [0, 1, "inner", 2, 3, "first", 4, 5, 6, 7, "second", 8]


def test_nothing_happens_before_it_is_awaited(aio, run):
    async def main():
        began = []

        async def inner():
            began.append(True)

        coroutine = inner()
        waiting = aio.wait_for(coroutine, 10)
        await asyncio.sleep(0)
        assert began == []
        waiting.close()
        coroutine.close()

    run(main())


def test_what_cannot_be_awaited_is_a_type_error(aio, run):
    async def main():
        for limit in (10, 0, None):
            with pytest.raises(TypeError):
                await aio.wait_for(5, limit)

    run(main())


@pytest.mark.skipif(not IN_PLACE, reason="3.12 and later await it in place")
def test_a_coroutine_that_is_awaited_elsewhere_is_refused(aio, run):
    async def main():
        async def inner():
            await asyncio.sleep(0)

        coroutine = inner()
        waiting = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="awaited already"):
            await aio.wait_for(coroutine, 10)
        await waiting

    run(main())
