"""Handles: what call_soon and call_later give back."""

import asyncio
import contextvars
import functools
import gc
import sys
import weakref

import pytest

from support import turn


def noop(*args):
    pass


@pytest.fixture
def timer(loop):
    """A timer that is far from due, cancelled after the test."""
    handle = loop.call_later(3600, noop)
    yield handle
    handle.cancel()


def make(loop, method):
    if method == "call_later":
        return loop.call_later(3600, noop)
    if method == "call_later(0)":
        return loop.call_later(0, noop)
    if method == "call_at":
        return loop.call_at(loop.time() + 3600, noop)
    return getattr(loop, method)(noop)


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_later(0)", "call_at"])
def test_handle_is_asyncios_to_isinstance(loop, method):
    handle = make(loop, method)
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, asyncio.TimerHandle) == ("call_" in method and "soon" not in method)
    assert handle.cancelled() is False
    assert handle.cancel() is None
    assert handle.cancelled() is True
    turn(loop)


def test_handle_gives_its_context(loop, loop_kind):
    if loop_kind == "asyncio" and sys.version_info < (3, 12):
        pytest.skip("asyncio's handles have get_context since 3.12; ours on every version")
    context = contextvars.copy_context()
    assert loop.call_soon(noop, context=context).get_context() is context
    assert loop.call_soon_threadsafe(noop, context=context).get_context() is context
    timer = loop.call_later(0, noop, context=context)
    assert timer.get_context() is context
    assert isinstance(loop.call_soon(noop).get_context(), contextvars.Context)
    turn(loop, 2)


def test_timer_handle_tells_when(loop):
    before = loop.time()
    handle = loop.call_later(10, noop)
    after = loop.time()
    assert isinstance(handle.when(), float)
    assert before + 10 <= handle.when() <= after + 10
    handle.cancel()
    assert before + 10 <= handle.when() <= after + 10


def test_plain_handle_has_no_when(loop):
    assert not hasattr(loop.call_soon(noop), "when")
    turn(loop)


def test_repr_names_the_callback(loop, timer):
    loop.set_debug(True)  # without it, recent versions leave the arguments out: they may be secret
    handle = loop.call_soon(noop, 1, "two")
    assert repr(handle).startswith("<Handle ")
    assert "noop(1, 'two')" in repr(handle)
    assert "test_handles.py" in repr(handle)
    assert repr(timer).startswith(f"<TimerHandle when={timer.when()}")
    assert "noop()" in repr(timer)
    turn(loop)


def test_repr_of_a_cancelled_handle_says_so(loop, timer):
    handle = loop.call_soon(noop)
    handle.cancel()
    timer.cancel()
    assert repr(handle) == "<Handle cancelled>"
    assert repr(timer).startswith("<TimerHandle cancelled when=")
    turn(loop)


def test_repr_in_debug_mode_tells_where_the_handle_was_made(loop):
    loop.set_debug(True)
    handle = loop.call_soon(noop)
    timer = loop.call_later(3600, noop)
    assert "created at" in repr(handle)
    assert "test_handles.py" in repr(handle).split("created at")[1]
    assert "created at" in repr(timer)
    timer.cancel()
    handle.cancel()
    assert "cancelled" in repr(handle)
    assert "noop" in repr(handle), "in debug mode a cancelled handle still tells what it was"
    turn(loop)


def test_repr_of_a_partial_shows_function_and_arguments(loop):
    loop.set_debug(True)
    handle = loop.call_soon(functools.partial(print, 1, end=""), 2)
    assert "print(1, end='')(2)" in repr(handle)
    handle.cancel()
    turn(loop)


def test_repr_shows_a_bound_method(loop):
    class Thing:
        def method(self):
            pass

    handle = loop.call_soon(Thing().method)
    assert "Thing.method" in repr(handle)
    turn(loop)


def test_handle_can_be_hashed_compared_and_weakly_referenced(loop):
    one, two = loop.call_soon(noop), loop.call_soon(noop)
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2
    assert weakref.ref(one)() is one
    turn(loop)


def test_timer_handles_are_ordered_by_their_time(loop):
    now = loop.time() + 3600
    early, late = loop.call_at(now, noop), loop.call_at(now + 1, noop)
    same = loop.call_at(now, noop)
    assert early < late
    assert late > early
    assert early <= late
    assert late >= early
    assert early <= same
    assert early >= same
    assert not early < same
    assert sorted([late, early])[0] is early
    for handle in (early, late, same):
        handle.cancel()


def test_timer_handles_are_equal_when_time_and_callback_and_arguments_are(loop):
    now = loop.time() + 3600
    one = loop.call_at(now, noop, 1)
    two = loop.call_at(now, noop, 1)
    three = loop.call_at(now, noop, 2)
    assert one == two
    assert one != three
    assert hash(one) == hash(two)
    assert one != "something else"
    assert one.__lt__("something else") is NotImplemented
    assert one.__eq__("something else") is NotImplemented
    for handle in (one, two, three):
        handle.cancel()


def test_cancelled_handle_lets_go_of_callback_and_arguments(loop):
    class Argument:
        pass

    argument = Argument()
    seen = weakref.ref(argument)
    handle = loop.call_soon(noop, argument)
    del argument
    handle.cancel()
    gc.collect()
    assert seen() is None
    turn(loop)


def test_handle_that_ran_is_not_cancelled(loop):
    handle = loop.call_soon(noop)
    turn(loop)
    assert not handle.cancelled()


def test_handle_survives_its_loop(make_loop):
    loop = make_loop()
    handle = loop.call_soon(noop)
    timer = loop.call_later(10, noop)
    loop.close()
    assert "Handle" in repr(handle)
    handle.cancel()
    timer.cancel()
    assert handle.cancelled()
    assert timer.cancelled()


def test_handles_of_stock_asyncio_and_of_the_loop_can_be_told_by_isinstance_only(loop):
    foreign = asyncio.Handle(noop, (), loop)
    ours = loop.call_soon(noop)
    assert isinstance(foreign, asyncio.Handle)
    assert isinstance(ours, asyncio.Handle)
    assert not isinstance(ours, asyncio.TimerHandle)
    foreign.cancel()
    turn(loop)
