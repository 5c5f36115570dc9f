"""Timeouts: what is cancelled when the deadline comes, what that is turned into, and what the deadline may become."""

import asyncio
import sys

import pytest


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


def test_what_is_in_time_is_not_disturbed(aio, run):
    async def main():
        async with aio.timeout(10) as limit:
            await aio.sleep(0)
            assert not limit.expired()
            assert limit.when() == pytest.approx(asyncio.get_running_loop().time() + 10, abs=5)
        assert not limit.expired()
        assert repr(limit) == "<Timeout [finished]>"
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_what_takes_too_long_is_cancelled_and_a_timeout_error_leaves(aio, run):
    async def main():
        seen = []
        with pytest.raises(TimeoutError) as raised:
            async with aio.timeout(0.001) as limit:
                try:
                    await aio.sleep(10)
                except asyncio.CancelledError as error:
                    seen.append(error)
                    assert limit.expired()
                    assert repr(limit) == "<Timeout [expiring]>"
                    assert asyncio.current_task().cancelling() == 1
                    raise
        assert repr(limit) == "<Timeout [expired]>"
        assert limit.expired()
        assert asyncio.current_task().cancelling() == 0
        assert raised.value.__cause__ is seen[0]
        assert raised.value.__context__ is seen[0]
        assert raised.value.__suppress_context__
        assert raised.value.args == ()

    run(main())


def test_none_is_no_deadline(aio, run):
    async def main():
        async with aio.timeout(None) as limit:
            assert limit.when() is None
            assert repr(limit) == "<Timeout [active] when=None>"
        async with aio.timeout_at(None) as limit:
            assert limit.when() is None

    run(main())


