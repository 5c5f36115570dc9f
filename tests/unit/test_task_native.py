"""What is Tideloop's own about futures and tasks: classes, attributes, wait reasons, names, bare objects."""

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest

import tideloop
from support import turn
from tideloop import Future, Task, _native


async def value(result=None):
    return result


async def park(future):
    return await future


def test_native_objects_are_asyncios_to_isinstance(loop):
    future, task = loop.create_future(), loop.create_task(value())
    assert type(future) is Future and type(task) is Task
    assert isinstance(future, asyncio.Future) and not isinstance(future, asyncio.Task)
    assert isinstance(task, asyncio.Future) and isinstance(task, asyncio.Task)
    assert future.__class__ is asyncio.Future and task.__class__ is asyncio.Task
    assert asyncio.isfuture(future) and asyncio.isfuture(task)
    loop.run_until_complete(task)


def test_an_instance_of_a_derived_class_is_asyncios_and_its_own(loop):
    class Mine(Task):
        tag = "mine"

        def own_tag(self):
            return self.__class__.tag

    task = Mine(value(), loop=loop)
    assert isinstance(task, Mine) and isinstance(task, asyncio.Task) and isinstance(task, asyncio.Future)
    assert task.__class__ == Mine and Mine == task.__class__ and hash(task.__class__) == hash(Mine)
    assert task.__class__ is task.__class__
    assert task.own_tag() == "mine" and task.__class__.__name__ == "Mine" and task.__class__.__mro__[0] is Mine
    assert isinstance(task, task.__class__) and issubclass(task.__class__, asyncio.Task)
    assert repr(task.__class__) == repr(Mine) and "own_tag" in dir(task.__class__)
    task.__class__.tag = "changed"
    assert Mine.tag == "changed"
    del task.__class__.tag
    assert not hasattr(Mine, "tag")
    loop.run_until_complete(task)
    future = task.__class__(value(), loop=loop)
    assert type(future) is Mine
    loop.run_until_complete(future)


def test_a_derived_class_can_be_collected_with_its_stand_in(loop):
    class Mine(Future):
        pass

    assert isinstance(Mine(loop=loop), asyncio.Future)
    gone = weakref.ref(Mine)
    del Mine
    gc.collect()
    assert gone() is None


# -- objects whose __init__ has not run --------------------------------------------------------------------------------

METHODS = [
    "result",
    "exception",
    "cancel",
    "cancelled",
    "done",
    "get_loop",
    "_make_cancelled_error",
    "__await__",
    "__iter__",
    "__repr__",
    "__del__",
]
TASK_METHODS = ["cancelling", "uncancel", "get_coro", "get_context", "get_name", "get_stack", "print_stack"]
ATTRIBUTES = [
    "_state",
    "_asyncio_future_blocking",
    "_loop",
    "_callbacks",
    "_result",
    "_exception",
    "_log_traceback",
    "_source_traceback",
    "_cancel_message",
    "_asyncio_awaited_by",
    "__class__",
    "__dict__",
]
TASK_ATTRIBUTES = ["_coro", "_context", "_fut_waiter", "_must_cancel", "_log_destroy_pending", "_wait_reason"]


@pytest.mark.parametrize("cls", [Future, Task])
def test_bare_objects_have_only_clean_errors(cls, capsys):
    names = METHODS + (TASK_METHODS if cls is Task else [])
    for name in names:
        bare = cls.__new__(cls)
        try:
            getattr(bare, name)()
        except (RuntimeError, asyncio.InvalidStateError, asyncio.CancelledError, AttributeError):
            pass
    for name in ATTRIBUTES + (TASK_ATTRIBUTES if cls is Task else []):
        bare = cls.__new__(cls)
        try:
            getattr(bare, name)
        except RuntimeError as exc:
            assert str(exc) == "Future object is not initialized."
    bare = cls.__new__(cls)
    bare._log_traceback = False
    with pytest.raises(RuntimeError):
        bare._asyncio_future_blocking = True
    with pytest.raises(RuntimeError):
        bare.add_done_callback(print)
    with pytest.raises(RuntimeError):
        bare.remove_done_callback(print)
    with pytest.raises(RuntimeError):
        bare.set_result(1)
    with pytest.raises(RuntimeError):
        bare.set_exception(ValueError())


