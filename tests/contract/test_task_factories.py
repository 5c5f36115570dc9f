"""Task factories and eager tasks."""

import asyncio
import contextvars
import sys

import pytest

from support import reports, turn

needs_eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


async def give(value=None):
    await asyncio.sleep(0)
    return value


@pytest.fixture
def eager(loop):
    """The loop, making eager tasks."""
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def test_no_factory_is_set_at_first(loop):
    assert loop.get_task_factory() is None


def test_factory_makes_the_tasks(loop):
    made = []

    def factory(loop_, coroutine, **options):
        made.append((loop_, coroutine.__name__, sorted(options)))
        return asyncio.Task(coroutine, loop=loop_, **options)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    task = loop.create_task(give(1), name="named")
    assert loop.run_until_complete(task) == 1
    assert task.get_name() == "named"
    assert made[0][:2] == (loop, "give")
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert loop.run_until_complete(loop.create_task(give(2))) == 2
    assert len(made) == 1


def test_factory_that_is_not_callable_is_a_type_error(loop):
    with pytest.raises(TypeError, match="task factory must be a callable or None"):
        loop.set_task_factory(1)
    assert loop.get_task_factory() is None


def test_factory_that_raises_raises_from_create_task(loop):
    def factory(_loop, coroutine, **_options):
        coroutine.close()
        raise LookupError("factory")

    loop.set_task_factory(factory)
    with pytest.raises(LookupError, match="factory"):
        loop.create_task(give())
    loop.set_task_factory(None)


def test_factory_may_return_any_future(loop):
    class Future(asyncio.Future):
        def set_name(self, name):
            """Some versions name what the factory made."""

    def factory(loop_, coroutine, **_options):
        coroutine.close()
        future = Future(loop=loop_)
        future.set_result("instead")
        return future

    loop.set_task_factory(factory)
    assert type(loop.create_task(give())) is Future
    loop.set_task_factory(None)


def test_context_is_passed_to_the_factory(loop):
    seen = []

    def factory(loop_, coroutine, *, context=None, **options):
        seen.append(context)
        return asyncio.Task(coroutine, loop=loop_, context=context, **options)

    loop.set_task_factory(factory)
    context = contextvars.copy_context()
    loop.run_until_complete(loop.create_task(give(), context=context))
    assert seen == [context]


def test_run_until_complete_and_ensure_future_use_the_factory(loop):
    made = []

    def factory(loop_, coroutine, **options):
        made.append(coroutine.__name__)
        return asyncio.Task(coroutine, loop=loop_, **options)

    async def main():
        await asyncio.ensure_future(give())

    loop.set_task_factory(factory)
    loop.run_until_complete(main())
    assert made == ["main", "give"]


@needs_eager
def test_eager_factory_is_given_back_as_it_was_set(eager):
    assert eager.get_task_factory() is asyncio.eager_task_factory


@needs_eager
def test_eager_task_runs_up_to_its_first_wait_at_once(eager):
    """uvloop #754, #746, #718, #748."""
    ran = []

    async def child():
        ran.append("started")
        await asyncio.sleep(0)
        ran.append("resumed")

    async def main():
        task = eager.create_task(child())
        assert ran == ["started"]
        assert not task.done()
        await task
        assert ran == ["started", "resumed"]

    eager.run_until_complete(main())


@needs_eager
def test_eager_task_that_does_not_wait_is_done_at_once(eager):
    """uvloop #754, #746, #718, #748."""

    async def child():
        return "done"

    async def fails():
        raise LookupError("at once")

    async def main():
        task = eager.create_task(child(), name="quick")
        assert task.done()
        assert task.result() == "done"
        assert task.get_name() == "quick"
        assert isinstance(task, asyncio.Task)
        assert task not in asyncio.all_tasks()
        failed = eager.create_task(fails())
        assert failed.done()
        assert isinstance(failed.exception(), LookupError)

    eager.run_until_complete(main())


