"""How futures and tasks end: cycles, finalizers, resurrection, long chains, and a collector that runs all the time."""

import asyncio
import gc
import sys
import weakref

import pytest

from support import turn
from tideloop import Future, Task, _native

CYCLES = 10_000


class Ballast:
    """Counts its living instances."""

    living = 0

    def __init__(self):
        Ballast.living += 1

    def __del__(self):
        Ballast.living -= 1


class OwnFuture(Future):
    pass


class OwnTask(Task):
    pass


async def park(*objects):
    await objects[0]


def future_that_holds_itself(loop):
    future = loop.create_future()
    future.itself, future.ballast = future, Ballast()


def derived_future_that_holds_itself(loop):
    future = OwnFuture(loop=loop)
    future.itself, future.ballast = future, Ballast()


def result_that_holds_its_future(loop):
    future = loop.create_future()
    future.set_result((future, Ballast()))


def exception_that_holds_its_future(loop):
    future, error = loop.create_future(), ValueError()
    error.future, error.ballast = future, Ballast()
    future.set_exception(error)
    future.exception()


def callbacks_that_hold_their_future(loop):
    future, ballast = loop.create_future(), Ballast()
    for _ in range(3):
        future.add_done_callback(lambda _, future=future, ballast=ballast: None)


def cancel_message_that_holds_its_future(loop):
    future = loop.create_future()
    future.cancel((future, Ballast()))


def iterator_that_its_future_holds(loop):
    future = loop.create_future()
    future.iterator, future.ballast = iter(future), Ballast()


def task_parked_on_a_future_that_only_it_knows(loop):
    task = Task(park(loop.create_future(), Ballast()), loop=loop)
    task._log_destroy_pending = False


def derived_task_parked_on_a_future_that_only_it_knows(loop):
    task = OwnTask(park(loop.create_future(), Ballast()), loop=loop)
    task._log_destroy_pending = False


def wakeup_that_its_task_holds(loop):
    future = loop.create_future()
    task = Task(park(future, Ballast()), loop=loop)
    task._log_destroy_pending = False
    loop.call_soon(lambda: setattr(task, "wakeup", future._callbacks[0][0]))


@pytest.mark.parametrize(
    "make",
    [
        future_that_holds_itself,
        derived_future_that_holds_itself,
        result_that_holds_its_future,
        exception_that_holds_its_future,
        callbacks_that_hold_their_future,
        cancel_message_that_holds_its_future,
        iterator_that_its_future_holds,
        task_parked_on_a_future_that_only_it_knows,
        derived_task_parked_on_a_future_that_only_it_knows,
        wakeup_that_its_task_holds,
    ],
    ids=lambda make: make.__name__,
)
def test_cycles_are_collected(loop, make):
    gc.collect()
    ballast, tasks = Ballast.living, _native.task_count()
    for _ in range(CYCLES):
        make(loop)
    turn(loop, 2)
    gc.collect()
    gc.collect()
    assert Ballast.living == ballast
    assert _native.task_count() <= tasks + 1


@pytest.mark.parametrize("threshold", range(1, 9))
def test_every_class_bears_a_collector_that_always_runs(loop, threshold):
    async def one(number):
        await asyncio.sleep(0)
        future = loop.create_future()
        loop.call_soon(future.set_result, number)
        return await future

    async def main():
        for _ in range(5):
            assert sum(await asyncio.gather(*[one(i) for i in range(20)])) == 190
            task = asyncio.create_task(asyncio.sleep(3600))
            task.attribute = [task]
            own, iterator = OwnFuture(loop=loop), iter(loop.create_future())
            own.attribute, own.iterator = weakref.ref(task), iterator
            assert await OwnTask(one(1), loop=loop) == 1
            await asyncio.sleep(0)
            assert task.cancel("enough") and repr(task)
            with pytest.raises(asyncio.CancelledError):
                await task
            failed = loop.create_future()
            failed.set_exception(ValueError())
            assert failed.exception() and repr(failed)

    before = gc.get_threshold()
    gc.set_threshold(threshold, 1, 1)
    try:
        loop.run_until_complete(main())
    finally:
        gc.set_threshold(*before)