def test_a_bare_future_cannot_be_awaited(loop):
    bare = Future.__new__(Future)
    with pytest.raises(RuntimeError, match="Future object is not initialized"):
        loop.run_until_complete(park(bare))


def test_a_future_can_be_initialized_again(loop):
    future = loop.create_future()
    future.set_exception(ValueError())
    future.__init__(loop=loop)  # the exception that nobody saw is forgotten, as by asyncio's
    assert not future.done() and future._exception is None
    future.set_result(1)
    assert future.result() == 1


def test_a_task_can_be_initialized_again(loop):
    task = loop.create_task(value(1))
    loop.run_until_complete(task)
    count = _native.task_count()
    task.__init__(value(2), loop=loop)
    assert not task.done()
    assert loop.run_until_complete(task) == 2
    assert _native.task_count() == count


def test_a_task_refuses_what_is_no_coroutine(loop):
    for wrong in (5, value, loop.create_future()):
        with pytest.raises(TypeError, match="a coroutine was expected, got "):
            Task(wrong, loop=loop)
    with pytest.raises(TypeError, match="a coroutine was expected, got 5"):
        loop.create_task(5)


def test_keywords_of_a_task(loop):
    coro = value()
    with pytest.raises(TypeError):
        Task(coro, loop)
    with pytest.raises(TypeError):
        Task(coro, loop=loop, unknown=1)
    with pytest.raises(TypeError):
        loop.create_task(coro, "name")
    with pytest.raises(TypeError):
        loop.create_task()
    with pytest.raises(TypeError, match="unknown"):
        loop.create_task(coro, unknown=1)
    loop.run_until_complete(loop.create_task(coro=coro, name="n", context=None))


def test_keywords_of_the_plain_c_methods(loop):
    future = loop.create_future()
    for wrong in (
        lambda: future.add_done_callback(),
        lambda: future.add_done_callback(print, print),
        lambda: future.add_done_callback(print, context=None, other=1),
        lambda: future.set_result(),
        lambda: future.done(1),
        lambda: loop.call_soon(),
        lambda: loop.call_soon(print, other=1),
        lambda: loop.call_later(1),
        lambda: loop.call_later(1, print, other=1),
        lambda: loop.create_future(1),
    ):
        with pytest.raises(TypeError):
            wrong()
    for wrong_self in (Future.done, Future.add_done_callback, _native.EventLoop.call_soon):
        with pytest.raises(TypeError):
            wrong_self(object(), print)


def test_names_count_up_and_stay(loop):
    tasks = [loop.create_task(value()) for _ in range(3)]
    numbers = [int(task.get_name().removeprefix("Task-")) for task in reversed(tasks)]
    assert numbers == [numbers[0] - i for i in range(3)]
    assert tasks[0].get_name() == f"Task-{numbers[2]}"
    tasks[0].set_name(12)
    assert tasks[0].get_name() == "12"
    assert loop.create_task(value(), name=["a"]).get_name() == "['a']"
    loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop)))


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_wait_reasons(loop):
    class Foreign:
        _asyncio_future_blocking = False

        def __init__(self):
            self.callbacks = []

        def get_loop(self):
            return loop

        def add_done_callback(self, callback, *, context):
            self.callbacks.append((callback, context))

        def result(self):
            return None

        def __await__(self):
            self._asyncio_future_blocking = True
            yield self

    future, foreign = loop.create_future(), Foreign()
    on_future = loop.create_task(park(future))
    assert on_future._wait_reason == "start"
    on_task = loop.create_task(park(on_future))
    on_other = loop.create_task(park(foreign))
    on_turn = loop.create_task(asyncio.sleep(0))
    turn(loop)
    assert [t._wait_reason for t in (on_future, on_task, on_other, on_turn)] == ["future", "task", "other", "turn"]
    assert on_future._fut_waiter is future and on_task._fut_waiter is on_future and on_other._fut_waiter is foreign
    assert on_turn._fut_waiter is None
    ((wakeup, context),) = foreign.callbacks
    assert wakeup.__self__ is on_other and context is on_other.get_context()
    loop.call_soon(wakeup, foreign, context=context)
    future.set_result(None)
    loop.run_until_complete(asyncio.gather(on_task, on_other))


