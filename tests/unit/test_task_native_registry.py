"""Which tasks there are and which one runs, as asyncio's own functions see it; imported by name before Tideloop."""

import asyncio
import gc
import sys
import threading
import weakref
from asyncio import all_tasks as all_tasks_by_name
from asyncio import current_task as current_task_by_name

import pytest

from support import turn
from tideloop import Task, _native, _registry


async def value(result=None):
    return result


async def park(future):
    return await future


def test_all_tasks_sees_native_and_foreign_tasks(loop, make_loop):
    future, elsewhere = loop.create_future(), make_loop()
    native = loop.create_task(park(future))
    foreign = asyncio.Task(park(future), loop=loop)
    other = elsewhere.create_task(value())
    assert asyncio.all_tasks(loop) == {native, foreign} == all_tasks_by_name(loop)
    assert asyncio.all_tasks(elsewhere) == {other}
    future.set_result(1)
    loop.run_until_complete(asyncio.gather(native, foreign))
    elsewhere.run_until_complete(other)
    assert asyncio.all_tasks(loop) == set() == asyncio.all_tasks(elsewhere)


def test_all_tasks_without_a_loop_asks_the_running_one(loop):
    async def main():
        return asyncio.all_tasks() == {asyncio.current_task()}

    assert loop.run_until_complete(main())


def test_the_registry_counts_what_lives(loop):
    gc.collect()
    before = _native.task_count()
    tasks = [loop.create_task(value()) for _ in range(1000)]
    assert _native.task_count() == before + 1000
    assert {id(task) for task in _native.all_tasks()} >= {id(task) for task in tasks}
    del tasks[::2]
    turn(loop, 2)
    assert _native.task_count() <= before + 501  # the tasks that are done and forgotten are gone
    more = [loop.create_task(value()) for _ in range(700)]  # in freed places and new ones
    assert _native.task_count() <= before + 1201
    turn(loop, 2)
    del tasks, more
    assert _native.task_count() <= before + 1


def test_installing_again_changes_nothing():
    tasks = _registry._asyncio_tasks()
    kind = type(tasks)
    _registry.install()
    assert type(_registry._asyncio_tasks()) is kind and isinstance(tasks, weakref.WeakSet)


def test_the_current_task_is_the_one_that_steps(loop):
    seen = []

    async def step(name, turns):
        for _ in range(turns):
            assert asyncio.current_task() is current_task_by_name() is tasks[name]
            seen.append(name)
            await asyncio.sleep(0)

    tasks = {name: loop.create_task(step(name, 3)) for name in "ab"}
    loop.run_until_complete(asyncio.gather(*tasks.values()))
    assert sorted(seen) == list("aaabbb")


def test_no_task_runs_in_a_callback_or_between_turns(loop):
    seen = []

    def look(*_):
        seen.append(asyncio.current_task())

    async def main():
        loop.call_soon(look)
        future = loop.create_future()
        future.add_done_callback(look)
        loop.call_soon(future.set_result, None)
        loop.call_later(0.001, look)
        await future
        await asyncio.sleep(0.01)
        assert asyncio.current_task() is not None

    task = loop.create_task(main())
    task.add_done_callback(look)
    loop.run_until_complete(task)
    loop.call_soon(look)
    turn(loop)
    assert seen == [None] * 5
    assert asyncio.current_task(loop) is None


def test_a_foreign_task_and_a_native_one_take_turns(loop):
    async def step():
        for _ in range(3):
            assert asyncio.current_task() in (native, foreign)
            await asyncio.sleep(0)
        return asyncio.current_task()

    native, foreign = loop.create_task(step()), asyncio.Task(step(), loop=loop)
    assert loop.run_until_complete(asyncio.gather(native, foreign)) == [native, foreign]


def test_another_thread_sees_the_current_task(loop):
    # asyncio's C half keeps it in the thread from 3.14 on, and so cannot be asked elsewhere.
    asked = []

    def ask():
        asked.append(asyncio.current_task(loop))

    async def main():
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return asyncio.current_task()

    task = loop.run_until_complete(main())
    if sys.version_info < (3, 14):
        assert asked == [task]


def test_a_native_task_on_asyncios_loop_is_current_in_its_steps_alone():
    loop = asyncio.new_event_loop()
    try:
        seen = []

        async def main():
            loop.call_soon(lambda: seen.append(asyncio.current_task()))
            assert asyncio.current_task() is task
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {task}
            return 5

        task = Task(main(), loop=loop)
        assert loop.run_until_complete(task) == 5
        assert seen == [None] and asyncio.current_task(loop) is None
    finally:
        loop.close()


def test_a_native_task_cannot_be_entered_in_another_tasks_step():
    loop = asyncio.new_event_loop()
    reported = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))

    async def nothing():
        pass

    task = Task(nothing(), loop=loop)
    intruder = asyncio.Task(value(), loop=loop)
    asyncio._set_running_loop(loop)
    asyncio.tasks._enter_task(loop, intruder)
    try:
        for handle in list(loop._ready):
            if "TaskStepMethWrapper" in repr(handle) and getattr(handle._callback, "__self__", None) is task:
                handle._run()
    finally:
        asyncio.tasks._leave_task(loop, intruder)
        asyncio._set_running_loop(None)
    assert "Cannot enter into task" in str(reported[0])
    loop.run_until_complete(asyncio.gather(task, intruder))
    loop.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_is_current_while_it_starts(loop):
    seen = []

    async def inner():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    async def main():
        outer = asyncio.current_task()
        task = Task(inner(), loop=loop, eager_start=True)
        assert seen == [task] and asyncio.current_task() is outer
        done = Task(value(3), loop=loop, eager_start=True)
        assert done.done() and done.result() == 3 and done.get_coro() is None
        assert asyncio.current_task() is outer
        await task
        assert seen == [task, task] and asyncio.current_task() is outer

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the mapping stands for a dictionary that only 3.11 has")
def test_the_mapping_of_current_tasks_is_a_mapping(loop):
    current = asyncio.tasks._current_tasks

    async def main():
        task = asyncio.current_task()
        assert current[loop] is task and loop in current and list(current) == [loop] and len(current) == 1
        assert current.pop(loop) is task
        assert asyncio.current_task() is None and current.get(loop, 5) == 5
        with pytest.raises(KeyError):
            current[loop]
        with pytest.raises(KeyError):
            del current[loop]
        current[loop] = task
        assert asyncio.current_task() is task

    loop.run_until_complete(main())
    stranger = object()
    current[stranger] = "a task"
    assert current[stranger] == "a task" and list(current) == [stranger]
    del current[stranger]
    assert len(current) == 0