@needs_eager
def test_eager_task_done_at_once_has_no_coroutine_any_more(eager, loop_kind):
    if loop_kind == "asyncio" and sys.version_info[:3] < (3, 12, 2):
        pytest.skip("asking for it crashes the interpreter before 3.12.2")

    async def child():
        return "done"

    async def main():
        task = eager.create_task(child())
        assert task.get_coro() is None
        assert "finished" in repr(task)

    eager.run_until_complete(main())


@needs_eager
def test_eager_task_is_the_current_one_and_then_its_parent_again(eager):
    async def child():
        mine = asyncio.current_task()
        assert mine in asyncio.all_tasks()
        await asyncio.sleep(0)
        assert asyncio.current_task() is mine
        return mine

    async def main():
        parent = asyncio.current_task()
        task = eager.create_task(child())
        assert asyncio.current_task() is parent
        assert task in asyncio.all_tasks()
        assert await task is task

    eager.run_until_complete(main())


@needs_eager
def test_eager_tasks_nest(eager):
    order = []

    async def child(level):
        order.append(f"down {level}")
        if level:
            await eager.create_task(child(level - 1))
        order.append(f"up {level}")

    async def main():
        await eager.create_task(child(2))

    eager.run_until_complete(main())
    assert order == ["down 2", "down 1", "down 0", "up 0", "up 1", "up 2"]


@needs_eager
def test_eager_task_runs_in_a_copy_of_the_context(eager):
    variable = contextvars.ContextVar("variable", default="outer")

    async def child():
        variable.set("inner")
        await asyncio.sleep(0)
        return variable.get()

    async def main():
        task = eager.create_task(child())
        assert variable.get() == "outer"
        assert await task == "inner"

    eager.run_until_complete(main())


@needs_eager
def test_eager_task_outside_a_running_loop_starts_later(eager):
    ran = []

    async def child():
        ran.append(1)

    task = eager.create_task(child())
    assert ran == []
    eager.run_until_complete(task)
    assert ran == [1]


@needs_eager
def test_eager_task_can_be_cancelled(eager):
    async def main():
        task = eager.create_task(asyncio.sleep(3600))
        task.cancel("eagerly")
        with pytest.raises(asyncio.CancelledError, match="eagerly"):
            await task

    eager.run_until_complete(main())


@needs_eager
def test_eager_task_never_retrieved_is_reported(eager):
    import gc

    async def fails():
        raise LookupError("lost")

    async def main():
        eager.create_task(fails())
        gc.collect()

    with reports(eager) as seen:
        eager.run_until_complete(main())
        gc.collect()
    assert [context["message"] for context in seen] == ["Task exception was never retrieved"]
    seen.clear()


@needs_eager
def test_task_group_and_gather_take_eager_tasks(eager):
    async def quick(number):
        return number

    async def main():
        async with asyncio.TaskGroup() as group:
            one, two = group.create_task(quick(1)), group.create_task(give(2))
        assert (one.result(), two.result()) == (1, 2)
        return await asyncio.gather(quick(3), give(4))

    assert eager.run_until_complete(main()) == [3, 4]


@needs_eager
def test_made_eager_factory_takes_a_class_of_ones_own(loop):
    class Mine(asyncio.Task):
        pass

    loop.set_task_factory(asyncio.create_eager_task_factory(Mine))

    async def main():
        task = loop.create_task(give("mine"))
        assert type(task) is Mine
        return await task

    assert loop.run_until_complete(main()) == "mine"


@needs_eager
def test_timeout_inside_an_eager_task_works(eager):
    async def child():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(3600)
        return "timed out"

    async def main():
        return await eager.create_task(child())

    assert eager.run_until_complete(main()) == "timed out"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="create_task takes eager_start since Python 3.14")
def test_create_task_takes_eager_start(loop):
    ran = []

    async def child():
        ran.append(1)

    async def main():
        task = loop.create_task(child(), eager_start=True)
        assert ran == [1]
        await task
        await loop.create_task(child(), eager_start=False)

    loop.run_until_complete(main())
    turn(loop)
    assert ran == [1, 1]


def test_create_task_refuses_unknown_arguments(loop):
    coroutine = give()
    with pytest.raises(TypeError):
        loop.create_task(coroutine, nonsense=True)
    with pytest.raises(TypeError):
        loop.create_task(coroutine, "positional name")
    coroutine.close()
