"""Futures: states, results, callbacks and awaiting."""

import asyncio
import concurrent.futures
import contextvars
import copy
import gc
import pickle
import weakref

import pytest

from support import future_class, reports, turn


@pytest.fixture
def future(loop):
    """A pending future of the loop, cancelled after the test if it is pending still."""
    future = loop.create_future()
    yield future
    future.cancel()
    turn(loop)


def test_future_of_the_loop_is_asyncios_to_isinstance(loop, future):
    assert isinstance(future, asyncio.Future)
    assert not isinstance(future, asyncio.Task)
    assert asyncio.isfuture(future)
    assert future._asyncio_future_blocking is False
    assert future.get_loop() is loop


def test_fresh_future_is_pending(future):
    assert not future.done()
    assert not future.cancelled()
    assert future._state == "PENDING"
    assert future._callbacks is None or future._callbacks == []
    assert future._exception is None
    assert future._result is None
    assert future._cancel_message is None
    assert future._log_traceback is False
    assert future._source_traceback is None


def test_result_and_exception_of_a_pending_future_are_invalid_states(future):
    with pytest.raises(asyncio.InvalidStateError, match="^Result is not set.$"):
        future.result()
    with pytest.raises(asyncio.InvalidStateError, match="^Exception is not set.$"):
        future.exception()


def test_result_is_kept(future):
    value = object()
    assert future.set_result(value) is None
    assert future.done()
    assert not future.cancelled()
    assert future._state == "FINISHED"
    assert future.result() is value
    assert future.result() is value
    assert future.exception() is None


def test_exception_is_kept_and_raised(future):
    error = ValueError("mine")
    assert future.set_exception(error) is None
    assert future.done()
    assert not future.cancelled()
    assert future.exception() is error
    with pytest.raises(ValueError, match="mine") as caught:
        future.result()
    assert caught.value is error


def test_exception_class_is_instantiated(future):
    future.set_exception(LookupError)
    assert type(future.exception()) is LookupError


@pytest.mark.parametrize("value", ["text", 1, None, object, int])
def test_exception_that_is_none_is_a_type_error(future, value):
    with pytest.raises(TypeError):
        future.set_exception(value)


def test_stop_iteration_cannot_be_set(future):
    try:
        future.set_exception(StopIteration(1))
    except TypeError as exc:
        assert "StopIteration interacts badly with generators and cannot be raised into a Future" in str(exc)
        assert not future.done()
    else:
        # Since 3.12 it is wrapped instead.
        with pytest.raises(RuntimeError, match="StopIteration interacts badly") as caught:
            future.result()
        assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize("finish", ["result", "exception", "cancel"])
def test_finished_future_refuses_to_finish_again(future, finish):
    if finish == "result":
        future.set_result(1)
    elif finish == "exception":
        future.set_exception(ValueError())
        future.exception()
    else:
        future.cancel()
    with pytest.raises(asyncio.InvalidStateError):
        future.set_result(2)
    with pytest.raises(asyncio.InvalidStateError):
        future.set_exception(ValueError())
    assert future.cancel() is False


def test_invalid_state_error_shows_the_future(future):
    future.set_result(1)
    with pytest.raises(asyncio.InvalidStateError, match="FINISHED|invalid state"):
        future.set_result(2)


def test_cancelled_future_raises_cancelled_error(future):
    assert future.cancel() is True
    assert future.done()
    assert future.cancelled()
    assert future._state == "CANCELLED"
    with pytest.raises(asyncio.CancelledError):
        future.result()
    with pytest.raises(asyncio.CancelledError):
        future.exception()
    assert future.cancel() is False


@pytest.mark.parametrize("message", [None, "a reason", 42])
def test_cancel_message_is_the_argument_of_the_cancelled_error(future, message):
    future.cancel(msg=message)
    assert future._cancel_message == message
    with pytest.raises(asyncio.CancelledError) as caught:
        future.result()
    assert caught.value.args == (() if message is None else (message,))


def test_make_cancelled_error_gives_the_same_message(future):
    future.cancel("why")
    error = future._make_cancelled_error()
    assert isinstance(error, asyncio.CancelledError)
    assert error.args == ("why",)


def test_cancel_message_can_be_set(future):
    future.cancel()
    future._cancel_message = "later"
    with pytest.raises(asyncio.CancelledError, match="later"):
        future.result()


