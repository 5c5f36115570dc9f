"""The futures of a thread pool: concurrent.futures.Future to everybody, whoever changes them and whenever."""

import asyncio
import concurrent.futures
import gc
import logging
import threading
import time
import weakref

import pytest

from tideloop.threads import Future, ThreadPool


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


def test_it_is_a_future_of_the_standard_library(pool):
    future = pool.submit(int)
    assert isinstance(future, concurrent.futures.Future)
    assert issubclass(type(future), concurrent.futures.Future)
    assert future.result() == 0


def test_no_condition_is_made_unless_somebody_asks(pool, monkeypatch):
    made = []
    pool.submit(int).result()  # starting a thread makes one
    monkeypatch.setattr(threading, "Condition", lambda: made.append(1))
    future = pool.submit(int)
    assert (future.result(), future.exception(), future.done(), future.running(), future.cancelled()) == (
        0,
        None,
        True,
        False,
        False,
    )
    assert made == []


def test_repr_says_the_state_and_the_class_of_the_result():
    future = Future()
    assert "state=pending" in repr(future)
    future.set_running_or_notify_cancel()
    assert "state=running" in repr(future)
    future.set_result("x")
    assert "state=finished returned str>" in repr(future)
    future = Future()
    future.set_exception(KeyError())
    assert "state=finished raised KeyError>" in repr(future)
    future.exception()
    future = Future()
    assert future.cancel()
    assert "state=cancelled" in repr(future)


def test_queued_call_can_be_cancelled_and_running_one_cannot():
    release, begun = threading.Event(), threading.Event()
    with ThreadPool(1) as pool:
        running = pool.submit(lambda: (begun.set(), release.wait(10)))
        assert begun.wait(10)
        queued = pool.submit(int)
        assert queued.cancel() and queued.cancel() and queued.cancelled() and queued.done()
        assert not running.cancel() and running.running()
        with pytest.raises(concurrent.futures.CancelledError):
            queued.result(0)
        release.set()
        assert running.result(10) == (None, True)


def test_who_waits_for_a_cancelled_call_is_told_at_once():
    release = threading.Event()
    with ThreadPool(1) as pool:
        pool.submit(release.wait, 10)
        queued = pool.submit(int)
        waiting = threading.Thread(target=concurrent.futures.wait, args=([queued],))
        waiting.start()
        while not queued._waiters:
            time.sleep(0.001)
        queued.cancel()
        waiting.join(10)
        assert not waiting.is_alive()
        assert concurrent.futures.wait([queued], timeout=0).done == {queued}
        release.set()


def test_a_finished_future_refuses_another_result():
    future = Future()
    future.set_result(1)
    with pytest.raises(concurrent.futures.InvalidStateError, match="FINISHED: <Future"):
        future.set_result(2)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_exception(ValueError())
    assert future.result() == 1


def test_callbacks_are_called_in_order_and_what_they_raise_is_logged(caplog):
    future, order = Future(), []

    def fails(_):
        order.append("fails")
        raise ValueError("callback")

    future.add_done_callback(lambda _: order.append("first"))
    future.add_done_callback(fails)
    future.add_done_callback(lambda f: order.append(f.result()))
    with caplog.at_level(logging.ERROR, logger="concurrent.futures"):
        future.set_result("result")
        future.add_done_callback(lambda _: order.append("late"))
        future.add_done_callback(fails)
    assert order == ["first", "fails", "result", "late", "fails"]
    assert [record.getMessage().partition(" <")[0] for record in caplog.records] == [
        "exception calling callback for"
    ] * 2
    assert caplog.records[0].exc_info[0] is ValueError


def test_a_callback_that_raises_no_exception_does_not_end_the_worker(pool, caplog):
    def ends(_):
        raise SystemExit

    with ThreadPool(1) as one:
        release = threading.Event()
        future = one.submit(release.wait, 10)
        future.add_done_callback(ends)
        release.set()
        assert one.submit(int).result(10) == 0
        assert len(one._threads) == 1
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