def test_a_chain_of_a_hundred_thousand_does_not_overflow_the_stack(loop):
    future = None
    for _ in range(100_000):
        outer = loop.create_future()
        outer.set_result(future)
        future = outer
    del outer
    del future
    task = loop.create_future()
    for _ in range(100_000):
        task = loop.create_task(park(task))
        task._log_destroy_pending = False
    turn(loop)
    before = _native.task_count()
    del task
    gc.collect()
    assert _native.task_count() <= before - 100_000


def test_a_destroyed_task_can_be_brought_back_once(loop, exception_reports):
    kept, messages = [], []

    def keep(_, context):
        messages.append(context["message"])
        kept.append(context["task"])

    loop.set_exception_handler(keep)
    task = loop.create_task(park(loop.create_future()))
    turn(loop)
    del task
    gc.collect()
    assert messages == ["Task was destroyed but it is pending!"]
    (task,) = kept
    assert type(task) is Task and task.get_loop() is loop
    assert task not in asyncio.all_tasks(loop)  # as when asyncio's weak references to it are cleared
    kept.clear()
    del task
    gc.collect()
    assert len(messages) == 1


def test_a_future_whose_exception_nobody_saw_can_be_brought_back(loop, exception_reports):
    kept = []
    loop.set_exception_handler(lambda _, context: kept.append(context))
    future = loop.create_future()
    future.set_exception(ValueError("unseen"))
    del future
    (context,) = kept
    assert context["message"] == "Future exception was never retrieved"
    assert str(context["exception"]) == "unseen" and context["future"].done()
    future = context["future"]
    kept.clear()
    del context, future
    assert kept == []


def test_derived_classes_report_by_their_own_names(loop, exception_reports):
    kept = []
    loop.set_exception_handler(lambda _, context: kept.append(context["message"]))
    OwnFuture(loop=loop).set_exception(ValueError())
    OwnTask(park(loop.create_future()), loop=loop)
    turn(loop)
    gc.collect()
    assert kept == ["OwnFuture exception was never retrieved", "Task was destroyed but it is pending!"]


def test_del_of_a_derived_class_calls_ours(loop, exception_reports):
    kept, deleted = [], []
    loop.set_exception_handler(lambda _, context: kept.append(context["message"]))

    class Mine(Future):
        def __del__(self):
            deleted.append(self.done())
            super().__del__()

    Mine(loop=loop).set_exception(ValueError())
    assert kept == ["Mine exception was never retrieved"] and deleted == [True]


def test_a_report_leaves_the_exception_under_way_alone(loop, exception_reports):
    seen = []

    def handler(context):
        seen.append(context["message"])
        raise RuntimeError("the handler fails too")

    loop.call_exception_handler = handler

    def failed():
        future = loop.create_future()
        future.set_exception(ValueError("unseen"))
        return future

    def fail():
        # The list is never made: the future on the interpreter's stack dies while the exception is on its way.
        return [failed(), {}["under way"]]

    unraisable = []
    before, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with pytest.raises(KeyError, match="under way"):
            fail()
    finally:
        sys.unraisablehook = before
        del loop.call_exception_handler
    assert seen == ["Future exception was never retrieved"]
    assert [str(report.exc_value) for report in unraisable] == ["the handler fails too"]
    unraisable.clear()


def test_freed_memory_starts_anew(loop):
    for _ in range(3):  # what one round frees, the next uses
        futures = [loop.create_future() for _ in range(300)]
        assert all(not f.done() and f._callbacks is None and f._result is None and not f.__dict__ for f in futures)
        references = [weakref.ref(f) for f in futures]
        for number, future in enumerate(futures):
            future.mark = number
            future.set_result(number)
            future.cancel()
        del future, futures
        assert all(reference() is None for reference in references)
