"""Cancellation of tasks: when it is delivered, what it says, how it is counted."""

import asyncio
import sys

import pytest

from support import task_class, turn


async def forever():
    await asyncio.get_running_loop().create_future()


def test_task_cancelled_before_it_started_never_runs_its_body(loop):
    ran = []

    async def main():
        ran.append(1)

    task = loop.create_task(main())
    assert task.cancel() is True
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert task.cancelled()
    assert ran == []


def test_cancellation_is_delivered_where_the_task_waits_and_once_only(loop):
    caught = []

    async def main():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            caught.append("cancelled")
            raise

    task = loop.create_task(main())
    turn(loop)
    assert task.cancel() is True
    assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert caught == ["cancelled"]
    assert task.cancel() is False


def test_cancel_of_a_finished_task_is_false(loop):
    task = loop.create_task(asyncio.sleep(0))
    loop.run_until_complete(task)
    assert task.cancel() is False
    assert not task.cancelled()
    assert task.cancelling() == 0


def test_cancelled_future_cancels_the_task_that_awaits_it(loop):
    future = loop.create_future()

    async def main():
        await future

    task = loop.create_task(main())
    turn(loop)
    future.cancel("from the future")
    with pytest.raises(asyncio.CancelledError, match="from the future"):
        loop.run_until_complete(task)
    assert task.cancelled()
    assert task.cancelling() == 0


def test_cancelling_a_task_cancels_the_future_it_awaits(loop):
    future = loop.create_future()

    async def main():
        await future

    task = loop.create_task(main())
    turn(loop)
    task.cancel("passed on")
    assert future.cancelled()
    assert future._cancel_message == "passed on"
    with pytest.raises(asyncio.CancelledError, match="passed on"):
        loop.run_until_complete(task)


def test_cancellation_reaches_the_innermost_of_a_chain_of_tasks(loop):
    order = []

    async def inner():
        try:
            await forever()
        except asyncio.CancelledError:
            order.append("inner")
            raise

    async def outer(task):
        try:
            await task
        except asyncio.CancelledError:
            order.append("outer")
            raise

    first = loop.create_task(inner())
    second = loop.create_task(outer(first))
    turn(loop, 2)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(second)
    assert order == ["inner", "outer"]
    assert first.cancelled()
    assert second.cancelled()


@pytest.mark.parametrize("message", [None, "a reason", ("a", "tuple")])
def test_cancel_message_reaches_the_coroutine_and_the_awaiter(loop, message):
    seen = []

    async def inner():
        try:
            await forever()
        except asyncio.CancelledError as exc:
            seen.append(exc.args)
            raise

    async def main():
        task = loop.create_task(inner())
        await asyncio.sleep(0)
        task.cancel(msg=message)
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        seen.append(caught.value.args)

    loop.run_until_complete(main())
    args = () if message is None else (message,)
    assert seen == [args, args]


def test_message_of_a_task_cancelled_before_it_started_is_kept(loop):
    async def main():
        task = loop.create_task(forever())
        task.cancel("early")
        with pytest.raises(asyncio.CancelledError, match="early"):
            await task

    loop.run_until_complete(main())


def test_coroutine_may_swallow_the_cancellation(loop):
    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            return "swallowed"

    task = loop.create_task(stubborn())
    turn(loop)
    task.cancel()
    assert loop.run_until_complete(task) == "swallowed"
    assert not task.cancelled()
    assert task.cancelling() == 1


def test_coroutine_may_raise_something_else_instead(loop):
    async def other():
        try:
            await forever()
        except asyncio.CancelledError:
            raise LookupError("instead") from None

    task = loop.create_task(other())
    turn(loop)
    task.cancel()
    with pytest.raises(LookupError, match="instead"):
        loop.run_until_complete(task)
    assert not task.cancelled()


def test_coroutine_that_raises_cancelled_error_by_itself_is_cancelled(loop):
    async def main():
        raise asyncio.CancelledError("by itself")

    task = loop.create_task(main())
    with pytest.raises(asyncio.CancelledError, match="by itself"):
        loop.run_until_complete(task)
    assert task.cancelled()


def test_cancel_requests_are_counted_and_taken_back(loop):
    async def main():
        task = asyncio.current_task()
        assert task.cancelling() == 0
        task.cancel()
        task.cancel()
        assert task.cancelling() == 2
        assert task.uncancel() == 1
        assert task.uncancel() == 0
        assert task.uncancel() == 0
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)

    task = loop.create_task(main())
    if sys.version_info < (3, 13):
        loop.run_until_complete(task)
    else:
        # Since 3.13 the last uncancel takes the pending cancellation back.
        with pytest.raises(BaseException, match="DID NOT RAISE"):
            loop.run_until_complete(task)


