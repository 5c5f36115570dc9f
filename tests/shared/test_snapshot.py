"""Snapshot: readers never wait, and what they have they keep; writers are one after another."""

import gc
import threading
import weakref

import pytest

from shared.threads import WAIT_S_MAX, in_threads
from tideloop.sync import Snapshot


def test_a_reader_that_began_before_a_refresh_keeps_what_it_had():
    table = Snapshot({"primary": 1})
    read, refreshed = threading.Event(), threading.Event()

    def reader():
        mine = table.load()
        read.set()
        assert refreshed.wait(WAIT_S_MAX)
        return mine["primary"], table.load()

    def refresh_primary():
        assert read.wait(WAIT_S_MAX)
        table.replace({"secondary": 2})
        refreshed.set()

    (found, _) = in_threads(2, lambda index: (reader, refresh_primary)[index]())
    assert found == (1, {"secondary": 2})


def test_readers_go_on_while_a_writer_takes_its_time():
    snapshot = Snapshot("old")
    writing, go_on = threading.Event(), threading.Event()

    def slow(old):
        writing.set()
        assert go_on.wait(WAIT_S_MAX)
        return old + ", new"

    writer = threading.Thread(target=snapshot.update, args=(slow,))
    writer.start()
    assert writing.wait(WAIT_S_MAX)
    assert [snapshot.load() for _ in range(1000)] == ["old"] * 1000
    go_on.set()
    writer.join()
    assert snapshot.value == "old, new"


def test_writers_lose_no_update_and_call_each_function_once():
    snapshot, calls = Snapshot(0), []

    def add(_):
        def one_more(old):
            calls.append(None)
            return old + 1

        for _ in range(2_000):
            snapshot.update(one_more)

    in_threads(8, add)
    assert (snapshot.load(), len(calls)) == (16_000, 16_000)


def test_a_swap_is_seen_whole_and_never_taken_back():
    snapshot = Snapshot((0, 0))
    last = 5_000

    def work(index):
        if index == 0:
            for number in range(1, last + 1):
                assert snapshot.replace((number, -number)) == (number - 1, 1 - number)
            return
        seen = 0
        while seen < last:
            number, negated = snapshot.load()
            assert number == -negated
            assert number >= seen
            seen = number

    in_threads(4, work)


def test_an_update_that_raises_changes_nothing_and_lets_the_next_one_in():
    snapshot = Snapshot(1)
    with pytest.raises(ZeroDivisionError):
        snapshot.update(lambda value: value // 0)
    assert snapshot.update(lambda value: value + 1) == 2
    assert repr(snapshot) == "Snapshot(2)"


def test_a_writer_inside_of_an_update_is_refused():
    snapshot = Snapshot(1)
    for inner in (lambda _: snapshot.update(abs), lambda _: snapshot.replace(5)):
        with pytest.raises(RuntimeError, match="in an update"):
            snapshot.update(inner)
    assert snapshot.load() == 1
    assert snapshot.update(lambda value: value + snapshot.load()) == 2


def test_what_was_replaced_is_let_go():
    class Value:
        pass

    snapshot = Snapshot(Value())
    old = weakref.ref(snapshot.load())
    snapshot.replace(Value())
    assert old() is None


def test_a_finalizer_of_the_old_value_finds_the_new_one():
    seen = []

    class Value:
        def __del__(self):
            seen.append(snapshot.load())

    snapshot = Snapshot(Value())
    snapshot.update(lambda _: "new")
    assert seen == ["new"]


def test_cycles_through_snapshots_are_collected():
    class Node:
        pass

    alive = []
    for _ in range(10_000):
        node = Node()
        node.snapshot = Snapshot([node])
        alive.append(weakref.ref(node))
    del node
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []
