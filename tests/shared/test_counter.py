"""ApproximateCounter: within its bound at any moment, exact when asked, whatever becomes of the threads."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.threads import in_threads
from tideloop.sync import ApproximateCounter


@given(st.integers(1, 30), st.lists(st.integers(-40, 40)))
def test_one_thread_is_off_by_less_than_the_threshold(threshold, added):
    counter, truth = ApproximateCounter(threshold), 0
    for n in added:
        counter.add(n)
        truth += n
        assert abs(truth - counter.value) < threshold
        assert counter.exact() == truth
    assert (counter.flush(), counter.value) == (truth, truth)


def test_ten_threads_are_within_the_bound_at_every_moment_and_exact_after_a_flush():
    threads, threshold, each = 10, 100, 20_000
    counter = ApproximateCounter(threshold)
    ended = threading.Event()
    highest = [0]

    def watch():
        while not ended.is_set():
            value = counter.value
            assert highest[0] <= value <= threads * each
            highest[0] = value

    watcher = threading.Thread(target=watch)
    watcher.start()
    in_threads(threads, lambda _: [counter.add() for _ in range(each)])
    ended.set()
    watcher.join()
    assert 0 <= threads * each - counter.value < threads * threshold
    assert counter.exact() == threads * each
    assert (counter.flush(), counter.value, counter.exact()) == (threads * each,) * 3


def test_what_threads_have_counted_outlives_them():
    counter = ApproximateCounter(1_000_000)
    for _ in range(300):
        in_threads(1, lambda _: counter.add(7))
    assert counter.value == 0
    assert (counter.exact(), counter.flush(), counter.value) == (2100, 2100, 2100)


def test_a_flush_in_the_middle_of_additions_counts_each_once():
    counter = ApproximateCounter(50)

    def work(index):
        for number in range(5_000):
            counter.add()
            if index == 0 and number % 10 == 0:
                counter.flush()

    in_threads(6, work)
    assert counter.flush() == 30_000


def test_an_exact_sum_has_everything_that_was_added_before():
    counter = ApproximateCounter(7)

    def work(_):
        for number in range(1, 3_000):
            counter.add()
            assert counter.exact() >= number

    in_threads(4, work)


def test_errors_change_nothing():
    for threshold in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            ApproximateCounter(threshold)
    with pytest.raises(TypeError):
        ApproximateCounter("5")
    counter = ApproximateCounter(10)
    counter.add(2**63 - 1)
    with pytest.raises(OverflowError):
        counter.add(2**62)
    with pytest.raises(OverflowError):
        counter.add(2**63)
    assert (counter.value, counter.exact(), counter.threshold) == (2**63 - 1, 2**63 - 1, 10)
    assert repr(counter) == "<ApproximateCounter value=9223372036854775807 threshold=10>"