@pytest.mark.parametrize("delay", [0, -1, -0.5])
def test_a_deadline_that_is_past_comes_at_the_first_wait(aio, run, delay):
    async def main():
        reached = False
        with pytest.raises(TimeoutError):
            async with aio.timeout(delay):
                reached = True
                await aio.sleep(10)
        assert reached
        async with aio.timeout(delay):
            pass
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_timeout_at_takes_a_time_of_the_loop(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        when = loop.time() + 10
        async with aio.timeout_at(when) as limit:
            assert limit.when() is when
            assert repr(limit) == f"<Timeout [active] when={round(when, 3)}>"
        with pytest.raises(TimeoutError):
            async with aio.timeout_at(int(loop.time()) - 5):
                await aio.sleep(10)

    run(main())


def test_the_inner_of_two_deadlines_does_not_concern_the_outer(aio, run):
    async def main():
        async with aio.timeout(10) as outer:
            with pytest.raises(TimeoutError):
                async with aio.timeout(0.001) as inner:
                    await aio.sleep(10)
        assert inner.expired()
        assert not outer.expired()

    run(main())


def test_the_outer_of_two_deadlines_passes_through_the_inner(aio, run):
    async def main():
        with pytest.raises(TimeoutError):
            async with aio.timeout(0.001) as outer:
                async with aio.timeout(10) as inner:
                    await aio.sleep(10)
        assert outer.expired()
        assert not inner.expired()

    run(main())


def test_two_deadlines_at_once_are_two_timeouts(aio, run):
    async def main():
        with pytest.raises(TimeoutError):
            async with aio.timeout(0) as outer:
                with pytest.raises(TimeoutError):
                    async with aio.timeout(0) as inner:
                        await aio.sleep(10)
                assert inner.expired()
                await aio.sleep(10)
        assert outer.expired()
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_a_cancellation_by_somebody_else_stays_one(aio, run):
    async def main():
        async def limited():
            async with aio.timeout(10):
                await aio.sleep(10)

        task = asyncio.create_task(limited())
        await aio.sleep(0)
        task.cancel("by hand")
        with pytest.raises(asyncio.CancelledError, match="by hand"):
            await task
        assert task.cancelling() == 1

    run(main())


def test_a_cancellation_beside_the_deadline_wins(aio, run):
    async def main():
        async def limited():
            async with aio.timeout(0.001):
                try:
                    await aio.sleep(10)
                finally:
                    asyncio.current_task().cancel()

        task = asyncio.create_task(limited())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_task_that_was_cancelled_before_can_still_time_out(aio, run):
    async def main():
        async def limited():
            try:
                await aio.sleep(10)
            except asyncio.CancelledError:
                async with aio.timeout(0.001):
                    await aio.sleep(10)

        task = asyncio.create_task(limited())
        await aio.sleep(0)
        task.cancel()
        with pytest.raises(TimeoutError):
            await task

    run(main())


def test_another_exception_leaves_as_it_is(aio, run):
    async def main():
        with pytest.raises(ZeroDivisionError) as raised:
            async with aio.timeout(0.001):
                try:
                    await aio.sleep(10)
                finally:
                    1 / 0
        context = raised.value.__context__
        if sys.version_info >= (3, 13):
            assert type(context) is TimeoutError
            context = context.__cause__
        assert type(context) is asyncio.CancelledError
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_a_deadline_may_be_put_off_brought_forward_and_taken_away(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        async with aio.timeout(0.002) as limit:
            limit.reschedule(loop.time() + 10)
            await aio.sleep(0.005)
        async with aio.timeout(0.002) as limit:
            limit.reschedule(None)
            assert limit.when() is None
            await aio.sleep(0.005)
        with pytest.raises(TimeoutError):
            async with aio.timeout(10) as limit:
                limit.reschedule(loop.time() + 0.001)
                await aio.sleep(10)
        with pytest.raises(TimeoutError):
            async with aio.timeout(None) as limit:
                limit.reschedule(loop.time())
                await aio.sleep(10)

    run(main())


def test_a_deadline_that_was_put_off_in_its_own_turn_does_not_come(aio, run):
    async def main():
        async with aio.timeout(0) as limit:
            limit.reschedule(asyncio.get_running_loop().time() + 10)
            await aio.sleep(0)
            await aio.sleep(0)
        assert not limit.expired()

    run(main())


def test_one_that_is_not_active_cannot_be_rescheduled(aio, run):
    async def main():
        limit = aio.timeout(1)
        with pytest.raises(RuntimeError, match="has not been entered"):
            limit.reschedule(2)
        async with limit:
            pass
        with pytest.raises(RuntimeError, match="Cannot change state of finished Timeout"):
            limit.reschedule(2)
        with pytest.raises(TimeoutError):
            async with aio.timeout(0) as limit:
                await aio.sleep(1)
        with pytest.raises(RuntimeError, match="Cannot change state of expired Timeout"):
            limit.reschedule(2)

    run(main())


def test_one_can_be_entered_once(aio, run):
    async def main():
        async with aio.timeout(1) as limit:
            with pytest.raises(RuntimeError, match="already been entered"):
                await limit.__aenter__()
        with pytest.raises(RuntimeError, match="already been entered"):
            await limit.__aenter__()

    run(main())


def test_one_is_of_use_in_a_task_alone(aio, loop):
    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.timeout(1)
    seen = []

    def callback():
        entering = aio.timeout(1).__aenter__()
        try:
            entering.send(None)
        except RuntimeError as error:
            seen.append(str(error))
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    assert seen == ["Timeout should be used inside a task"]


@pytest.mark.parametrize("delay", ["1", [], object()])
def test_what_is_no_number_is_a_type_error(aio, run, delay):
    async def main():
        with pytest.raises(TypeError):
            aio.timeout(delay)
        with pytest.raises(TypeError):
            async with aio.timeout_at(delay):
                pass

    run(main())


def test_it_is_asyncios_to_isinstance(aio, run):
    async def main():
        for limit in (aio.timeout(1), aio.timeout_at(1), aio.Timeout(1)):
            assert isinstance(limit, aio.Timeout)
            assert isinstance(limit, asyncio.Timeout)
            assert type(limit) is aio.Timeout
            assert repr(limit) == "<Timeout [created]>"
        assert aio.Timeout(5).when() == 5

    run(main())