def test_every_request_of_cancel_while_waiting_counts(loop):
    task = loop.create_task(forever())
    turn(loop)
    assert task.cancel()
    assert task.cancel()
    assert task.cancelling() == 2
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert task.cancelling() == 2


def test_task_that_cancels_itself_is_cancelled_at_its_next_wait(loop):
    ran = []

    async def main():
        asyncio.current_task().cancel("self")
        assert asyncio.current_task()._must_cancel is True
        ran.append("goes on")
        await asyncio.sleep(0)
        ran.append("never")

    with pytest.raises(asyncio.CancelledError, match="self"):
        loop.run_until_complete(main())
    assert ran == ["goes on"]


def test_task_that_cancels_itself_and_returns_is_cancelled(loop):
    async def main():
        asyncio.current_task().cancel()
        return "result"

    task = loop.create_task(main())
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert task.cancelled()


def test_cancel_in_the_turn_of_the_wake_up_wins(loop):
    future = loop.create_future()

    async def main():
        await future

    task = loop.create_task(main())
    turn(loop)
    future.set_result("too late")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_finally_blocks_may_await(loop):
    order = []

    async def main():
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            order.append("cleaned")

    task = loop.create_task(main())
    turn(loop)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert order == ["cleaned"]


def test_cancelled_sleep_leaves_no_timer_that_runs(loop):
    async def main():
        task = loop.create_task(asyncio.sleep(0.001))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.003)
        assert task.cancelled()

    loop.run_until_complete(main())


def test_shield_keeps_the_inner_task_alive(loop):
    async def inner(release):
        await release.wait()
        return "finished"

    async def main():
        release = asyncio.Event()
        task = loop.create_task(inner(release))
        outer = asyncio.shield(task)
        await asyncio.sleep(0)
        outer.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        release.set()
        assert await task == "finished"
        assert outer.cancelled()

    loop.run_until_complete(main())


def test_gather_cancels_its_children(loop):
    async def main():
        children = [loop.create_task(forever()) for _ in range(3)]
        group = asyncio.gather(*children)
        await asyncio.sleep(0)
        group.cancel("all")
        with pytest.raises(asyncio.CancelledError):
            await group
        assert all(child.cancelled() for child in children)

    loop.run_until_complete(main())


def test_gather_keeps_order_and_returns_exceptions(loop):
    async def give(number):
        await asyncio.sleep(0)
        if number == 1:
            raise LookupError(number)
        return number

    async def main():
        return await asyncio.gather(*map(give, range(3)), return_exceptions=True)

    first, second, third = loop.run_until_complete(main())
    assert (first, type(second), third) == (0, LookupError, 2)


def test_wait_for_times_out_and_cancels(loop):
    async def main():
        task = loop.create_task(forever())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.001)
        assert task.cancelled()

    loop.run_until_complete(main())


def test_timeout_cancels_the_block_and_counts_back(loop):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await forever()
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_task_group_cancels_the_others_when_one_fails(loop):
    ends = []

    async def waits():
        try:
            await forever()
        finally:
            ends.append("cancelled")

    async def fails():
        await asyncio.sleep(0)
        raise LookupError("one")

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
                group.create_task(fails())
        assert [type(exc) for exc in caught.value.exceptions] == [LookupError]

    loop.run_until_complete(main())
    assert ends == ["cancelled"]


def test_wait_returns_at_the_first_exception(loop):
    async def fails():
        raise LookupError

    async def main():
        bad, good = loop.create_task(fails()), loop.create_task(forever())
        done, pending = await asyncio.wait([bad, good], return_when=asyncio.FIRST_EXCEPTION)
        assert done == {bad}
        assert pending == {good}
        assert bad.exception()
        good.cancel()
        await asyncio.wait([good])

    loop.run_until_complete(main())


def test_stock_tasks_and_the_loops_tasks_cancel_each_other(loop, loop_kind):
    async def awaits(other):
        await other

    async def main():
        for outer_class, inner_class in [
            (asyncio.Task, task_class(loop_kind)),
            (task_class(loop_kind), asyncio.Task),
        ]:
            inner = inner_class(forever(), loop=loop)
            outer = outer_class(awaits(inner), loop=loop)
            await asyncio.sleep(0)
            outer.cancel("through")
            with pytest.raises(asyncio.CancelledError, match="through"):
                await outer
            assert inner.cancelled()

    loop.run_until_complete(main())


def test_cancel_of_an_awaitable_whose_cancel_raises_leaves_the_task_intact(loop, loop_kind):
    from support import future_class

    class Bad(future_class(loop_kind)):
        def cancel(self, msg=None):
            raise LookupError("cancel failed")

    future = Bad(loop=loop)

    async def main():
        await future

    task = loop.create_task(main())
    turn(loop)
    with pytest.raises(LookupError, match="cancel failed"):
        task.cancel()
    future.set_result(None)
    loop.run_until_complete(task)
