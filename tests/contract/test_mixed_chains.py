"""Stock futures and tasks, the loop's own ones, and objects with __await__, awaiting each other in every direction."""

import asyncio
import sys
import types

import pytest

from support import future_class, reports, task_class, turn


@pytest.fixture(params=["C", "Python", "own"])
def any_future(request, loop_kind):
    """Classes of futures: the interpreter's two and the loop's own."""
    return {"C": asyncio.Future, "Python": asyncio.futures._PyFuture, "own": future_class(loop_kind)}[request.param]


@pytest.fixture(params=["C", "Python", "own"])
def any_task(request, loop_kind):
    """Classes of tasks: the interpreter's two and the loop's own."""
    return {"C": asyncio.Task, "Python": asyncio.tasks._PyTask, "own": task_class(loop_kind)}[request.param]


def test_any_task_awaits_any_future(loop, any_task, any_future):
    future = any_future(loop=loop)

    async def main():
        return await future

    task = any_task(main(), loop=loop)
    turn(loop)
    assert task._fut_waiter is future
    future.set_result("value")
    assert loop.run_until_complete(task) == "value"


def test_any_task_gets_the_exception_of_any_future(loop, any_task, any_future):
    future = any_future(loop=loop)

    async def main():
        with pytest.raises(LookupError, match="mine"):
            await future
        return "caught"

    task = any_task(main(), loop=loop)
    turn(loop)
    future.set_exception(LookupError("mine"))
    assert loop.run_until_complete(task) == "caught"


def test_cancel_of_any_task_reaches_any_future(loop, any_task, any_future):
    future = any_future(loop=loop)

    async def main():
        await future

    task = any_task(main(), loop=loop)
    turn(loop)
    task.cancel("why")
    assert future.cancelled()
    with pytest.raises(asyncio.CancelledError, match="why"):
        loop.run_until_complete(task)


def test_cancel_of_any_future_reaches_any_task(loop, any_task, any_future):
    future = any_future(loop=loop)

    async def main():
        await future

    task = any_task(main(), loop=loop)
    turn(loop)
    future.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        loop.run_until_complete(task)
    assert task.cancelled()


def test_any_task_is_awaited_by_any_other(loop, any_task, loop_kind):
    async def inner():
        await asyncio.sleep(0)
        return "inner"

    async def outer(task):
        return await task, await task

    for outer_class in (asyncio.Task, asyncio.tasks._PyTask, task_class(loop_kind)):
        task = outer_class(outer(any_task(inner(), loop=loop)), loop=loop)
        assert loop.run_until_complete(task) == ("inner", "inner")


def test_any_task_is_listed_and_current(loop, any_task):
    if any_task is asyncio.tasks._PyTask and sys.version_info >= (3, 14):
        pytest.skip("3.14 keeps the two kinds of task of its own apart: asyncio.all_tasks sees C ones only")

    async def main():
        assert asyncio.current_task() in asyncio.all_tasks()
        await asyncio.sleep(0)
        return asyncio.current_task()

    task = any_task(main(), loop=loop)
    assert task in asyncio.all_tasks(loop)
    assert loop.run_until_complete(task) is task


def test_combinators_take_a_mixture(loop, loop_kind):
    async def give(number):
        await asyncio.sleep(0)
        return number

    async def main():
        future = asyncio.Future(loop=loop)
        own = future_class(loop_kind)(loop=loop)
        loop.call_soon(future.set_result, 3)
        loop.call_soon(own.set_result, 4)
        mixture = [
            asyncio.Task(give(0), loop=loop),
            asyncio.tasks._PyTask(give(1), loop=loop),
            task_class(loop_kind)(give(2), loop=loop),
            future,
            own,
            give(5),
        ]
        assert await asyncio.gather(*mixture) == [0, 1, 2, 3, 4, 5]
        done, pending = await asyncio.wait(mixture[:5])
        assert not pending
        assert len(done) == 5

    loop.run_until_complete(main())


def test_shield_and_wait_for_take_stock_futures(loop):
    async def main():
        future = asyncio.Future(loop=loop)
        loop.call_soon(future.set_result, "shielded")
        assert await asyncio.shield(future) == "shielded"
        future = asyncio.tasks._PyTask(asyncio.sleep(0, "waited"), loop=loop)
        assert await asyncio.wait_for(future, 5) == "waited"

    loop.run_until_complete(main())


def test_object_with_await_is_awaited(loop, any_task):
    class Awaitable:
        def __init__(self, inner):
            self.inner = inner

        def __await__(self):
            result = yield from self.inner.__await__()
            return [result]

    async def main():
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        return await Awaitable(Awaitable(future))

    assert loop.run_until_complete(any_task(main(), loop=loop)) == [[1]]


def test_bare_yield_gives_one_turn(loop, any_task):
    ran = []

    class Yield:
        def __await__(self):
            sent = yield
            assert sent is None

    async def main():
        loop.call_soon(ran.append, "between")
        await Yield()
        ran.append("after")

    loop.run_until_complete(any_task(main(), loop=loop))
    assert ran == ["between", "after"]


def test_generator_based_coroutine_is_awaited_and_made_a_task(loop, any_task):
    @types.coroutine
    def old():
        yield
        return (yield from asyncio.sleep(0, "old").__await__())

    async def main():
        return await old()

    assert loop.run_until_complete(any_task(main(), loop=loop)) == "old"