def test_callbacks_run_in_the_order_of_adding_in_the_next_turn(loop, future):
    ran = []
    for number in range(5):
        future.add_done_callback(lambda _f, number=number: ran.append(number))
    future.set_result(None)
    assert ran == []
    turn(loop)
    assert ran == [0, 1, 2, 3, 4]


def test_callback_gets_the_future(loop, future):
    seen = []
    future.add_done_callback(seen.append)
    future.set_result(None)
    turn(loop)
    assert seen == [future]


def test_callback_added_to_a_finished_future_runs_in_the_next_turn(loop, future):
    seen = []
    future.set_result(None)
    future.add_done_callback(seen.append)
    assert seen == []
    turn(loop)
    assert seen == [future]


def test_callbacks_of_a_cancelled_future_run(loop, future):
    seen = []
    future.add_done_callback(seen.append)
    future.cancel()
    turn(loop)
    assert seen == [future]


def test_removing_callbacks_counts_them(loop, future):
    seen = []
    other = seen.append
    assert future.remove_done_callback(other) == 0
    for _ in range(3):
        future.add_done_callback(other)
    future.add_done_callback(lambda _f: seen.append("kept"))
    assert future.remove_done_callback(other) == 3
    assert future.remove_done_callback(other) == 0
    future.set_result(None)
    turn(loop)
    assert seen == ["kept"]


def test_callbacks_are_removed_by_equality(future):
    class Equal:
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

        def __call__(self, future):
            raise AssertionError("removed")

    future.add_done_callback(Equal())
    future.add_done_callback(Equal())
    assert future.remove_done_callback("anything") == 2


def test_callback_whose_comparison_raises_says_so(future):
    class Bad:
        def __eq__(self, other):
            raise LookupError("compared")

        __hash__ = None

        def __call__(self, future):
            pass

    future.add_done_callback(Bad())
    future.add_done_callback(print)
    with pytest.raises(LookupError, match="compared"):
        future.remove_done_callback(Bad())
    future._callbacks


def test_callback_may_remove_others_while_comparing(future):
    class Removes:
        def __eq__(self, other):
            if other is str:
                future.remove_done_callback(print)
            return False

        __hash__ = None

        def __call__(self, future):
            pass

    removes = Removes()
    for _ in range(3):
        future.add_done_callback(print)
        future.add_done_callback(removes)
    future.remove_done_callback(str)
    assert print not in [callback for callback, _context in future._callbacks or ()]


def test_callbacks_are_listed_with_their_contexts(future):
    context = contextvars.copy_context()
    future.add_done_callback(print, context=context)
    assert future._callbacks == [(print, context)]
    future.remove_done_callback(print)


def test_context_of_a_callback_is_by_keyword_only(future):
    with pytest.raises(TypeError):
        future.add_done_callback(print, contextvars.copy_context())


def test_awaiting_gives_the_result(loop, future):
    async def main():
        return await future

    loop.call_soon(future.set_result, "value")
    assert loop.run_until_complete(main()) == "value"


@pytest.mark.parametrize("value", [None, (1, 2), (), StopIteration, StopIteration(3), ValueError("x"), {"a": 1}])
def test_awaiting_gives_any_value_as_it_is(loop, future, value):
    async def main():
        return await future

    loop.call_soon(future.set_result, value)
    assert loop.run_until_complete(main()) is value


@pytest.mark.parametrize("value", [None, (1, 2), StopIteration(3), ValueError("x")])
def test_awaiting_a_finished_future_does_not_suspend(loop, future, value):
    async def main():
        soon = []
        loop.call_soon(soon.append, 1)
        result = await future
        assert not soon
        await asyncio.sleep(0)
        return result

    future.set_result(value)
    assert loop.run_until_complete(main()) is value


def test_awaiting_raises_the_exception(loop, future):
    async def main():
        with pytest.raises(ValueError, match="mine"):
            await future

    loop.call_soon(future.set_exception, ValueError("mine"))
    loop.run_until_complete(main())


def test_iterator_of_a_future_follows_the_generator_protocol(loop, future):
    for make in (future.__iter__, future.__await__):
        iterator = make()
        assert iter(iterator) is iterator
        assert next(iterator) is future
        assert future._asyncio_future_blocking is True
        future._asyncio_future_blocking = False
        iterator.close()
    iterator = iter(future)
    assert iterator.send(None) is future
    future._asyncio_future_blocking = False
    future.set_result("value")
    with pytest.raises(StopIteration) as caught:
        iterator.send("ignored")
    assert caught.value.value == "value"


