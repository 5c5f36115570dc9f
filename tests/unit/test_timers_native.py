"""Timers that have no handle: those of sleep(), timeout() and wait_for() on a loop of ours."""

import asyncio
import gc
import weakref

import pytest

from support import reports, turn

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)


async def started(*coroutines):
    """Tasks that wait."""
    tasks = [tideloop.create_task(coroutine) for coroutine in coroutines]
    await tideloop.sleep(0)
    return tasks


async def limited(delay):
    async with tideloop.timeout(delay):
        await asyncio.get_running_loop().create_future()


def test_what_is_cancelled_leaves_no_timer(loop):
    async def main():
        tasks = await started(
            tideloop.sleep(100), limited(100), tideloop.wait_for(tideloop.sleep(100), 100), tideloop.sleep(0.0001)
        )
        await tideloop.sleep(0)
        assert loop._timers_pending() >= 4
        for task in tasks:
            task.cancel()
        await tideloop.wait(tasks)
        assert loop._timers_pending() == 0

    loop.run_until_complete(main())


def test_what_is_in_time_leaves_no_timer(loop):
    async def main():
        async with tideloop.timeout(100):
            await tideloop.wait_for(tideloop.sleep(0), 100)
        assert loop._timers_pending() == 0

    loop.run_until_complete(main())


def test_a_loop_that_closes_lets_its_timers_go(make_loop):
    loop = make_loop()
    with reports(loop):
        tasks = [loop.create_task(limited(100)), loop.create_task(tideloop.sleep(100))]
        turn(loop)
        assert loop._timers_pending() == 2
        loop.close()
        assert loop._timers_pending() == 0
        for task in tasks:
            task.get_coro().close()
            task._log_destroy_pending = False


def test_the_collector_sees_through_timers(make_loop):

    class Marker:
        pass

    async def sleeper(marker):
        async with tideloop.timeout(100) as limit:
            marker.limit = limit
            await tideloop.sleep(100, marker)

    loop = make_loop()
    marker = Marker()
    marker.loop = loop
    with reports(loop):
        task = loop.create_task(sleeper(marker))
        turn(loop)
        seen = weakref.ref(marker)
        task._log_destroy_pending = False
        loop.close()
        del marker, task, loop
        gc.collect()
        gc.collect()
    assert seen() is None


@pytest.mark.parametrize("method", ["time", "call_later", "call_at"])
def test_a_derived_loop_with_timers_of_its_own_is_asked(method):
    called = []

    class Derived(tideloop.EventLoop):
        pass

    def own(self, *args, **kwargs):
        called.append(method)
        return getattr(super(Derived, self), method)(*args, **kwargs)

    setattr(Derived, method, own)
    loop = Derived()
    try:

        async def main():
            await tideloop.sleep(0.001)
            async with tideloop.timeout(100):
                pass
            with pytest.raises(TimeoutError):
                await tideloop.wait_for(tideloop.sleep(100), 0.001)

        loop.run_until_complete(main())
    finally:
        loop.close()
    assert called


def test_a_derived_loop_that_makes_its_own_tasks_is_asked():
    made = []

    class Derived(tideloop.EventLoop):
        def create_task(self, coro, **kwargs):
            made.append(coro)
            return super().create_task(coro, **kwargs)

    loop = Derived()
    try:

        async def main():
            await tideloop.create_task(tideloop.sleep(0), name="named")
            await tideloop.ensure_future(tideloop.sleep(0))
            await tideloop.shield(tideloop.sleep(0))

        loop.run_until_complete(main())
    finally:
        loop.close()
    assert len(made) == 4


def test_debug_mode_has_them_too_and_tells_of_slow_ones(loop, caplog):
    class Slow(tideloop.Task):
        def cancel(self, msg=None):
            loop.slow_callback_duration = 0.0
            return super().cancel(msg)

    async def main():
        await tideloop.sleep(0.001)
        assert await tideloop.wait_for(tideloop.sleep(0, 1), 100) == 1
        assert await tideloop.shield(tideloop.sleep(0, 2)) == 2
        task = Slow(limited(0.001), loop=loop)
        with pytest.raises(TimeoutError):
            await task

    loop.set_debug(True)
    loop.run_until_complete(main())
    assert "Executing <Timeout [expiring]> took" in caplog.text


def test_what_a_deadline_raises_reaches_the_exception_handler(loop, exception_reports):
    class Broken(tideloop.Task):
        def cancel(self, msg=None):
            raise LookupError("cannot be cancelled")

    async def main():
        task = Broken(limited(0.001), loop=loop)
        while not exception_reports:
            await tideloop.sleep(0.001)
        tideloop.Task.cancel(task)
        await tideloop.wait([task])

    loop.run_until_complete(main())
    assert [record.exc_info[0] for record in exception_reports] == [LookupError]
    assert "_on_timeout" in exception_reports[0].message


def test_tasks_tell_what_they_wait_for(loop):
    async def main():
        inner = loop.create_future()
        sleeping, waiting, shielded = await started(
            tideloop.sleep(100), tideloop.wait_for(inner, 100), _await(tideloop.shield(inner))
        )
        assert sleeping._wait_reason == "sleep"
        assert waiting._wait_reason in ("inner", "future")
        assert shielded._wait_reason == "inner"
        assert shielded._waits_for is inner
        for task in (sleeping, waiting, shielded):
            task.cancel()
        await tideloop.wait([sleeping, waiting, shielded])

    loop.run_until_complete(main())


async def _await(future):
    await future


def test_timeouts_are_used_again_and_may_be_derived_from(loop):
    class Derived(tideloop.Timeout):
        extra = None

    async def main():
        for number in range(1000):
            async with tideloop.timeout(100) as limit:
                limit.attribute = number
            reference = weakref.ref(limit)
            del limit
            assert reference() is None
            async with tideloop.timeout(100) as limit:
                assert not hasattr(limit, "attribute")
        derived = Derived(loop.time() + 100)
        async with derived as limit:
            assert limit is derived
            limit.extra = [limit]
        kept = [tideloop.timeout(1) for _ in range(600)]
        assert len({id(limit) for limit in kept}) == 600

    loop.run_until_complete(main())


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_the_collector_may_run_at_any_allocation(loop, threshold):
    async def main():
        for _ in range(50):
            async with tideloop.timeout(100):
                await tideloop.wait_for(tideloop.shield(tideloop.sleep(0)), 100)
            tideloop.Timeout(None)

    before = gc.get_threshold()
    gc.set_threshold(threshold)
    try:
        loop.run_until_complete(main())
    finally:
        gc.set_threshold(*before)


def test_with_asyncios_own_tasks_and_on_asyncios_loop():
    async def main():
        assert await tideloop.sleep(0.001, 1) == 1
        with pytest.raises(TimeoutError):
            async with tideloop.timeout(0.001):
                await tideloop.sleep(100)
        with pytest.raises(TimeoutError):
            await tideloop.wait_for(tideloop.sleep(100), 0.001)
        assert await tideloop.wait_for(asyncio.create_task(asyncio.sleep(0, 2)), 100) == 2
        assert await tideloop.shield(asyncio.create_task(asyncio.sleep(0, 3))) == 3
        async with tideloop.timeout(100) as limit:
            limit.reschedule(None)

    for make in (asyncio.SelectorEventLoop, lambda: tideloop.new_event_loop(tasks="asyncio")):
        loop = make()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
