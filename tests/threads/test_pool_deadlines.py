"""The time limits of calls that threads wait for: who watches them, and what that one holds meanwhile."""

import os
import threading
import weakref

import pytest
from thread_support import nothing_is_over, program, wait_until

from tideloop import _thread_deadlines
from tideloop.threads import CancelToken, ThreadPool, current_token


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


class Result:
    """Something that a test can see the end of."""


def test_a_callback_that_ends_its_thread_does_not_end_the_watch(pool, caplog):
    begun, told = threading.Event(), []

    def work():
        begun.set()
        told.append(current_token().wait(10))

    def leave(_):
        raise SystemExit

    hasty = pool.with_options(timeout=0.01)
    with nothing_is_over():
        future = hasty.submit(work)
        future.add_done_callback(leave)
        assert begun.wait(10)
    with pytest.raises(TimeoutError):
        future.result(5)
    wait_until(lambda: told)
    assert told == [True]
    with pytest.raises(TimeoutError):
        hasty.submit(work).result(5)
    assert "exception calling callback" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_whose_thread_has_ended_anyway_starts_another(pool, monkeypatch):
    def fail(_):
        raise SystemExit

    hasty = pool.with_options(timeout=0.01)
    stop = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(_thread_deadlines, "_expire", fail)
        hasty.submit(stop.wait, 10)
        wait_until(lambda: not _thread_deadlines._watch._running)
    # It still has to tell how it ended.
    for thread in threading.enumerate():
        if thread.name == "tideloop-deadlines":
            thread.join(10)
    with pytest.raises(TimeoutError):
        hasty.submit(stop.wait, 10).result(5)
    stop.set()


def test_results_of_calls_that_have_ended_are_not_held_until_their_time_is_over(pool):
    stop = threading.Event()
    patient = pool.with_options(timeout=1000)
    held = patient.submit(stop.wait, 10)
    results = weakref.WeakSet()
    for _ in range(500):
        result = patient.submit(Result).result(10)
        results.add(result)
    del result
    wait_until(lambda: len(results) == 0)
    assert len(_thread_deadlines._watch._deadlines) <= 2 * 3 + _thread_deadlines.ENDED_MIN_TO_SWEEP
    stop.set()
    assert held.result(10) is True


def test_a_call_whose_time_is_over_before_it_has_begun_does_not_cancel_a_shared_token():
    with ThreadPool(1) as pool:
        token, release = CancelToken(), threading.Event()
        sibling = pool.with_options(token=token).submit(release.wait, 10)
        with pytest.raises(TimeoutError):
            pool.with_options(token=token, timeout=0.01).submit(int).result(5)
        release.set()
        assert sibling.result(10) is True
        assert not token.cancelled


def test_a_call_whose_time_is_over_while_it_runs_is_told_by_a_shared_token(pool):
    begun, told = threading.Event(), []
    token = CancelToken()
    with nothing_is_over():
        hasty = pool.with_options(token=token, timeout=0.05)
        future = hasty.submit(lambda: (begun.set(), told.append(token.wait(10))))
        assert begun.wait(10)
    with pytest.raises(TimeoutError):
        future.result(5)
    wait_until(lambda: told)
    assert told == [True]


@pytest.mark.parametrize("seconds", [float("inf"), 1e300])
def test_a_limit_that_no_clock_reaches_is_none(pool, seconds):
    endless = pool.with_options(timeout=seconds)
    assert endless.submit(pow, 2, 3).result(10) == 8
    stop = threading.Event()
    held = endless.submit(stop.wait, 10)
    with pytest.raises(TimeoutError):
        pool.with_options(timeout=0.01).submit(stop.wait, 10).result(5)
    stop.set()
    assert held.result(10) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_child_of_a_fork_watches_its_own_calls():
    done = program("""
import os, threading
from tideloop.threads import ThreadPool
from tideloop import _thread_deadlines
pool = ThreadPool(1)
stop = threading.Event()
hasty = pool.with_options(timeout=1000)
future = hasty.submit(stop.wait, 20)
with _thread_deadlines._watch._changed:
    child = os.fork()
if child == 0:
    try:
        pool.with_options(timeout=0.01).submit(threading.Event().wait, 20).result(10)
    except TimeoutError:
        os._exit(7)
    os._exit(1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
print(future.result(10))
""")
    assert (done.returncode, done.stdout) == (0, "7\nTrue\n"), done.stderr