def test_a_parked_task_is_its_futures_callback(loop):
    future = loop.create_future()
    task = loop.create_task(park(future))
    turn(loop)
    ((wakeup, context),) = future._callbacks
    assert wakeup.__self__ is task and context is task.get_context()
    assert wakeup.__qualname__ == "Task.task_wakeup" and "task_wakeup" in repr(future)
    assert wakeup == future._callbacks[0][0] and hash(wakeup) == hash(future._callbacks[0][0])
    assert wakeup != 5
    assert future._asyncio_awaited_by == {task}
    assert future.remove_done_callback(wakeup) == 1
    assert future._callbacks is None and future._asyncio_awaited_by is None
    future.add_done_callback(wakeup, context=context)  # and back again, by hand
    future.set_result(7)
    assert loop.run_until_complete(task) == 7


def test_callbacks_and_waiters_keep_their_order(loop):
    order = []

    async def wait(name):
        await future
        order.append(name)

    future = loop.create_future()
    future.add_done_callback(lambda f: order.append("first"))
    task = loop.create_task(wait("second"))
    turn(loop)
    future.add_done_callback(lambda f: order.append("third"))
    other = loop.create_task(wait("fourth"))
    turn(loop)
    assert len(future._callbacks) == 4
    future.set_result(None)
    assert future._callbacks is None
    loop.run_until_complete(asyncio.gather(task, other))
    assert order == ["first", "second", "third", "fourth"]


def test_removing_callbacks_keeps_the_rest_in_order(loop):
    future, order = loop.create_future(), []

    def one(f):
        order.append(1)

    def two(f):
        order.append(2)

    for callback in (one, two, one, two, two):
        future.add_done_callback(callback)
    assert future.remove_done_callback(two) == 3
    assert future.remove_done_callback(two) == 0
    task = loop.create_task(park(future))
    turn(loop)
    assert future.remove_done_callback(one) == 2
    future.set_result("r")
    assert loop.run_until_complete(task) == "r" and order == []


@pytest.mark.parametrize("result", [None, 0, (), (1, 2), [1], ValueError("a value"), StopIteration(3), StopIteration])
def test_any_object_can_be_awaited_as_a_result(loop, result):
    future = loop.create_future()
    loop.call_soon(future.set_result, result)
    assert loop.run_until_complete(park(future)) is result
    assert loop.run_until_complete(park(loop.create_task(value(result)))) is result


def test_the_iterator_of_a_future(loop):
    future = loop.create_future()
    iterator = iter(future)
    assert iter(iterator) is iterator
    assert next(iterator) is future and future._asyncio_future_blocking is True
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        next(iterator)
    future.set_result(5)
    with pytest.raises(StopIteration) as stop:
        iterator.send("ignored")
    assert stop.value.value == 5
    assert list(iterator) == []
    iterator = future.__await__()
    iterator.close()
    assert list(iterator) == []


def test_throwing_into_the_iterator_of_a_future(loop):
    future = loop.create_future()
    with pytest.raises(ValueError, match="one"):
        iter(future).throw(ValueError("one"))
    with pytest.raises(ValueError):
        iter(future).throw(ValueError)
    with pytest.raises(TypeError, match="exceptions must be classes deriving BaseException"):
        iter(future).throw(5)
    iterator = iter(future)
    with pytest.raises(KeyError):
        iterator.throw(KeyError())
    assert list(iterator) == []


