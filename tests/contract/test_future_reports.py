"""What is reported when nobody looks: exceptions never retrieved, tasks destroyed while pending."""

import asyncio
import gc
import traceback

import pytest

from support import reports, turn


def test_exception_never_retrieved_is_reported_once(loop):
    error = ValueError("nobody looked")
    with reports(loop) as seen:
        future = loop.create_future()
        future.set_exception(error)
        assert future._log_traceback is True
        del future
        gc.collect()
    assert len(seen) == 1
    assert seen[0]["message"] == "Future exception was never retrieved"
    assert seen[0]["exception"] is error
    assert isinstance(seen[0]["future"], asyncio.Future)
    assert "source_traceback" not in seen[0]
    seen.clear()
    gc.collect()


@pytest.mark.parametrize("look", ["exception", "result", "await", "flag"])
def test_exception_that_was_retrieved_is_not_reported(loop, look):
    async def awaits(future):
        with pytest.raises(ValueError, match="seen"):
            await future

    with reports(loop) as seen:
        future = loop.create_future()
        future.set_exception(ValueError("seen"))
        if look == "exception":
            future.exception()
        elif look == "result":
            with pytest.raises(ValueError, match="seen"):
                future.result()
        elif look == "await":
            loop.run_until_complete(awaits(future))
        else:
            future._log_traceback = False
        del future
        gc.collect()
    assert not seen


def test_log_flag_can_only_be_cleared(loop):
    future = loop.create_future()
    with pytest.raises(ValueError, match="_log_traceback can only be set to False"):
        future._log_traceback = True


def test_cancelled_and_finished_futures_are_not_reported(loop):
    with reports(loop) as seen:
        one, two, three = loop.create_future(), loop.create_future(), loop.create_future()
        one.cancel()
        two.set_result(1)
        del one, two, three
        gc.collect()
    assert not seen


def test_task_exception_never_retrieved_is_reported(loop):
    async def fails():
        raise LookupError("lost")

    with reports(loop) as seen:
        task = loop.create_task(fails())
        turn(loop, 2)
        del task
        gc.collect()
    assert [context["message"] for context in seen] == ["Task exception was never retrieved"]
    assert isinstance(seen[0]["exception"], LookupError)
    assert isinstance(seen[0]["future"], asyncio.Task)
    seen.clear()
    gc.collect()


def test_report_carries_the_traceback_of_the_coroutine(loop):
    async def fails_here():
        raise LookupError("lost")

    with reports(loop) as seen:
        loop.create_task(fails_here())
        turn(loop, 2)
        gc.collect()
    assert "fails_here" in "".join(traceback.format_exception(seen[0]["exception"]))
    seen.clear()
    gc.collect()


def test_pending_task_destroyed_is_reported(loop):
    async def waits():
        await loop.create_future()

    with reports(loop) as seen:
        task = loop.create_task(waits(), name="forgotten")
        turn(loop, 2)
        task._log_destroy_pending
        del task
        gc.collect()
    assert [context["message"] for context in seen] == ["Task was destroyed but it is pending!"]
    assert seen[0]["task"].get_name() == "forgotten"
    assert "exception" not in seen[0]
    seen.clear()
    gc.collect()


def test_pending_task_with_the_flag_cleared_is_not_reported(loop):
    async def waits():
        await loop.create_future()

    with reports(loop) as seen:
        task = loop.create_task(waits())
        turn(loop, 2)
        assert task._log_destroy_pending is True
        task._log_destroy_pending = False
        del task
        gc.collect()
    assert not seen


def test_reported_future_may_be_kept_by_the_handler(loop):
    kept = []
    loop.set_exception_handler(lambda _loop, context: kept.append(context["future"]))
    future = loop.create_future()
    future.set_exception(ValueError("resurrected"))
    del future
    gc.collect()
    assert kept[0].done()
    assert isinstance(kept[0].exception(), ValueError)
    assert "ValueError" in repr(kept[0])
    kept.clear()
    gc.collect()
    loop.set_exception_handler(None)


def test_reported_task_may_be_kept_by_the_handler(loop):
    kept = []

    async def waits():
        await loop.create_future()

    loop.set_exception_handler(lambda _loop, context: kept.append(context["task"]))
    loop.create_task(waits(), name="kept")
    turn(loop, 2)
    gc.collect()
    assert len(kept) == 1
    assert kept[0].get_name() == "kept"
    assert "kept" in repr(kept[0])
    loop.set_exception_handler(None)
    kept[0]._log_destroy_pending = False
    kept.clear()
    gc.collect()


def test_default_handler_logs_the_report(loop, caplog, exception_reports):
    future = loop.create_future()
    future.set_exception(ValueError("logged"))
    del future
    gc.collect()
    assert "Future exception was never retrieved" in caplog.text
    assert "ValueError: logged" in caplog.text


def test_debug_mode_adds_where_the_future_was_made(loop):
    loop.set_debug(True)
    with reports(loop) as seen:
        future = loop.create_future()
        assert isinstance(future._source_traceback, traceback.StackSummary)
        future.set_exception(ValueError("where"))
        del future
        gc.collect()
    assert any(frame.filename.endswith("test_future_reports.py") for frame in seen[0]["source_traceback"])
    seen.clear()
    gc.collect()


def test_debug_mode_adds_where_the_task_was_made(loop):
    loop.set_debug(True)

    async def fails():
        raise LookupError("where")

    def makes_it():
        return loop.create_task(fails())

    with reports(loop) as seen:
        task = makes_it()
        assert any(frame.name == "makes_it" for frame in task._source_traceback)
        turn(loop, 2)
        del task
        gc.collect()
    assert any(frame.name == "makes_it" for frame in seen[0]["source_traceback"])
    seen.clear()
    gc.collect()


def test_coroutine_never_awaited_warns(loop):
    async def forgotten():
        pass

    async def main():
        forgotten()

    with pytest.warns(RuntimeWarning, match="coroutine '.*forgotten' was never awaited"):
        loop.run_until_complete(main())


def test_finalizer_of_a_future_on_a_closed_loop_still_reports(make_loop):
    loop = make_loop()
    with reports(loop) as seen:
        future = loop.create_future()
        future.set_exception(ValueError("late"))
        loop.close()
        del future
        gc.collect()
    assert [context["message"] for context in seen] == ["Future exception was never retrieved"]
    seen.clear()
    gc.collect()


def test_handler_that_raises_during_a_report_is_logged_and_harmless(loop, exception_reports):
    def handler(_loop, _context):
        raise RuntimeError("handler fails")

    loop.set_exception_handler(handler)
    future = loop.create_future()
    future.set_exception(ValueError("lost"))
    del future
    gc.collect()
    assert "Unhandled error in exception handler" in exception_reports[0].getMessage()
    loop.set_exception_handler(None)