def test_iterator_of_a_pending_future_resumed_too_early_is_a_runtime_error(future):
    iterator = iter(future)
    next(iterator)
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        next(iterator)
    future._asyncio_future_blocking = False


def test_throwing_into_the_iterator_raises_it(future):
    iterator = iter(future)
    next(iterator)
    with pytest.raises(LookupError, match="thrown"):
        iterator.throw(LookupError("thrown"))
    future._asyncio_future_blocking = False
    assert not future.done()


def test_yield_from_a_future_works_in_an_old_style_coroutine(loop, future):
    import types

    @types.coroutine
    def old():
        return (yield from future)

    async def main():
        return await old()

    loop.call_soon(future.set_result, "old")
    assert loop.run_until_complete(main()) == "old"


def test_future_is_generic(loop):
    cls = type(loop.create_future())
    assert cls[int].__origin__ is cls
    assert cls[int].__args__ == (int,)


def test_future_holds_attributes_and_weak_references(future):
    future.mine = "attribute"
    assert future.mine == "attribute"
    del future.mine
    with pytest.raises(AttributeError):
        future.mine
    assert weakref.ref(future)() is future


def test_weak_reference_dies_with_its_future(loop):
    died = []
    future = loop.create_future()
    weakref.finalize(future, died.append, True)
    future.mine = future
    del future
    gc.collect()
    assert died == [True]


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps])
def test_future_cannot_be_copied_or_pickled(future, copier):
    with pytest.raises(TypeError):
        copier(future)


def test_future_can_be_hashed_and_compared_by_identity(loop, future):
    other = loop.create_future()
    assert future == future
    assert future != other
    assert len({future, other}) == 2


def test_repr_shows_state_and_callbacks(loop, future):
    assert repr(future) == "<Future pending>"
    future.add_done_callback(print)
    assert repr(future).startswith("<Future pending cb=[")
    assert "print()" in repr(future)
    future.remove_done_callback(print)
    future.set_result("x" * 1000)
    assert repr(future).startswith("<Future finished result='xxx")
    assert len(repr(future)) < 200


def test_repr_shows_exceptions_and_cancellation(loop):
    failed, cancelled = loop.create_future(), loop.create_future()
    failed.set_exception(ValueError("x"))
    cancelled.cancel()
    assert repr(failed) == "<Future finished exception=ValueError('x')>"
    assert repr(cancelled) == "<Future cancelled>"
    assert failed.exception()


def test_repr_of_many_callbacks_is_short(future):
    for _ in range(10):
        future.add_done_callback(print)
    assert "<8 more>" in repr(future)
    future.remove_done_callback(print)


def test_future_can_be_subclassed(loop, loop_kind):
    class Mine(future_class(loop_kind)):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.results = 0

        def result(self):
            self.results += 1
            return super().result()

    future = Mine(loop=loop)
    assert isinstance(future, asyncio.Future)
    loop.call_soon(future.set_result, "mine")

    async def main():
        return await future

    assert loop.run_until_complete(main()) == "mine"
    assert repr(Mine(loop=loop)) == "<Mine pending>"


def test_future_without_a_loop_takes_the_running_one(loop, loop_kind):
    async def main():
        return future_class(loop_kind)().get_loop()

    assert loop.run_until_complete(main()) is loop


def test_future_class_refuses_a_positional_loop(loop, loop_kind):
    with pytest.raises(TypeError):
        future_class(loop_kind)(loop)


def test_wrap_future_gives_the_result_of_a_concurrent_future(loop):
    async def main():
        inner = concurrent.futures.Future()
        outer = asyncio.wrap_future(inner)
        assert asyncio.wrap_future(outer) is outer
        inner.set_result("from a thread")
        return await outer

    assert loop.run_until_complete(main()) == "from a thread"


def test_ensure_future_returns_a_future_as_it_is(loop, future):
    assert asyncio.ensure_future(future, loop=loop) is future


def test_exception_in_a_callback_reaches_the_exception_handler(loop, future):
    ran = []
    future.add_done_callback(lambda _f: 1 / 0)
    future.add_done_callback(ran.append)
    future.set_result(None)
    with reports(loop) as seen:
        turn(loop)
    assert isinstance(seen[0]["exception"], ZeroDivisionError)
    assert ran == [future]
    seen.clear()
