"""Task groups: who is cancelled by whom, what is raised; with asyncio's class and with Tideloop's."""

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


@pytest.fixture
def newest(aio):
    """Skips where asyncio's groups do not behave as the newest ones do."""
    if aio is asyncio and sys.version_info < (3, 14):
        pytest.skip("put right in later versions")


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


async def result(value, *, after=0):
    await turns(after)
    return value


async def failure(error, *, after=0):
    await turns(after)
    raise error


def test_the_block_ends_when_all_tasks_are_done(aio, run):
    async def main():
        async with aio.TaskGroup() as group:
            tasks = [group.create_task(result(n, after=n)) for n in range(3)]
            assert repr(group) == "<TaskGroup tasks=3 entered>"
        assert [task.result() for task in tasks] == [0, 1, 2]
        assert repr(group) == "<TaskGroup entered>"

    run(main())


def test_tasks_may_create_tasks_until_the_end(aio, run):
    async def main():
        async with aio.TaskGroup() as group:

            async def more(depth):
                await turns()
                if depth:
                    tasks.append(group.create_task(more(depth - 1)))

            tasks = [group.create_task(more(3))]
        assert len(tasks) == 4
        assert all(task.done() for task in tasks)

    run(main())


def test_names_and_contexts_are_passed_on(aio, run):
    async def main():
        context, variable = contextvars.copy_context(), contextvars.ContextVar("variable")
        context.run(variable.set, 5)

        async def reads():
            return variable.get()

        async with aio.TaskGroup() as group:
            task = group.create_task(reads(), name="reader", context=context)
        assert (task.get_name(), task.result()) == ("reader", 5)

    run(main())


def test_failures_cancel_the_others_and_the_block_and_are_raised_together(aio, run):
    async def main():
        async def fails_late():
            try:
                await asyncio.sleep(10)
            finally:
                raise KeyError

        with pytest.raises(ExceptionGroup) as info:
            async with aio.TaskGroup() as group:
                group.create_task(failure(ValueError(), after=1))
                group.create_task(fails_late())
                sleeper = group.create_task(asyncio.sleep(10))
                await asyncio.sleep(10)
        assert {type(error) for error in info.value.exceptions} == {ValueError, KeyError}
        assert info.value.message == "unhandled errors in a TaskGroup"
        assert info.value.__suppress_context__
        assert sleeper.cancelled()
        assert asyncio.current_task().cancelling() == 0
        await turns()

    run(main())


def test_tasks_are_cancelled_in_the_order_they_were_made():
    """asyncio keeps them in a set, which has no order."""
    tideloop = pytest.importorskip("tideloop", exc_type=ImportError)

    async def main():
        order = []

        async def notes(number):
            try:
                await asyncio.sleep(10)
            finally:
                order.append(number)

        with pytest.raises(ExceptionGroup):
            async with tideloop.TaskGroup() as group:
                for number in range(50):
                    group.create_task(notes(number))
                group.create_task(failure(ValueError(), after=2))
        assert order == list(range(50))

    tideloop.run(main())


def test_an_exception_in_the_block_cancels_the_tasks(aio, run):
    async def main():
        with pytest.raises(ExceptionGroup) as info:
            async with aio.TaskGroup() as group:
                task = group.create_task(asyncio.sleep(10))
                await turns()
                raise ZeroDivisionError
        assert [type(error) for error in info.value.exceptions] == [ZeroDivisionError]
        assert task.cancelled()

    run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_base_errors_of_the_block_are_raised_as_they_are(aio, run, error):
    async def main():
        with pytest.raises(error):
            async with aio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10))
                raise error
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_the_cancellation_of_the_parent_cancels_the_tasks_and_is_passed_on(aio, run):
    async def main():
        tasks = []

        async def body():
            async with aio.TaskGroup() as group:
                tasks.append(group.create_task(asyncio.sleep(10)))

        parent = asyncio.ensure_future(body())
        await turns(3)
        parent.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await parent
        assert tasks[0].cancelled()
        assert parent.cancelling() == 1

    run(main())


def test_a_cancellation_is_lost_to_failures_but_counted(aio, run, newest):
    async def main():
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise ValueError from None

        async def body():
            with pytest.raises(ExceptionGroup):
                async with aio.TaskGroup() as group:
                    group.create_task(stubborn())
            assert asyncio.current_task().cancelling() == 1
            await asyncio.sleep(10)  # it learns of it here

        parent = asyncio.ensure_future(body())
        await turns(3)
        parent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parent

    run(main())


def test_groups_nest(aio, run):
    async def main():
        with pytest.raises(ExceptionGroup) as info:
            async with aio.TaskGroup() as outer:
                outer.create_task(asyncio.sleep(10))
                async with aio.TaskGroup() as inner:
                    inner.create_task(failure(ValueError(), after=2))
                    inner.create_task(asyncio.sleep(10))
        [group] = info.value.exceptions
        assert isinstance(group, ExceptionGroup)
        assert isinstance(group.exceptions[0], ValueError)

    run(main())


def test_what_a_group_refuses(aio, run):
    async def main():
        group, coro = aio.TaskGroup(), result(1)
        with pytest.raises(RuntimeError, match="has not been entered"):
            group.create_task(coro)
        coro.close()
        async with group:
            pass
        coro = result(1)
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(coro)
        coro.close()
        with pytest.raises(RuntimeError, match="has already been entered"):
            async with group:
                pass
        with pytest.raises(ExceptionGroup):
            async with aio.TaskGroup() as group:
                group.create_task(failure(ValueError()))
                try:
                    await asyncio.sleep(10)
                finally:
                    assert "cancelling" in repr(group)
                    coro = result(1)
                    with pytest.raises(RuntimeError, match="is shutting down"):
                        group.create_task(coro)
                    coro.close()

    run(main())


def test_a_refused_coroutine_is_closed(aio, run, newest):
    async def main():
        with pytest.raises(RuntimeError):
            aio.TaskGroup().create_task(result(1))  # and no warning that it was never awaited
        gc.collect()

    run(main())


def test_without_a_parent_there_is_no_group(aio, make_loop):
    coro = aio.TaskGroup().__aenter__()
    loop = make_loop()
    told = []

    def outside():
        try:
            coro.send(None)
        except RuntimeError as error:
            told.append(str(error))

    loop.call_soon(outside)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert told == ["TaskGroup <TaskGroup> cannot determine the parent task"]


def test_classes_may_derive_from_it(aio, run):
    class Named(aio.TaskGroup):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def create_task(self, coro, **kwargs):
            return super().create_task(coro, name=self.name, **kwargs)

    async def main():
        async with Named("mine") as group:
            task = group.create_task(result(1))
        assert (task.get_name(), group.name) == ("mine", "mine")
        assert isinstance(group, asyncio.TaskGroup)

    run(main())


def test_errors_make_no_reference_cycles(aio, run, newest):
    class Watched(Exception):
        pass

    async def fails():
        raise Watched

    async def main():
        group = aio.TaskGroup()
        try:
            async with group:
                group.create_task(fails())
        except ExceptionGroup as error:
            seen = weakref.ref(error.exceptions[0])
        assert seen() is None

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_a_group_that_is_waited_for_dies_with_its_loop(aio, make_loop):
    class Group(aio.TaskGroup):
        pass

    groups = []

    async def body():
        async with Group() as group:
            groups.append(weakref.ref(group))
            group.create_task(asyncio.sleep(10))

    loop = make_loop()
    task = loop.create_task(body())
    loop.call_later(0, loop.stop)
    loop.run_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    del task
    gc.collect()
    assert groups[0]() is None
