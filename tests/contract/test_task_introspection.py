"""Looking at tasks from outside: which one runs, which there are, and where each of them stands."""

import asyncio
import gc
import io
import weakref

import pytest

from support import turn


async def value(result=None):
    await asyncio.sleep(0)
    return result


def test_current_task_is_the_one_that_runs(loop):
    async def child():
        return asyncio.current_task()

    async def main():
        me = asyncio.current_task()
        assert isinstance(me, asyncio.Task)
        task = loop.create_task(child())
        assert await task is task
        assert asyncio.current_task() is me
        assert asyncio.current_task(loop) is me
        seen = []
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await asyncio.sleep(0)
        assert seen == [None]

    loop.run_until_complete(main())
    assert asyncio.current_task(loop) is None
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.current_task()


def test_all_tasks_lists_the_pending_ones(loop):
    async def main():
        me = asyncio.current_task()
        tasks = {loop.create_task(value()) for _ in range(3)}
        assert asyncio.all_tasks() == tasks | {me}
        assert asyncio.all_tasks(loop) == tasks | {me}
        await asyncio.wait(tasks)
        assert asyncio.all_tasks() == {me}

    loop.run_until_complete(main())
    assert asyncio.all_tasks(loop) == set()


def test_all_tasks_keeps_loops_apart(loop, make_loop):
    other = make_loop()
    mine, theirs = loop.create_task(value()), other.create_task(value())
    assert asyncio.all_tasks(loop) == {mine}
    assert asyncio.all_tasks(other) == {theirs}
    loop.run_until_complete(mine)
    other.run_until_complete(theirs)


def test_all_tasks_does_not_keep_a_task_alive(loop):
    task = loop.create_task(value())
    loop.run_until_complete(task)
    seen = weakref.ref(task)
    del task
    gc.collect()
    assert seen() is None


def test_names_imported_early_see_the_tasks_too(loop):
    from asyncio.tasks import all_tasks, current_task

    async def main():
        assert current_task() in all_tasks()

    loop.run_until_complete(main())


def test_stack_of_a_waiting_task_is_its_coroutines(loop):
    async def inner():
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def outer():
        await inner()

    task = loop.create_task(outer(), name="stacked")
    turn(loop)
    frames = task.get_stack()
    assert [frame.f_code.co_name for frame in frames] == ["outer"]
    assert task.get_stack(limit=0) == [] or len(task.get_stack(limit=0)) <= 1
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("Stack for <Task pending name='stacked'")
    assert "in outer" in out.getvalue()
    loop.run_until_complete(task)
    assert task.get_stack() == []
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("No stack for <Task finished")


def test_stack_of_a_failed_task_is_its_traceback(loop):
    async def fails():
        raise LookupError("traced")

    task = loop.create_task(fails())
    turn(loop, 2)
    assert [frame.f_code.co_name for frame in task.get_stack()][-1] == "fails"
    out = io.StringIO()
    task.print_stack(file=out)
    assert out.getvalue().startswith("Traceback for <Task finished")
    assert "LookupError: traced" in out.getvalue()
    assert task.exception()
