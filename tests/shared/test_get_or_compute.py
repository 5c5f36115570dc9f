"""ConcurrentDict.get_or_compute(): once per key, whoever asks; errors reach all; no circle of waits."""

import sys
import threading
import time

import pytest

from shared.threads import WAIT_S_MAX, in_threads
from tideloop.sync import AtomicInt, ConcurrentDict


def begin_and_wait_for_others(count):
    """A function that takes its time until `count` threads are there."""
    calls, others = AtomicInt(), threading.Semaphore(0)

    def function(key):
        calls.add()
        for _ in range(count):
            assert others.acquire(timeout=WAIT_S_MAX)
        return [key]

    return function, calls, others


def test_a_value_is_computed_once_while_many_ask_for_it():
    ours = ConcurrentDict()
    function, calls, others = begin_and_wait_for_others(8)

    def ask(_):
        others.release()
        return ours.get_or_compute("key", function)

    got = in_threads(8, ask)
    assert (calls.load(), got[0]) == (1, ["key"])
    assert all(value is got[0] for value in got)
    assert ours == {"key": ["key"]}


def test_many_threads_and_many_keys_compute_each_once():
    ours, calls = ConcurrentDict(), ConcurrentDict()

    def function(key):
        calls.get_or_insert(key, AtomicInt()).add()
        return key * key

    got = in_threads(8, lambda _: [ours.get_or_compute(key, function) for key in range(3_000)])
    assert all(mine == [key * key for key in range(3_000)] for mine in got)
    assert {count.load() for count in calls.values()} == {1}


def test_an_error_reaches_all_who_wait_and_nothing_is_stored():
    ours = ConcurrentDict()
    others = threading.Semaphore(0)
    calls = AtomicInt()

    def function(key):
        calls.add()
        for _ in range(6):
            assert others.acquire(timeout=WAIT_S_MAX)
        wait_until_waited_for_by(5)
        raise LookupError(key)

    def ask(_):
        others.release()
        with pytest.raises(LookupError, match="key") as caught:
            ask_for_key(ours, function)
        return caught.value

    errors = in_threads(6, ask)
    assert (calls.load(), len({id(error) for error in errors})) == (1, 1)
    assert (len(ours), ours.get_or_compute("key", str.upper)) == (0, "KEY")


def ask_for_key(ours, function):
    return ours.get_or_compute("key", function)


def wait_until_waited_for_by(count):
    """The others need a moment from their release to their wait; those that come too late would compute anew.

    Who waits is in the call, so that its frame is the last one of its thread, and past its beginning.
    """
    code, deadline = ask_for_key.__code__, time.monotonic() + WAIT_S_MAX
    while True:
        last = sys._current_frames().values()
        if sum(frame.f_code is code and frame.f_lineno > code.co_firstlineno for frame in last) == count:
            return
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_interrupts_one_thread_lets_another_compute():
    ours = ConcurrentDict()
    begun, calls = threading.Event(), AtomicInt()

    def function(key):
        if calls.add() == 1:
            begun.set()
            wait_until_waited_for_by(3)
            raise KeyboardInterrupt
        return "by another"

    def work(index):
        if index == 0:
            with pytest.raises(KeyboardInterrupt):
                ours.get_or_compute("key", function)
            return None
        assert begun.wait(WAIT_S_MAX)
        return ask_for_key(ours, function)

    assert in_threads(4, work)[1:] == ["by another"] * 3
    assert calls.load() == 2


def test_the_function_may_use_other_keys():
    ours = ConcurrentDict()

    def fibonacci(n):
        if n < 2:
            return n
        return ours.get_or_compute(n - 1, fibonacci) + ours.get_or_compute(n - 2, fibonacci)

    assert ours.get_or_compute(80, fibonacci) == 23416728348467685
    assert len(ours) == 81


def test_the_same_key_in_the_same_thread_is_an_error_and_no_wait():
    ours = ConcurrentDict()
    with pytest.raises(RuntimeError, match="would wait for itself: this thread is computing the value of 'key'"):
        ours.get_or_compute("key", lambda key: ours.get_or_compute(key, str))
    assert not ours
    assert ours.get_or_compute("key", str) == "key"


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_that_need_each_others_keys_get_an_error_and_no_deadlock(threads):
    ours = [ConcurrentDict(), ConcurrentDict()]
    all_computing = threading.Barrier(threads)

    def work(index):
        following = (index + 1) % threads

        def needs_the_next(_):
            all_computing.wait(WAIT_S_MAX)
            return ours[following % 2].get_or_compute(following, str)

        try:
            return ours[index % 2].get_or_compute(index, needs_the_next)
        except RuntimeError as exc:
            return str(exc)

    got = in_threads(threads, work)
    # One of them finds the circle; its failure is that of the one that waits for it, and so on round.
    assert len(set(got)) == 1
    assert "would wait for itself" in got[0]
    assert not ours[0] and not ours[1]


def test_a_value_that_was_stored_meanwhile_is_kept():
    ours = ConcurrentDict()

    def function(key):
        ours[key] = "stored"
        return "computed"

    assert ours.get_or_compute("key", function) == "stored"
    assert ours["key"] == "stored"


def test_a_coroutine_is_refused():
    async def function(key):
        return key

    ours = ConcurrentDict()
    with pytest.raises(TypeError, match="returned a coroutine"):
        ours.get_or_compute("key", function)
    assert not ours


class Key:
    """Equal to itself alone, and cannot be told from others while it is broken."""

    broken = False

    def __hash__(self):
        return 1

    def __eq__(self, other):
        if self.broken:
            raise ValueError("broken")
        return self is other


def test_a_key_that_breaks_meanwhile_leaves_nobody_waiting(monkeypatch):
    ours, outer, inner = ConcurrentDict(), Key(), Key()

    def function(_):
        monkeypatch.setattr(Key, "broken", True)
        return "computed"

    # The inner key is not found again when its computation has ended: it stays among those that are under way.
    with pytest.raises(ValueError, match="broken"):
        ours.get_or_compute(outer, lambda _: ours.get_or_compute(inner, function))
    monkeypatch.undo()
    assert not ours
    got = in_threads(3, lambda _: (ours.get_or_compute(inner, lambda _: "again"), ours.get_or_compute(outer, id)))
    assert got == [("again", id(outer))] * 3


def test_a_waiting_thread_holds_nobody_up():
    """While one computes and one waits, a third uses the dict, and the waiting one does not hold the GIL."""
    ours = ConcurrentDict()
    computing, go_on = threading.Event(), threading.Event()

    def function(_):
        computing.set()
        assert go_on.wait(WAIT_S_MAX)
        return "done"

    def work(index):
        if index == 0:
            return ours.get_or_compute("slow", function)
        assert computing.wait(WAIT_S_MAX)
        if index == 1:
            return ours.get_or_compute("slow", function)
        for number in range(1_000):
            ours[number] = number
        go_on.set()
        return len(ours) >= 1_000

    assert in_threads(3, work) == ["done", "done", True]
