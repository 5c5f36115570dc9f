"""wait and as_completed: what is told of which futures, when; with asyncio's names and with Tideloop's."""

import asyncio
import sys

import pytest


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


@pytest.fixture
def asynchronous(aio):
    """Skips where as_completed is no asynchronous iterator."""
    if aio is asyncio and sys.version_info < (3, 13):
        pytest.skip("from 3.13 on")


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


async def result(value, *, after=0):
    await turns(after)
    return value


async def failure(error, *, after=0):
    await turns(after)
    raise error


def task(coro):
    return asyncio.get_running_loop().create_task(coro)


# wait


def test_wait_tells_the_done_from_the_pending(aio, run):
    async def main():
        quick, slow = task(result(1)), task(asyncio.sleep(10))
        done, pending = await aio.wait([quick, slow, quick], timeout=0.01)
        assert (done, pending) == ({quick}, {slow})
        slow.cancel()
        done, pending = await aio.wait({quick, slow})
        assert (done, pending) == ({quick, slow}, set())
        assert type(done) is type(pending) is set

    run(main())


def test_wait_until_the_first_is_done(aio, run):
    async def main():
        first, second = task(result(1)), task(result(2, after=20))
        assert await aio.wait((first, second), return_when=aio.FIRST_COMPLETED) == ({first}, {second})
        assert second._callbacks is None or len(second._callbacks) == 0
        assert await second == 2

    run(main())


def test_wait_until_the_first_fails(aio, run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        good, bad, slow = task(result(1)), task(failure(ValueError(), after=3)), task(result(2, after=20))
        done, pending = await aio.wait([future, good, bad, slow], return_when=aio.FIRST_EXCEPTION)
        assert (done, pending) == ({future, good, bad}, {slow})
        assert isinstance(bad.exception(), ValueError)
        assert await slow == 2

    run(main())


def test_wait_takes_any_iterable_and_any_future(aio, run):
    class Derived(asyncio.Future):
        pass

    async def main():
        futures = [asyncio.get_running_loop().create_future(), asyncio.Future(), Derived()]
        for future in futures:
            asyncio.get_running_loop().call_soon(future.set_result, None)
        assert await aio.wait(iter(futures)) == (set(futures), set())

    run(main())


def test_wait_that_is_cancelled_leaves_the_futures_alone(aio, run):
    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        waiting = task(aio.wait(futures))
        await turns()
        waiting.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not any(future.done() or future._callbacks for future in futures)

    run(main())


def test_wait_ends_two_turns_after_the_last_future(aio, run):
    async def main():
        future, log = asyncio.get_running_loop().create_future(), []

        async def waits():
            await aio.wait([future])
            log.append("woken")

        waiting = task(waits())
        await turns()
        future.set_result(None)
        await turns()
        assert log == []
        await turns()
        assert log == ["woken"]
        await waiting

    run(main())


def test_wait_does_nothing_before_it_is_awaited(aio, run):
    async def main():
        coro = aio.wait([])
        assert asyncio.iscoroutine(coro)
        with pytest.raises(ValueError, match="empty"):
            await coro

    run(main())


def test_wait_refuses_what_is_no_collection_of_futures(aio, run):
    async def main():
        future, coro = asyncio.get_running_loop().create_future(), result(1)
        with pytest.raises(TypeError, match="expect a list of futures, not "):
            await aio.wait(future)
        with pytest.raises(TypeError, match="expect a list of futures, not coroutine"):
            await aio.wait(coro)
        with pytest.raises(TypeError, match="Passing coroutines is forbidden"):
            await aio.wait([coro])
        with pytest.raises(ValueError, match="Invalid return_when value: 1"):
            await aio.wait([future], return_when=1)
        coro.close()

    run(main())


# as_completed


def test_results_come_as_they_are_ready(aio, run):
    async def main():
        coros = [result(1, after=8), result(2), result(3, after=4)]
        assert [await each for each in aio.as_completed(coros)] == [2, 3, 1]
        assert list(aio.as_completed([])) == []

    run(main())


def test_what_is_given_twice_comes_once(aio, run):
    async def main():
        coro = result(1)
        assert [await each for each in aio.as_completed([coro, coro])] == [1]

    run(main())


def test_failures_and_cancellations_come_too(aio, run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        kinds = []
        for each in aio.as_completed([failure(ValueError(), after=3), future]):
            try:
                await each
            except (ValueError, asyncio.CancelledError) as error:
                kinds.append(type(error))
        assert kinds == [asyncio.CancelledError, ValueError]

    run(main())


def test_when_time_is_up_all_the_others_say_so(aio, run):
    async def main():
        slow = [asyncio.get_running_loop().create_future() for _ in range(2)]
        kinds = []
        quick = task(result(1))
        await quick  # one that is not done yet is late where the machine stands still for the time limit
        for each in aio.as_completed([quick, *slow], timeout=0.01):
            try:
                kinds.append(await each)
            except TimeoutError:
                kinds.append("late")
        assert kinds == [1, "late", "late"]
        assert not any(future._callbacks for future in slow)

    run(main())


def test_several_may_be_awaited_at_once(aio, run):
    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        tasks = [task(coro) for coro in aio.as_completed(futures)]
        await turns(2)
        for value, future in reversed(list(enumerate(futures))):
            future.set_result(value)
        assert [await each for each in tasks] == [2, 1, 0]

    run(main())


def test_one_who_gives_up_passes_the_result_on(aio, run):
    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        first, second = (task(coro) for coro in aio.as_completed(futures))
        await turns(2)
        futures[0].set_result("value")
        await turns()
        first.cancel()
        assert await second == "value"
        with pytest.raises(asyncio.CancelledError):
            await first
        futures[1].cancel()

    run(main())


def test_an_asynchronous_iteration_gives_the_futures(aio, run, asynchronous):
    async def main():
        given = task(result(1, after=5))
        seen = [future async for future in aio.as_completed([given, result(2)])]
        assert seen[1] is given
        assert [future.result() for future in seen] == [2, 1]

    run(main())


def test_an_asynchronous_iteration_may_time_out(aio, run, asynchronous):
    async def main():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            async for _ in aio.as_completed([future], timeout=0.01):
                pass
        assert not future._callbacks

    run(main())


def test_a_cancelled_wait_can_be_repeated(run):
    tideloop = pytest.importorskip("tideloop", exc_type=ImportError)

    async def main():
        future = asyncio.get_running_loop().create_future()
        completed = tideloop.as_completed([future])
        waiting = task(anext(completed))
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        future.set_result(1)
        assert await anext(completed) is future
        with pytest.raises(StopAsyncIteration):
            await anext(completed)

    run(main())


def test_what_is_no_iterable_of_awaitables_is_refused(aio, run):
    async def main():
        coro = result(1)
        for wrong in (asyncio.get_running_loop().create_future(), coro):
            with pytest.raises(TypeError, match="an iterable of"):
                list(aio.as_completed(wrong))
        coro.close()

    run(main())