def test_result_is_waited_for_by_many_threads_at_once():
    future, results = Future(), []
    waiting = [threading.Thread(target=lambda: results.append(future.result(10))) for _ in range(8)]
    for thread in waiting:
        thread.start()
    future.set_result(5)
    for thread in waiting:
        thread.join()
    assert results == [5] * 8


def test_waiting_past_the_limit_is_a_timeout():
    future = Future()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        future.result(0.02)
    assert time.monotonic() - start >= 0.02
    with pytest.raises(TimeoutError):
        future.exception(timeout=-1)
    future.cancel()


def test_as_completed_gives_each_future_once_while_they_are_finished_elsewhere():
    futures = [Future() for _ in range(200)]

    def finish():
        for number, future in enumerate(futures):
            future.set_result(number)

    thread = threading.Thread(target=finish)
    thread.start()
    found = [future.result() for future in concurrent.futures.as_completed(futures, timeout=10)]
    thread.join()
    assert sorted(found) == list(range(200))


def test_wait_for_the_first_exception(pool):
    release = threading.Event()
    slow, fails = pool.submit(release.wait, 10), pool.submit(divmod, 1, 0)
    done, _ = concurrent.futures.wait([slow, fails], 10, concurrent.futures.FIRST_EXCEPTION)
    release.set()
    assert done == {fails}


def test_wrap_future_takes_it(pool, run):
    async def main():
        assert await asyncio.wrap_future(pool.submit(pow, 2, 5)) == 32
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(pool.submit(divmod, 1, 0))

    run(main())


def test_an_exception_that_nobody_looks_at_is_reported_once_at_the_futures_end(pool, exception_reports):
    future = pool.submit(divmod, 1, 0)
    while not future.done():
        time.sleep(0.001)
    assert exception_reports == []
    del future
    gc.collect()
    (record,) = exception_reports
    assert record.name == "tideloop"
    assert "exception of a thread pool's job was never retrieved: <Future" in record.getMessage()
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(
    "look", [Future.exception, lambda f: f.result() if f.exception() is None else None, lambda f: f._exception]
)
def test_an_exception_that_somebody_has_looked_at_is_not_reported(pool, look):
    future = pool.submit(divmod, 1, 0)
    while not future.done():
        time.sleep(0.001)
    look(future)
    del future
    gc.collect()


def test_ten_thousand_cycles_through_futures_are_collected():
    class Link:
        pass

    dead = []
    for _ in range(10_000):
        link = Link()
        link.future = Future()
        link.future.set_result(link)
        weakref.finalize(link, dead.append, 1)
    del link
    gc.collect()
    assert len(dead) == 10_000


def test_a_call_and_what_it_was_given_are_let_go_before_its_end_is_told(pool):
    class Argument:
        def method(self):
            return threading.current_thread().name

    argument = Argument()
    gone = threading.Event()
    weakref.finalize(argument, gone.set)
    future = pool.submit(argument.method)
    del argument
    future.result(10)
    assert gone.is_set()


@pytest.mark.parametrize("threshold", [1, 2, 3, 5, 8])
def test_futures_are_made_soundly_while_the_collector_runs_all_the_time(pool, threshold):
    before = gc.get_threshold()
    gc.set_threshold(threshold)
    try:
        assert [pool.submit(lambda n=n: [n]).result(10) for n in range(50)] == [[n] for n in range(50)]
    finally:
        gc.set_threshold(*before)


def test_who_waits_goes_on_before_the_callbacks_have_run(pool):
    going, waited_for = threading.Event(), threading.Event()
    future = pool.submit(going.wait, 10)
    future.add_done_callback(lambda _: waited_for.wait(10))
    begun = time.monotonic()
    going.set()
    assert future.result(5) is True
    waited_for.set()
    assert time.monotonic() - begun < 4
