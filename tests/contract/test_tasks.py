"""Tasks: running a coroutine, its result, its order among others, and what may be asked of it."""

import asyncio
import copy
import gc
import pickle
import sys
import weakref

import pytest

from support import reports, task_class, turn


async def value(result=None):
    await asyncio.sleep(0)
    return result


def test_task_of_the_loop_is_asyncios_to_isinstance(loop):
    task = loop.create_task(value())
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, asyncio.Future)
    assert asyncio.isfuture(task)
    assert task.get_loop() is loop
    loop.run_until_complete(task)


def test_task_does_not_start_before_the_next_turn(loop):
    ran = []

    async def main():
        ran.append("main")

    task = loop.create_task(main())
    assert ran == []
    assert not task.done()
    assert task._state == "PENDING"
    turn(loop)
    assert ran == ["main"]
    assert task.done()
    assert task._state == "FINISHED"


def test_tasks_start_in_the_order_of_creation_and_take_turns(loop):
    ran = []

    async def step(name):
        for number in range(3):
            ran.append((number, name))
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*[step(name) for name in "abc"])

    loop.run_until_complete(main())
    assert ran == [(number, name) for number in range(3) for name in "abc"]


def test_task_of_something_else_is_a_type_error(loop):
    with pytest.raises(TypeError, match="a coroutine was expected, got"):
        loop.create_task("no coroutine")
    with pytest.raises(TypeError, match="a coroutine was expected, got"):
        loop.create_task(loop.create_future())
    with pytest.raises(TypeError):
        loop.create_task(value)


def test_result_and_exception_cannot_be_set_from_outside(loop):
    task = loop.create_task(value())
    with pytest.raises(RuntimeError, match="Task does not support set_result operation"):
        task.set_result(1)
    with pytest.raises(RuntimeError, match="Task does not support set_exception operation"):
        task.set_exception(ValueError())
    loop.run_until_complete(task)


@pytest.mark.parametrize("result", [None, 0, (1, 2), (), StopIteration, StopIteration(3), ValueError("x"), {"a": 1}])
def test_result_is_given_as_it_is(loop, result):
    async def main():
        task = loop.create_task(value(result))
        assert (await task) is result
        assert task.result() is result
        assert (await task) is result

    loop.run_until_complete(main())


def test_exception_is_given_with_its_traceback(loop):
    async def fails():
        await asyncio.sleep(0)
        raise LookupError("mine")

    async def main():
        task = loop.create_task(fails())
        with pytest.raises(LookupError, match="mine") as caught:
            await task
        assert task.exception() is caught.value
        assert "fails" in [frame.name for frame in caught.traceback]
        assert not task.cancelled()

    loop.run_until_complete(main())


def test_stop_iteration_raised_in_a_coroutine_becomes_a_runtime_error(loop):
    async def fails():
        raise StopIteration("leaked")

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        loop.run_until_complete(fails())


def test_generator_exit_raised_in_a_coroutine_is_its_exception(loop):
    async def fails():
        raise GeneratorExit

    async def main():
        task = loop.create_task(fails())
        with pytest.raises(GeneratorExit):
            await task

    with reports(loop):
        loop.run_until_complete(main())


def test_names(loop, loop_kind):
    named = loop.create_task(value(), name="mine")
    assert named.get_name() == "mine"
    assert named.set_name("other") is None
    assert named.get_name() == "other"
    named.set_name(42)
    assert named.get_name() == "42"
    unnamed = task_class(loop_kind)(value(), loop=loop)
    prefix, number = unnamed.get_name().split("-")
    assert prefix == "Task"
    assert number.isdigit()
    second = loop.create_task(value())
    assert second.get_name().startswith("Task-")
    assert second.get_name() != unnamed.get_name()
    loop.run_until_complete(asyncio.wait([named, unnamed, second]))


def test_name_given_as_a_number_becomes_a_string(loop):
    task = loop.create_task(value(), name=7)
    assert task.get_name() == "7"
    loop.run_until_complete(task)


def test_name_none_means_a_name_of_its_own(loop):
    task = loop.create_task(value(), name=None)
    assert task.get_name().startswith("Task-")
    loop.run_until_complete(task)


def test_coroutine_is_given_until_the_task_is_gone(loop):
    coroutine = value()
    task = loop.create_task(coroutine)
    assert task.get_coro() is coroutine
    assert task._coro is coroutine
    loop.run_until_complete(task)
    assert task.get_coro() is coroutine


def test_waited_future_is_shown(loop):
    future = loop.create_future()

    async def waits():
        await future

    task = loop.create_task(waits())
    assert task._fut_waiter is None
    turn(loop)
    assert task._fut_waiter is future
    assert isinstance(task._fut_waiter, asyncio.Future)
    assert task._must_cancel is False
    future.set_result(None)
    loop.run_until_complete(task)
    assert task._fut_waiter is None


def test_waited_task_is_shown(loop):
    inner = loop.create_task(value())

    async def waits():
        await inner

    outer = loop.create_task(waits())
    turn(loop)
    assert outer._fut_waiter is inner
    loop.run_until_complete(outer)


def test_repr_tells_name_coroutine_and_waited_future(loop):
    future = loop.create_future()

    async def waits():
        await future

    task = loop.create_task(waits(), name="shown")
    assert repr(task).startswith("<Task pending name='shown' coro=<")
    assert "waits() running at" in repr(task)
    assert "test_tasks.py" in repr(task)
    turn(loop)
    assert "wait_for=<Future pending cb=[" in repr(task)
    task.cancel()
    assert repr(task).startswith("<Task cancelling name='shown'")
    turn(loop, 3)
    assert repr(task).startswith("<Task cancelled name='shown'")
    finished = loop.create_task(value("r"), name="finished")
    loop.run_until_complete(finished)
    assert repr(finished).startswith("<Task finished name='finished' coro=<")
    assert "result='r'" in repr(finished)