def test_a_generator_drives_a_future_by_yield_from(loop):
    future = loop.create_future()

    def generator():
        return (yield from future)

    driven = generator()
    assert driven.send(None) is future
    future.set_result((1, 2))
    with pytest.raises(StopIteration) as stop:
        driven.send(None)
    assert stop.value.value == (1, 2)


# -- where the loop's own doing and the user's meet --------------------------------------------------------------------


def test_a_task_that_was_finished_by_force_reports_its_next_step(loop, exception_reports):
    coro = value()
    task = loop.create_task(coro)
    Future.set_result(task, 1)
    turn(loop)
    coro.close()
    (record,) = exception_reports
    assert "Exception in callback <" in record.getMessage()
    assert isinstance(record.exc_info[1], asyncio.InvalidStateError) and "already done" in str(record.exc_info[1])


def test_a_task_in_a_context_that_is_entered_is_reported(loop, exception_reports):
    context = contextvars.copy_context()
    task = loop.create_task(value(), context=context)
    context.run(turn, loop)
    (record,) = exception_reports
    assert "Exception in callback <" in record.getMessage()
    assert isinstance(record.exc_info[1], RuntimeError) and "already entered" in str(record.exc_info[1])
    task.get_coro().close()
    Future.cancel(task)  # no step will ever do it


def test_setting_a_result_on_a_closed_loop_complains_only_for_waiters(new_loop):
    loop = new_loop()
    future, watched = loop.create_future(), loop.create_future()
    watched.add_done_callback(print)
    loop.close()
    future.set_result(1)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        watched.set_result(1)
    assert watched.done()


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_what_leaves_the_loop_is_the_tasks_exception_too(loop, signal):
    async def leave():
        raise signal("out")

    task = loop.create_task(leave())
    with pytest.raises(signal, match="out"):
        loop.run_until_complete(task)
    with pytest.raises(signal, match="out"):
        task.result()


def test_cancelling_and_uncancelling(loop):
    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as exc:
            return exc.args

    task = loop.create_task(stubborn())
    turn(loop)
    assert task.cancel("first") and task.cancel("second") and task.cancelling() == 2
    assert task.uncancel() == 1 and task.uncancel() == 0 and task.uncancel() == 0
    assert loop.run_until_complete(task) in (("first",), ("second",))
    assert task.cancel() is False


def test_debug_mode_keeps_where_a_task_was_made(loop):
    loop.set_debug(True)
    future, task = loop.create_future(), loop.create_task(value())
    assert future._source_traceback[-1].filename == __file__ and task._source_traceback[-1].filename == __file__
    assert f"created at {__file__}" in repr(task)
    assert loop.run_until_complete(task) is None
    loop.set_debug(False)
    assert loop.create_future()._source_traceback is None


def test_a_parked_task_is_small(loop):
    assert sys.getsizeof(loop.create_future()) <= 112
    task = loop.create_task(value())
    assert sys.getsizeof(task) <= 176
    loop.run_until_complete(task)


def test_attributes_and_generic_aliases(loop):
    future = loop.create_future()
    assert future.__dict__ == {}
    future.mark = 1
    assert future.__dict__ == {"mark": 1}
    assert Future[int].__origin__ is Future and Task[int].__args__ == (int,)
    assert weakref.ref(future)() is future
    assert tideloop.Future is Future and tideloop.Task is Task


def test_private_attributes_can_only_be_set_as_asyncio_does(loop):
    future = loop.create_future()
    with pytest.raises(ValueError, match="_log_traceback can only be set to False"):
        future._log_traceback = True
    future._cancel_message = "why"
    assert future._cancel_message == "why"
    task = loop.create_task(value())
    task._log_destroy_pending = 0
    assert task._log_destroy_pending is False
    with pytest.raises(AttributeError):
        del task._log_destroy_pending
    for name in ("_state", "_result", "_exception", "_callbacks", "_loop", "_source_traceback", "__class__"):
        with pytest.raises(AttributeError):
            setattr(future, name, None)
    loop.run_until_complete(task)
