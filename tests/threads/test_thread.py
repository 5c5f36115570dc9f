"""Threads of their own: whoever joins one, in a thread or in a task, has what it returned or raised."""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from typing import Any

import pytest
from parties import KINDS, Party, wait
from thread_support import program

from tideloop.threads import Thread


def divide(a: int, b: int) -> float:
    return a / b


async def outcome(thread: Thread, timeout: float | None = None) -> Any:
    return await wait(thread.result(timeout))


async def joined(thread: Thread, timeout: float | None = None) -> Any:
    return await wait(thread.join(timeout))


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_waits_has_what_it_returned_and_then_it_has_ended(kind: str) -> None:
    thread = Thread(target=divide, args=(6,), kwargs={"b": 4}, name="dividing", daemon=False)
    assert (thread.name, thread.daemon, thread.ident, thread.is_alive()) == ("dividing", False, None, False)
    thread.start()
    assert Party(kind, outcome, thread).result() == 1.5
    assert not thread.is_alive()
    assert Party(kind, joined, thread).result() is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_raised_is_raised_by_each_who_joins_with_its_traceback(kind: str) -> None:
    thread = Thread(target=divide, args=(1, 0))
    thread.start()
    for body in (joined, outcome, joined):
        with pytest.raises(ZeroDivisionError) as caught:
            Party(kind, body, thread).result()
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names.count("divide") == 1
        assert names[-1] == "divide"


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_ends_the_wait_and_not_the_thread(kind: str) -> None:
    release = threading.Event()
    thread = Thread(target=release.wait, args=(10,))
    thread.start()
    assert Party(kind, joined, thread, 0.01).result() is None
    assert thread.is_alive()
    with pytest.raises(TimeoutError, match="has not ended in time"):
        Party(kind, outcome, thread, 0.01).result()
    release.set()
    assert Party(kind, outcome, thread, 10).result() is True


def test_it_is_a_thread_like_others() -> None:
    seen: list[Any] = []

    def look() -> None:
        me = threading.current_thread()
        seen.append((me, me in threading.enumerate(), threading.get_ident() == me.ident))

    before = threading.active_count()
    thread = Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(thread, True, True)]
    assert threading.active_count() == before
    assert isinstance(thread, threading.Thread)


def test_a_subclass_returns_from_run() -> None:
    class Answer(Thread):
        def run(self) -> int:
            return 42

    thread = Answer()
    thread.start()
    assert thread.result() == 42


def test_misuse_is_what_it_is_with_threads() -> None:
    thread = Thread()
    for wait_for_it in (thread.join, thread.result):
        with pytest.raises(RuntimeError, match="^cannot join thread before it is started$"):
            wait_for_it()
    thread.start()
    with pytest.raises(RuntimeError, match="^threads can only be started once$"):
        thread.start()
    assert thread.result() is None

    def join_itself() -> None:
        threading.current_thread().join()

    itself = Thread(target=join_itself)
    itself.start()
    with pytest.raises(RuntimeError, match="^cannot join current thread$"):
        itself.join()


def test_system_exit_ends_it_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    thread = Thread(target=sys.exit, args=(3,))
    thread.start()
    assert thread.join() is None
    assert capfd.readouterr().err == ""


def test_what_nobody_joins_is_logged_when_the_thread_goes(exception_reports: list[Any]) -> None:
    thread = Thread(target=divide, args=(1, 0), name="forgotten")
    thread.start()
    deadline = time.monotonic() + 10
    while thread.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert exception_reports == []
    del thread
    gc.collect()
    [record] = exception_reports
    assert record.getMessage() == "exception of thread forgotten was never retrieved"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_what_nobody_joins_is_logged_at_exit_and_the_exit_waits_for_the_thread() -> None:
    done = program(
        """
import time
from tideloop.threads import Thread

def fail():
    time.sleep(0.1)
    raise ValueError("late")

thread = Thread(target=fail, name="late one")
thread.start()
Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
    )
    assert done.returncode == 0
    assert done.stderr.startswith("exception of thread late one was never retrieved\nTraceback")
    assert done.stderr.endswith("ValueError: late\n")


def test_the_child_of_a_fork_does_not_wait_for_what_it_does_not_have() -> None:
    done = program(
        """
import os, threading, warnings
from tideloop.threads import Thread

warnings.simplefilter("ignore")
release = threading.Event()
thread = Thread(target=release.wait, args=(20,))
thread.start()
child = os.fork()
if child == 0:
    thread.join(10)
    try:
        thread.result(10)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
release.set()
print(thread.result())
"""
    )
    assert (done.stdout, done.stderr) == ("the thread was left behind in the parent process of a fork\nTrue\n", "")