def test_coroutine_like_object_is_made_a_task(loop, any_task):
    import collections.abc

    class Coroutine(collections.abc.Coroutine):
        def __init__(self):
            self.sent = []

        def send(self, value):
            self.sent.append(value)
            if len(self.sent) > 2:
                raise StopIteration("like")

        def throw(self, *args):
            raise AssertionError(args)

        def close(self):
            pass

        def __await__(self):
            return (yield)

    coroutine = Coroutine()
    assert loop.run_until_complete(any_task(coroutine, loop=loop)) == "like"
    assert coroutine.sent == [None, None, None]


def test_async_generator_and_comprehension_run_in_any_task(loop, any_task):
    async def numbers(count):
        for number in range(count):
            await asyncio.sleep(0)
            yield number

    async def main():
        return [number async for number in numbers(5)]

    assert loop.run_until_complete(any_task(main(), loop=loop)) == [0, 1, 2, 3, 4]


def test_async_context_managers_run_in_any_task(loop, any_task):
    order = []

    class Manager:
        async def __aenter__(self):
            await asyncio.sleep(0)
            order.append("enter")

        async def __aexit__(self, *exc):
            await asyncio.sleep(0)
            order.append("exit")
            return True

    async def main():
        async with Manager():
            raise LookupError
        order.append("after")

    loop.run_until_complete(any_task(main(), loop=loop))
    assert order == ["enter", "exit", "after"]


def test_locks_and_queues_of_the_standard_library_work_in_any_task(loop, any_task):
    async def consumer(queue, got):
        while (item := await queue.get()) is not None:
            got.append(item)
            queue.task_done()

    async def main():
        lock, queue, got = asyncio.Lock(), asyncio.Queue(2), []
        task = any_task(consumer(queue, got), loop=loop)
        async with lock:
            for number in range(10):
                await queue.put(number)
        await queue.join()
        await queue.put(None)
        await task
        return got

    assert loop.run_until_complete(any_task(main(), loop=loop)) == list(range(10))


def test_duck_typed_future_is_awaited(loop, any_task):
    class Duck:
        _asyncio_future_blocking = False

        def __init__(self):
            self.callbacks = []

        def get_loop(self):
            return loop

        def add_done_callback(self, callback, *, context=None):
            self.callbacks.append((callback, context))

        def cancel(self, msg=None):
            return False

        def result(self):
            return "quack"

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self
            return self.result()

    duck = Duck()

    async def main():
        return await duck

    task = any_task(main(), loop=loop)
    turn(loop)
    ((callback, context),) = duck.callbacks
    loop.call_soon(callback, duck, context=context)
    assert loop.run_until_complete(task) == "quack"


def test_wakeup_with_a_future_whose_result_raises_throws_it_into_the_task(loop, any_task, any_future):
    class Strange(any_future):
        def result(self):
            raise LookupError("strange")

        def exception(self):
            return LookupError("strange")

    future = Strange(loop=loop)

    async def main():
        with pytest.raises(LookupError, match="strange"):
            await future
        return "caught"

    task = any_task(main(), loop=loop)
    turn(loop)
    future.set_result(None)
    assert loop.run_until_complete(task) == "caught"


def test_chain_of_futures_keeps_exceptions_reported_once(loop):
    async def fails():
        raise LookupError("once")

    async def main():
        task = loop.create_task(fails())
        outer = asyncio.ensure_future(asyncio.shield(task))
        with pytest.raises(LookupError):
            await outer

    with reports(loop) as seen:
        loop.run_until_complete(main())
        turn(loop, 2)
    assert not seen


class ForeignLoop(asyncio.SelectorEventLoop):
    """A loop that is not the one under test, and counts what it is asked."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call_soon(self, *args, **kwargs):
        self.calls += 1
        return super().call_soon(*args, **kwargs)


@pytest.fixture
def foreign():
    loop = ForeignLoop()
    yield loop
    loop.close()


def test_own_future_and_task_run_on_a_foreign_loop(foreign, loop_kind):
    future = future_class(loop_kind)(loop=foreign)

    async def main():
        assert asyncio.current_task() is task
        assert task in asyncio.all_tasks()
        await asyncio.sleep(0)
        return await future

    task = task_class(loop_kind)(main(), loop=foreign, name="abroad")
    foreign.call_later(0.001, future.set_result, "value")
    assert foreign.run_until_complete(task) == "value"
    assert foreign.calls >= 3
    assert asyncio.all_tasks(foreign) == set()


def test_own_task_on_a_foreign_loop_is_cancelled(foreign, loop_kind):
    async def main():
        await asyncio.sleep(3600)

    task = task_class(loop_kind)(main(), loop=foreign)
    foreign.call_soon(lambda: foreign.call_soon(task.cancel, "abroad"))
    with pytest.raises(asyncio.CancelledError, match="abroad"):
        foreign.run_until_complete(task)


def test_own_tasks_as_the_factory_of_a_foreign_loop(foreign, loop_kind):
    cls = task_class(loop_kind)
    foreign.set_task_factory(lambda loop, coroutine, **options: cls(coroutine, loop=loop, **options))

    async def main():
        assert type(asyncio.current_task()) is cls
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert foreign.run_until_complete(main()) == [0, 1, 2]


def test_own_future_asks_a_foreign_loop_for_its_debug_mode(foreign, loop_kind):
    foreign.set_debug(True)
    future = future_class(loop_kind)(loop=foreign)
    assert future._source_traceback
    future.cancel()
