"""ConcurrentList: a list's behaviour, each operation one step to all other threads."""

import collections.abc
import copy
import gc
import pickle
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.threads import in_threads
from tideloop.sync import ConcurrentList

NUMBERS = st.integers(-5, 5)
ONE = ("append", "remove", "pop", "index", "count", "__getitem__", "__delitem__", "__contains__")
TWO = ("insert", "__setitem__")
OPERATIONS = (*ONE, *TWO, "extend", "reverse", "sort", "pop_last", "slice", "set_slice", "del_slice", "iadd")


def result(function, *args):
    """What a call returns, or what it raises."""
    try:
        return function(*args)
    except (IndexError, ValueError) as exc:
        return type(exc), str(exc)


def apply(name, target, first, second):
    """One operation: what it gives."""
    if name in ONE:
        return result(getattr(target, name), first)
    if name in TWO:
        return result(getattr(target, name), first, second)
    if name == "slice":
        return target[first:second]
    if name == "set_slice":
        target[first:second] = iter([first, second, first])
    elif name == "del_slice":
        del target[first:second:2]
    elif name == "iadd":
        target += (first, second)
    elif name == "extend":
        target.extend(iter([first, second]))
    elif name == "pop_last":
        return result(target.pop)
    elif name == "sort":
        target.sort(key=abs, reverse=bool(first % 2))
    else:
        target.reverse()
    return None


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), NUMBERS, NUMBERS)))
def test_a_random_history_ends_as_that_of_a_list(history):
    ours, model = ConcurrentList(), []
    for name, first, second in history:
        assert apply(name, ours, first, second) == apply(name, model, first, second)
        assert (list(ours), len(ours), ours[:]) == (model, len(model), model)
    assert ours == model
    assert list(reversed(ours)) == model[::-1]


@given(st.lists(NUMBERS, max_size=4), st.lists(NUMBERS, max_size=4))
def test_it_compares_and_adds_as_lists_do(left, right):
    for other in (right, ConcurrentList(right)):
        ours = ConcurrentList(left)
        assert (ours == other, ours != other, ours < other, ours >= other) == (
            *(left == right, left != right),
            *(left < right, left >= right),
        )
        assert (ours + other, type(ours + other), other + ours) == (left + right, list, right + left)


def test_appends_of_many_threads_are_all_there_each_threads_in_order():
    ours = ConcurrentList()
    in_threads(8, lambda index: [ours.append((index, number)) for number in range(5_000)])
    assert len(ours) == 40_000
    for index in range(8):
        assert [number for by, number in ours if by == index] == list(range(5_000))


def test_an_extension_is_one_step_to_others():
    ours = ConcurrentList()
    in_threads(6, lambda index: [ours.extend([index] * 10) for _ in range(500)])
    assert len(ours) == 30_000
    for start in range(0, 30_000, 10):
        assert len(set(ours[start : start + 10])) == 1


def test_one_thread_alone_appends_what_is_absent():
    ours = ConcurrentList()
    appended = in_threads(8, lambda _: sum(ours.append_if_absent(number) for number in range(200)))
    assert (sum(appended), sorted(ours)) == (200, list(range(200)))


def test_each_element_is_popped_or_discarded_by_one_thread_alone():
    ours = ConcurrentList(range(2_000))

    def take_all(index):
        mine = []
        while ours:
            try:
                mine.append(ours.pop() if index % 2 else ours.pop(0))
            except IndexError:
                break
        return mine

    assert sorted(element for mine in in_threads(6, take_all) for element in mine) == list(range(2_000))
    ours.extend(range(500))
    assert sum(in_threads(6, lambda _: sum(ours.discard(number) for number in range(500)))) == 500
    assert not ours


def test_iterating_goes_over_a_copy():
    ours = ConcurrentList([1, 2, 3])
    for element in ours:
        ours.remove(element)
    assert (ours == [], ours.discard(1), repr(ours)) == (True, False, "ConcurrentList()")


def test_it_refuses_what_lists_refuse():
    ours = ConcurrentList("ab")
    for error, attempt in (
        (IndexError, lambda: ours[2]),
        (IndexError, lambda: ours.pop(5)),
        (IndexError, lambda: ConcurrentList().pop()),
        (ValueError, lambda: ours.remove("c")),
        (ValueError, lambda: ours.index("c")),
        (ValueError, lambda: ours.index("a", 1)),
        (TypeError, lambda: ours["a"]),
        (TypeError, lambda: ours + "c"),
        (TypeError, lambda: ours < "c"),
        (TypeError, lambda: ConcurrentList(5)),
        (TypeError, lambda: ours.extend(5)),
        (TypeError, lambda: ours.insert("a", 5)),
        (TypeError, lambda: hash(ours)),
        (ValueError, lambda: ours.__setitem__(slice(0, 2, 2), "abc")),
    ):
        with pytest.raises(error):
            attempt()
    assert (ours == ["a", "b"], ours != "ab") == (True, True)


def test_it_is_a_mutable_sequence_with_copies_of_its_own():
    ours = ConcurrentList([[1], 2])
    assert isinstance(ours, collections.abc.MutableSequence)
    match ours:
        case [[one], two]:
            assert (one, two) == (1, 2)
    for other in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ours.copy()):
        assert type(other) is ConcurrentList
        assert other == ours
        other.append(3)
    assert (len(ours), type(ours.snapshot()), ConcurrentList[int].__origin__) == (2, list, ConcurrentList)
    ours.append(ours)
    assert repr(ours) == "ConcurrentList([[1], 2, ConcurrentList(...)])"
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other[-1] is other
        other.clear()
    ours.clear()


def test_cycles_are_collected():
    class Node:
        pass

    alive = []
    for _ in range(10_000):
        node = Node()
        node.list = ConcurrentList([node])
        alive.append(weakref.ref(node))
    del node
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []


def test_it_can_be_repeated():
    numbers = ConcurrentList([1, 2])
    assert numbers * 2 == 2 * numbers == [1, 2, 1, 2]
    same = numbers
    numbers *= 3
    assert same is numbers
    assert numbers == [1, 2] * 3
    numbers *= 0
    assert numbers == []
    for other in ([1], "a", None, 1.5):
        with pytest.raises(TypeError):
            numbers * other
        with pytest.raises(TypeError):
            numbers *= other
