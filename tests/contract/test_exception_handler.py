"""Exception handlers: who is called, with what, and what happens when they raise."""

import asyncio
import logging

import pytest

from support import reports, turn


def fail():
    raise ZeroDivisionError("on purpose")


def test_no_handler_is_set_at_first(loop):
    assert loop.get_exception_handler() is None


def test_handler_gets_the_loop_and_the_context(loop):
    seen = []
    handler = lambda *args: seen.append(args)
    loop.set_exception_handler(handler)
    assert loop.get_exception_handler() is handler
    loop.call_exception_handler({"message": "hello", "mine": 1})
    assert seen == [(loop, {"message": "hello", "mine": 1})]
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


def test_handler_that_is_not_callable_is_a_type_error(loop):
    with pytest.raises(TypeError, match="A callable object or None is expected, got 'nonsense'"):
        loop.set_exception_handler("nonsense")


def test_context_of_a_failed_callback(loop):
    with reports(loop) as seen:
        handle = loop.call_soon(fail)
        turn(loop)
    (context,) = seen
    assert set(context) == {"message", "exception", "handle"}
    assert context["message"].startswith("Exception in callback fail()")
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["handle"] is handle
    handle.cancel()
    seen.clear()
    context.clear()


def test_context_of_a_failed_callback_in_debug_mode_tells_where_it_was_made(loop):
    loop.set_debug(True)
    with reports(loop) as seen:
        handle = loop.call_soon(fail)
        turn(loop)
    assert (
        seen[0]["source_traceback"][-1].name
        == "test_context_of_a_failed_callback_in_debug_mode_tells_where_it_was_made"
    )
    handle.cancel()
    seen.clear()


def test_traceback_of_a_failed_callback_ends_in_the_callback(loop):
    import traceback

    with reports(loop) as seen:
        loop.call_soon(fail)
        turn(loop)
    frames = traceback.extract_tb(seen[0]["exception"].__traceback__)
    assert frames[-1].name == "fail"
    seen.clear()


def test_default_handler_logs_message_and_traceback(loop, caplog, exception_reports):
    loop.call_soon(fail)
    turn(loop)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.name == "asyncio"
    assert record.message.startswith("Exception in callback fail()")
    assert record.exc_info[0] is ZeroDivisionError


def test_default_handler_can_be_called_and_sorts_the_keys(loop, caplog, exception_reports):
    loop.default_exception_handler({"message": "told", "b": 2, "a": 1})
    assert caplog.records[0].message.splitlines() == ["told", "a: 1", "b: 2"]
    loop.default_exception_handler({})
    assert caplog.records[1].message == "Unhandled exception in event loop"


def test_default_handler_formats_source_tracebacks(loop, caplog, exception_reports):
    import traceback

    loop.default_exception_handler({"message": "told", "source_traceback": traceback.extract_stack()})
    assert "Object created at (most recent call last):" in caplog.text
    assert "test_default_handler_formats_source_tracebacks" in caplog.text


def test_subclass_may_override_the_default_handler(loop):
    seen = []
    loop.default_exception_handler = seen.append
    loop.call_exception_handler({"message": "x"})
    assert seen == [{"message": "x"}]


def test_handler_that_raises_is_logged_and_the_loop_goes_on(loop, caplog, exception_reports):
    def handler(_loop, _context):
        raise LookupError("handler")

    ran = []
    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    loop.call_soon(ran.append, 1)
    turn(loop)
    assert ran == [1]
    assert "Unhandled error in exception handler" in caplog.text
    assert "LookupError: handler" in caplog.text
    loop.set_exception_handler(None)


def test_default_handler_that_raises_is_logged(loop, caplog, exception_reports):
    def broken(_context):
        raise LookupError("default")

    loop.default_exception_handler = broken
    loop.call_exception_handler({"message": "x"})
    assert "Exception in default exception handler" in caplog.text


def test_default_handler_that_raises_while_the_handler_raised_is_logged(loop, caplog, exception_reports):
    def broken(_context):
        raise LookupError("default")

    def handler(_loop, _context):
        raise LookupError("handler")

    loop.default_exception_handler = broken
    loop.set_exception_handler(handler)
    loop.call_exception_handler({"message": "x"})
    assert "Exception in default exception handler while handling an unexpected error in custom exception handler" in (
        caplog.text
    )
    loop.set_exception_handler(None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_the_handler_leaves_the_loop(loop, error):
    def handler(_loop, _context):
        raise error

    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    with pytest.raises(error):
        loop.run_forever()
    loop.set_exception_handler(None)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupt_in_a_callback_is_not_given_to_the_handler(loop, error):
    def interrupt():
        raise error

    with reports(loop) as seen:
        loop.call_soon(interrupt)
        with pytest.raises(error):
            loop.run_forever()
    assert not seen


def test_base_exception_of_ones_own_is_given_to_the_handler(loop):
    class Mine(BaseException):
        pass

    def raises():
        raise Mine

    with reports(loop) as seen:
        loop.call_soon(raises)
        turn(loop)
    assert isinstance(seen[0]["exception"], Mine)
    seen.clear()


def test_cancelled_error_in_a_callback_is_given_to_the_handler(loop):
    def raises():
        raise asyncio.CancelledError

    with reports(loop) as seen:
        loop.call_soon(raises)
        turn(loop)
    assert isinstance(seen[0]["exception"], asyncio.CancelledError)
    seen.clear()


def test_handler_may_replace_itself(loop):
    seen = []

    def second(_loop, context):
        seen.append("second")

    def first(loop_, context):
        seen.append("first")
        loop_.set_exception_handler(second)

    loop.set_exception_handler(first)
    loop.call_soon(fail)
    loop.call_soon(fail)
    turn(loop)
    assert seen == ["first", "second"]
    loop.set_exception_handler(None)


def test_handler_may_stop_the_loop(loop):
    loop.set_exception_handler(lambda loop_, _context: loop_.stop())
    loop.call_soon(fail)
    loop.run_forever()
    loop.set_exception_handler(None)
