"""AtomicInt, AtomicBool and AtomicRef: one order of operations for all threads, and errors that change nothing."""

import copy
import gc
import pickle
import threading
import weakref

import pytest

from shared.threads import in_threads
from tideloop.sync import AtomicBool, AtomicInt, AtomicRef

INT_MAX = 2**63 - 1
INT_MIN = -(2**63)


def test_eight_threads_that_increment_reach_the_exact_sum():
    number = AtomicInt()

    def increment(_):
        for _ in range(100_000):
            number.fetch_add()

    in_threads(8, increment)
    assert number.load() == 800_000


def test_each_old_value_is_given_to_one_thread_alone():
    number = AtomicInt()
    seen = in_threads(8, lambda _: [number.fetch_add() for _ in range(10_000)])
    assert sorted(value for values in seen for value in values) == list(range(80_000))


def test_compare_exchange_in_a_loop_loses_nothing():
    number = AtomicInt()

    def double_step(_):
        for _ in range(10_000):
            while not number.compare_exchange(old := number.load(), old + 2):
                pass

    in_threads(4, double_step)
    assert number.load() == 80_000


def test_an_int_has_the_terms_of_the_field():
    number = AtomicInt(5)
    assert (number.load(), int(number), hex(number), repr(number)) == (5, 5, "0x5", "AtomicInt(5)")
    assert number.exchange(7) == 5
    assert (number.compare_exchange(5, 1), number.compare_exchange(7, 1)) == (False, True)
    assert (number.fetch_add(), number.fetch_add(10), number.fetch_sub(2), number.fetch_sub()) == (1, 2, 12, 10)
    assert (number.add(), number.add(5), number.sub(), number.sub(4)) == (10, 15, 14, 10)
    number.value = -3
    assert (number.value, bool(number), bool(AtomicInt())) == (-3, True, False)


@pytest.mark.parametrize(
    ("start", "change"),
    [
        (INT_MAX, lambda number: number.fetch_add()),
        (INT_MAX, lambda number: number.add(INT_MAX)),
        (INT_MIN, lambda number: number.fetch_sub()),
        (-2, lambda number: number.sub(INT_MAX)),
        (0, lambda number: number.fetch_sub(INT_MIN)),
        (1, lambda number: number.store(INT_MAX + 1)),
        (1, lambda number: number.exchange(INT_MIN - 1)),
        (1, lambda number: number.compare_exchange(1, INT_MAX + 1)),
        (1, lambda number: number.fetch_add(INT_MAX + 1)),
    ],
)
def test_what_does_not_fit_raises_and_changes_nothing(start, change):
    number = AtomicInt(start)
    with pytest.raises(OverflowError):
        change(number)
    assert number.load() == start


def test_the_limits_themselves_fit():
    number = AtomicInt(INT_MAX - 1)
    assert number.add() == INT_MAX
    assert number.sub(INT_MAX) == 0
    assert number.sub(INT_MAX) == -INT_MAX
    assert number.sub() == INT_MIN


def test_what_is_no_number_is_refused():
    for bad in ("1", 1.5, None):
        with pytest.raises(TypeError):
            AtomicInt(bad)
        with pytest.raises(TypeError):
            AtomicInt().fetch_add(bad)
    with pytest.raises(TypeError):
        AtomicBool(1)


def test_one_thread_alone_wins_a_flag():
    for _ in range(200):
        flag = AtomicBool()
        assert sum(in_threads(8, lambda _, flag=flag: not flag.exchange(True))) == 1


def test_a_bool_has_the_terms_of_the_field():
    flag = AtomicBool()
    assert (flag.load(), bool(flag), repr(flag)) == (False, False, "AtomicBool(False)")
    flag.store(True)
    assert (flag.exchange(False), flag.exchange(True)) == (True, False)
    assert (flag.compare_exchange(False, True), flag.compare_exchange(True, False)) == (False, True)
    flag.value = True
    assert (flag.value, repr(flag)) == (True, "AtomicBool(True)")


def test_a_reference_is_compared_by_identity():
    first, equal = [1], [1]
    reference = AtomicRef(first)
    assert not reference.compare_exchange(equal, "no")
    assert reference.load() is first
    assert reference.compare_exchange(first, equal)
    assert reference.exchange("next") is equal
    reference.value = "last"
    assert (reference.value, repr(reference), AtomicRef().load()) == ("last", "AtomicRef('last')", None)


def test_an_update_is_tried_again_until_nobody_came_between():
    reference = AtomicRef(())

    def append(thread):
        for number in range(300):
            reference.update(lambda old, item=(thread, number): (*old, item))

    in_threads(4, append)
    found = reference.load()
    assert sorted(found) == [(thread, number) for thread in range(4) for number in range(300)]
    for thread in range(4):
        assert [number for by, number in found if by == thread] == list(range(300))


def test_an_update_whose_function_changes_the_reference_calls_it_again():
    reference, seen = AtomicRef("a"), []

    def function(old):
        seen.append(old)
        if old == "a":
            reference.store("b")
        return old + "!"

    assert reference.update(function) == "b!"
    assert (seen, reference.load()) == (["a", "b"], "b!")


def test_an_update_that_raises_changes_nothing():
    reference = AtomicRef(1)
    with pytest.raises(ZeroDivisionError):
        reference.update(lambda old: old // 0)
    assert reference.load() == 1


class Noisy:
    """Looks into the reference while it dies."""

    def __init__(self, reference, seen):
        self.reference, self.seen = reference, seen

    def __del__(self):
        self.seen.append(self.reference.load())
        self.reference.store("by the finalizer")


def test_what_a_finalizer_does_with_the_reference_finds_no_lock():
    reference, seen = AtomicRef(), []
    reference.store(Noisy(reference, seen))
    reference.store("new")
    assert (seen, reference.load()) == (["new"], "by the finalizer")


def test_a_reference_swapped_by_many_threads_keeps_every_object_once():
    reference = AtomicRef(-1)
    got = in_threads(8, lambda thread: [reference.exchange((thread, number)) for number in range(5_000)])
    everything = [value for values in got for value in values] + [reference.load()]
    assert len(everything) == len(set(everything)) == 40_001


def test_cycles_through_references_are_collected():
    class Node:
        pass

    alive = []
    for _ in range(10_000):
        node = Node()
        node.reference = AtomicRef(node)
        alive.append(weakref.ref(node))
    del node
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []


@pytest.mark.parametrize("make", [AtomicInt, AtomicBool, AtomicRef])
def test_an_atomic_is_shared_and_so_neither_copied_nor_pickled(make):
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            attempt(make())
    assert make() != make()
    assert len({make(), make()}) == 2
    assert weakref.ref(kept := make())() is kept


def test_an_atomic_cannot_be_derived_from():
    for base in (AtomicInt, AtomicBool, AtomicRef):
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Derived", (base,), {})
    assert AtomicRef[int].__origin__ is AtomicRef


def test_tasks_and_threads_change_the_same_number(run):
    import asyncio

    number = AtomicInt()

    async def increment():
        for _ in range(1_000):
            number.fetch_add()
            await asyncio.sleep(0)

    async def main():
        thread = threading.Thread(target=lambda: [number.fetch_add() for _ in range(10_000)])
        thread.start()
        await asyncio.gather(*(increment() for _ in range(10)))
        thread.join()

    run(main())
    assert number.load() == 20_000