def test_future_awaited_by_a_task_shows_its_wake_up(loop):
    future = loop.create_future()

    async def waits():
        await future

    task = loop.create_task(waits())
    turn(loop)
    assert len(future._callbacks) == 1
    wakeup, _context = future._callbacks[0]
    assert callable(wakeup)
    assert wakeup.__self__ is task
    future.set_result(None)
    loop.run_until_complete(task)


def test_done_callbacks_of_a_task_run_in_order(loop):
    ran = []
    task = loop.create_task(value())
    task.add_done_callback(lambda _t: ran.append(1))
    task.add_done_callback(lambda _t: ran.append(2))
    task.add_done_callback(ran.append)
    loop.run_until_complete(task)
    assert ran == [1, 2, task]


def test_callbacks_added_before_and_the_waiters_keep_their_order(loop):
    ran = []

    async def waits(task, name):
        await task
        ran.append(name)

    async def main():
        task = loop.create_task(value())
        task.add_done_callback(lambda _t: ran.append("first"))
        waiter = loop.create_task(waits(task, "second"))
        await asyncio.sleep(0)
        task.add_done_callback(lambda _t: ran.append("third"))
        await waiter
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert ran == ["first", "second", "third"]


def test_task_holds_attributes_and_weak_references(loop):
    task = loop.create_task(value())
    task.mine = 1
    assert task.mine == 1
    assert weakref.ref(task)() is task
    loop.run_until_complete(task)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps])
def test_task_cannot_be_copied_or_pickled(loop, copier):
    task = loop.create_task(value())
    with pytest.raises(TypeError):
        copier(task)
    loop.run_until_complete(task)


def test_task_is_generic(loop):
    task = loop.create_task(value())
    cls = type(task)
    assert cls[int].__origin__ is cls
    loop.run_until_complete(task)


def test_task_can_be_subclassed(loop, loop_kind):
    class Mine(task_class(loop_kind)):
        def __init__(self, *args, **kwargs):
            self.before = True
            super().__init__(*args, **kwargs)

        def cancel(self, msg=None):
            self.asked = msg
            return super().cancel(msg)

    task = Mine(value("subclass"), loop=loop, name="mine")
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, Mine)
    assert repr(task).startswith("<Mine pending name='mine'")
    assert loop.run_until_complete(task) == "subclass"
    task = Mine(value(), loop=loop)
    task.cancel("why")
    assert task.asked == "why"
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_task_awaiting_itself_is_a_runtime_error(loop):
    async def main():
        await asyncio.current_task()

    with pytest.raises(RuntimeError, match="Task cannot await on itself"):
        loop.run_until_complete(main())


def test_task_awaiting_a_future_of_another_loop_is_a_runtime_error(loop, make_loop):
    other = make_loop().create_future()

    async def main():
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            await other

    loop.run_until_complete(main())


@pytest.mark.parametrize("nonsense", [1, "text", object(), [], 1.5], ids=["int", "str", "object", "list", "float"])
def test_coroutine_that_yields_nonsense_gets_a_runtime_error(loop, nonsense):
    class Nonsense:
        def __await__(self):
            yield nonsense

    async def main():
        with pytest.raises(RuntimeError, match="Task got bad yield: "):
            await Nonsense()
        return "survived"

    assert loop.run_until_complete(main()) == "survived"


def test_coroutine_that_yields_a_future_without_yield_from_is_told(loop):
    future = loop.create_future()

    class Bare:
        def __await__(self):
            yield future

    async def main():
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            await Bare()

    loop.run_until_complete(main())


def test_coroutine_that_yields_a_generator_is_told(loop):
    def generator():
        yield

    class Bare:
        def __await__(self):
            yield generator()

    async def main():
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            await Bare()

    loop.run_until_complete(main())


def test_task_survives_when_nobody_else_holds_it_while_it_is_ready(loop):
    ran = []

    async def worker():
        for number in range(3):
            ran.append(number)
            await asyncio.sleep(0)

    loop.create_task(worker())
    gc.collect()
    turn(loop, 5)
    assert ran == [0, 1, 2]


def test_uninitialised_task_and_future_do_not_crash(loop_kind):
    cls = task_class(loop_kind)
    for bare in (cls.__new__(cls), cls.__mro__[1].__new__(cls.__mro__[1])):
        with pytest.raises((RuntimeError, AttributeError, TypeError)):
            bare.get_loop()
        repr(type(bare))
        del bare
    gc.collect()


def test_refcount_of_the_coroutine_result_is_exact(loop):
    result = object()
    before = sys.getrefcount(result)
    for _ in range(10):
        assert loop.run_until_complete(value(result)) is result
    gc.collect()
    assert sys.getrefcount(result) == before


def test_deep_chain_of_coroutines_runs(loop):
    async def deep(level):
        if level:
            return await deep(level - 1)
        await asyncio.sleep(0)
        return "bottom"

    assert loop.run_until_complete(deep(200)) == "bottom"


def test_long_chain_of_tasks_runs(loop):
    async def follow(previous):
        if previous is not None:
            await previous
        else:
            await asyncio.sleep(0)

    async def main():
        task = None
        for _ in range(2000):
            task = loop.create_task(follow(task))
        await task

    loop.run_until_complete(main())
