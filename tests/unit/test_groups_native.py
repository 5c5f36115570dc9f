"""What gather, wait, as_completed and task groups tell of themselves: why tasks wait, for what, and who for whom."""

import asyncio
import gc
import io
import sys
import weakref

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


async def waiting(coro):
    """A task that waits for it."""
    task = asyncio.ensure_future(coro)
    await turns(2)
    return task


async def stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_task_says_what_it_waits_for(run):
    async def gathers(*futures):
        await tideloop.gather(*futures)

    async def iterates(completed):
        async for _ in completed:
            pass

    async def groups(future):
        async def child():
            await future

        async with group:
            group.create_task(child())

    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        task = await waiting(gathers(*futures))
        assert (task._wait_reason, task._waits_for._children) == ("several", futures)
        await stopped(task)
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        task = await waiting(tideloop.wait(futures))
        assert (task._wait_reason, task._waits_for) == ("several", futures)
        await stopped(task)
        completed = tideloop.as_completed(futures)
        task = await waiting(iterates(completed))
        assert (task._wait_reason, task._waits_for) == ("several", completed)
        await stopped(task)
        task = await waiting(groups(futures[0]))
        assert (task._wait_reason, task._waits_for) == ("task group", group)
        await stopped(task)

    group = tideloop.TaskGroup()
    run(main())


def test_a_group_says_who_waits(run):
    async def main():
        future = asyncio.get_running_loop().create_future()

        async def child():
            await future

        async def body():
            async with group:
                tasks.extend(group.create_task(child()) for _ in range(2))
                assert group.statistics().waiting == ()

        group, tasks = tideloop.TaskGroup(), []
        parent = await waiting(body())
        said = group.statistics()
        assert (said.tasks, said.errors, said.waiting) == (tuple(tasks), 0, (parent,))
        future.set_result(None)
        await parent
        assert group.statistics().tasks == ()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are there from 3.14 on")
def test_call_graphs_show_who_waits_for_whom(run):
    async def main():
        me, printed = asyncio.current_task(), io.StringIO()

        async def prints():
            await turns(5)
            asyncio.print_call_graph(file=printed)

        async def waits(task):
            await tideloop.wait([task])

        task = asyncio.ensure_future(prints())
        future = tideloop.gather(task)
        assert task._asyncio_awaited_by == {me}
        await future
        assert task._asyncio_awaited_by is None
        async with tideloop.TaskGroup() as group:
            task = group.create_task(prints())
            assert task._asyncio_awaited_by == {me}
        task = asyncio.ensure_future(prints())
        waiter = await waiting(waits(task))
        assert waiter in task._asyncio_awaited_by
        await waiter
        task = asyncio.ensure_future(prints())
        for coro in tideloop.as_completed([task]):
            assert task._asyncio_awaited_by == {me}
            await coro
        assert printed.getvalue().count("main") >= 3

    run(main())


def test_a_wait_that_is_abandoned_is_forgotten(run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        coro = tideloop.wait([future])
        coro.send(None)
        assert len(future._callbacks) == 1
        coro.close()
        assert not future._callbacks
        future.cancel()

    run(main())


def test_those_that_wait_for_each_other_are_collected(run):
    class Future(tideloop.Future):
        pass

    async def main():
        seen = []
        for make in (lambda f: tideloop.gather(f), lambda f: tideloop.as_completed([f])):
            future = Future()
            made = make(future)
            if not isinstance(made, asyncio.Future):
                iter(made)
                coro = next(made)
                coro.close()
            future.mine = made
            seen.append(weakref.ref(future))
            del future, made
        coro = None
        gc.collect()
        assert [each() for each in seen] == [None, None]

    run(main())


def test_thousands_of_children_are_no_burden(run):
    async def one():
        return 1

    async def main():
        count = 5000
        assert sum(await tideloop.gather(*[one() for _ in range(count)])) == count
        async with tideloop.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(count)]
        assert sum(task.result() for task in tasks) == count
        futures = [asyncio.get_running_loop().create_future() for _ in range(count)]
        for _ in range(3):
            assert (await tideloop.wait(futures, timeout=0)) == (set(), set(futures))
        for future in futures:
            future.set_result(None)
        assert len([None async for _ in tideloop.as_completed(futures)]) == count

    run(main())
