"""Elements whose __hash__ and __eq__ are Python: they take their time, let others run, and use the collection again."""

import os
import signal
import threading
import time

import pytest

from shared.threads import WAIT_S_MAX, in_threads
from tideloop.sync import ConcurrentDict, ConcurrentList, ConcurrentSet


class Slow:
    """All of one hash, so that each look-up compares; comparing gives the others every chance to come between."""

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        time.sleep(0.0001)
        return 1

    def __eq__(self, other):
        time.sleep(0.0005)
        return isinstance(other, Slow) and self.value == other.value


def test_a_plain_set_would_let_others_come_between():
    """The test of the tests: looking and then adding is two steps, and the threads do meet."""
    plain, start, values = {Slow(0)}, threading.Barrier(8), range(1, 11)

    def add(_):
        start.wait(WAIT_S_MAX)
        new = 0
        for value in values:
            new += Slow(value) not in plain
            plain.add(Slow(value))
        return new

    assert sum(in_threads(8, add)) > len(values)


def test_an_element_is_new_to_one_thread_alone():
    ours = ConcurrentSet([Slow(0)])
    admitted = in_threads(8, lambda _: [value for value in range(6) if ours.add(Slow(value))])
    assert sorted(value for mine in admitted for value in mine) == [1, 2, 3, 4, 5]
    discarded = in_threads(8, lambda _: [value for value in range(6) if ours.discard(Slow(value))])
    assert sorted(value for mine in discarded for value in mine) == [0, 1, 2, 3, 4, 5]


def test_a_value_is_inserted_once():
    ours = ConcurrentDict({Slow(0): "first"})
    got = in_threads(8, lambda index: [ours.get_or_insert(Slow(key), index) for key in range(5)])
    assert all(mine == got[0] for mine in got)
    assert (len(ours), got[0][0]) == (5, "first")


def test_a_value_is_computed_once():
    ours, calls = ConcurrentDict({Slow(0): "first"}), []
    got = in_threads(6, lambda _: [ours.get_or_compute(Slow(key), lambda key: calls.append(key)) for key in range(4)])
    assert (len(calls), len(ours)) == (3, 4)
    assert all(mine == ["first", None, None, None] for mine in got)


def test_a_value_is_replaced_by_one_thread_alone():
    ours = ConcurrentDict(key=Slow(0))
    assert sum(in_threads(8, lambda index: ours.replace("key", Slow(0), Slow(index + 1)))) == 1


def test_one_thread_alone_appends_what_is_absent():
    ours = ConcurrentList()
    assert sum(in_threads(6, lambda _: sum(ours.append_if_absent(Slow(value)) for value in range(5)))) == 5
    assert len(ours) == 5


def test_iterating_and_the_length_wait_for_an_update():
    ours = ConcurrentSet()

    def work(index):
        for _ in range(20):
            if index == 0:
                ours.update([Slow(1), Slow(2), Slow(3)])
                ours.difference_update([Slow(1), Slow(2), Slow(3)])
            else:
                assert len(ours) in (0, 3)
                assert len(list(ours)) in (0, 3)

    in_threads(3, work)


class Reentrant:
    """Uses the collection that compares it."""

    def __init__(self, value, use):
        self.value, self.use = value, use

    def __hash__(self):
        return 1

    def __eq__(self, other):
        self.use()
        return self.value == getattr(other, "value", other)


def test_an_element_may_use_the_collection_that_compares_it():
    numbers, words, names = ConcurrentSet(), ConcurrentDict(), ConcurrentList()

    def use():
        numbers.add("seen")
        words["seen"] = True
        names.append("seen")

    for value in range(3):
        assert numbers.add(Reentrant(value, use))
        words[Reentrant(value, use)] = value
        assert words.get_or_compute(Reentrant(10 + value, use), lambda key: key.value) == 10 + value
        names.append(Reentrant(value, use))
    assert not numbers.add(Reentrant(2, use))
    assert words[Reentrant(12, use)] == 12
    assert names.index(Reentrant(1, use)) >= 0
    assert len([name for name in names if name == "seen"]) > 0
    assert {"seen"} <= {element for element in numbers if element == "seen"}


def test_an_element_that_raises_leaves_the_collection_open_and_as_it_was():
    class Broken(Slow):
        def __eq__(self, other):
            raise ValueError("no comparison")

        __hash__ = Slow.__hash__

    ours, words, names = ConcurrentSet([Slow(1)]), ConcurrentDict({Slow(1): 1}), ConcurrentList([Slow(1)])
    for attempt in (
        lambda: ours.add(Broken(1)),
        lambda: ours.discard(Broken(1)),
        lambda: words.get_or_insert(Broken(1), 5),
        lambda: words.get_or_compute(Broken(1), str),
        lambda: words.__setitem__(Broken(1), 5),
        lambda: names.append_if_absent(Broken(1)),
        lambda: names.remove(Broken(1)),
    ):
        with pytest.raises(ValueError, match="no comparison"):
            attempt()
    assert in_threads(2, lambda _: (len(ours), len(words), len(names))) == [(1, 1, 1)] * 2


def test_a_wait_ends_with_the_exception_of_a_signal():
    """Ctrl+C reaches the main thread while another takes its time inside."""
    inside, go_on = threading.Event(), threading.Event()

    class Endless(Slow):
        def __eq__(self, other):
            inside.set()
            assert go_on.wait(WAIT_S_MAX)
            return False

        __hash__ = Slow.__hash__

    ours = ConcurrentSet([Slow(1)])
    thread = threading.Thread(target=ours.add, args=(Endless(2),))
    thread.start()
    assert inside.wait(WAIT_S_MAX)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        timer.start()  # in here, since it may be over before the wait begins
        ours.add("x")
    assert time.monotonic() - begun < 5
    go_on.set()
    thread.join()
    timer.join()
    assert ours.add("x")
    assert len(ours) == 3


def test_the_child_of_a_fork_does_not_wait_for_threads_that_it_does_not_have():
    inside, go_on = threading.Event(), threading.Event()

    class Endless(Slow):
        def __eq__(self, other):
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                assert go_on.wait(WAIT_S_MAX)
            return False

        __hash__ = Slow.__hash__

    ours, words = ConcurrentSet([Slow(1)]), ConcurrentDict()
    computing = threading.Event()

    def compute(_):
        computing.set()
        assert go_on.wait(WAIT_S_MAX)
        return "by the parent"

    threads = [
        threading.Thread(target=ours.add, args=(Endless(2),)),
        threading.Thread(target=words.get_or_compute, args=("key", compute)),
    ]
    for thread in threads:
        thread.start()
    assert inside.wait(WAIT_S_MAX)
    assert computing.wait(WAIT_S_MAX)
    try:
        child = fork()
        if child == 0:
            good = ours.add("x") and len(ours) == 2
            good = good and words.get_or_compute("key", lambda _: "by the child") == "by the child"
            # In the child new threads come and go as ever.
            good = good and in_threads(4, lambda _: ours.add("y")).count(True) == 1
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert (len(ours), words["key"]) == (2, "by the parent")


def fork():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads is the point
        return os.fork()
