"""ConcurrentSet: a set's behaviour, each operation one step to all other threads."""

import collections.abc
import copy
import gc
import operator
import pickle
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.threads import in_threads
from tideloop.sync import ConcurrentSet

ELEMENTS = st.integers(0, 8)
SETS = st.sets(ELEMENTS)
OPERATORS = (operator.or_, operator.and_, operator.sub, operator.xor)
IN_PLACE = (operator.ior, operator.iand, operator.isub, operator.ixor)
COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
NAMES = (
    *("union", "intersection", "difference", "symmetric_difference", "isdisjoint", "issubset", "issuperset"),
    *("update", "intersection_update", "difference_update", "symmetric_difference_update"),
)


def keys(elements):
    """A set by collections.abc that is no set of Python's."""
    return dict.fromkeys(elements).keys()


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "remove", "in", "clear", "len"]), ELEMENTS)))
def test_a_random_history_ends_as_that_of_a_set(history):
    ours, model = ConcurrentSet(), set()
    for name, element in history:
        was_in = element in model
        if name == "add":
            assert ours.add(element) is not was_in
            model.add(element)
        elif name == "discard":
            assert ours.discard(element) is was_in
            model.discard(element)
        elif name == "remove" and was_in:
            ours.remove(element)
            model.remove(element)
        elif name == "remove":
            with pytest.raises(KeyError, match=str(element)):
                ours.remove(element)
        elif name == "clear" and element == 0:
            ours.clear()
            model.clear()
        assert (element in ours, len(ours), set(ours)) == (element in model, len(model), model)


@given(SETS, SETS, st.sampled_from([set, frozenset, ConcurrentSet, keys]))
def test_its_algebra_is_that_of_sets_and_makes_plain_ones(left, right, kind):
    ours, other = ConcurrentSet(left), kind(right)
    for apply in OPERATORS:
        made = apply(ours, other)
        assert (type(made), made) == (set, apply(left, right))
        assert apply(other, ours) == apply(right, left)
        assert isinstance(apply(other, ours), set | frozenset)
    for apply in IN_PLACE:
        changed = ConcurrentSet(left)
        assert apply(changed, other) is changed
        assert changed == apply(set(left), right)
    for compare in COMPARISONS:
        assert compare(ours, other) is compare(left, right)
    assert ours == left


@given(SETS, st.lists(ELEMENTS), st.sampled_from(NAMES))
def test_its_methods_take_any_iterable(left, right, name):
    ours, model = ConcurrentSet(left), set(left)
    assert getattr(ours, name)(iter(right)) == getattr(model, name)(iter(right))
    assert ours == model


def test_an_operator_refuses_what_is_no_set():
    ours = ConcurrentSet("ab")
    for apply in (*OPERATORS, *IN_PLACE):
        with pytest.raises(TypeError, match="unsupported operand"):
            apply(ours, ["a"])
    assert ours != ["a", "b"]
    assert ours == {"a", "b"}


def test_a_set_operates_on_itself():
    ours = ConcurrentSet([1, 2])
    ours |= ours
    ours.update(ours, ours)
    assert (ours == ours, ours & ours, ours - ours) == (True, {1, 2}, set())
    ours ^= ours
    assert (len(ours), repr(ours)) == (0, "ConcurrentSet()")


def test_each_element_is_new_to_one_thread_alone():
    visited = ConcurrentSet()
    urls = [f"https://example.test/{number}" for number in range(5_000)]
    admitted = in_threads(16, lambda _: [url for url in urls if visited.add(url)])
    assert sorted(url for mine in admitted for url in mine) == sorted(urls)
    assert visited == set(urls)


def test_each_element_is_popped_by_one_thread_alone():
    ours = ConcurrentSet(range(20_000))

    def pop_all(_):
        mine = []
        while True:
            try:
                mine.append(ours.pop())
            except KeyError:
                return mine

    popped = in_threads(8, pop_all)
    assert sorted(element for mine in popped for element in mine) == list(range(20_000))


def test_iterating_goes_over_a_copy_however_much_others_change():
    ours = ConcurrentSet(range(100))

    def work(index):
        for number in range(300):
            if index % 2:
                found = list(ours)
                assert set(range(100)) <= set(found)
                assert len(found) == len(set(found))
            else:
                ours.add(1000 * (index + 1) + number)
                ours.discard(1000 * (index + 1) + number - 1)

    in_threads(6, work)
    for element in ours:
        ours.discard(element)
    assert len(ours) == 0


def test_an_update_is_one_step_to_others():
    ours = ConcurrentSet()
    pair = {"left", "right"}

    def work(index):
        for _ in range(2_000):
            if index == 0:
                ours.update(pair)
                ours.difference_update(pair)
            else:
                assert len(ours.snapshot()) in (0, 2)

    in_threads(3, work)


def test_it_is_a_mutable_set_with_copies_of_its_own():
    ours = ConcurrentSet(["a", ("b", 1)])
    assert isinstance(ours, collections.abc.MutableSet)
    assert ConcurrentSet[int].__origin__ is ConcurrentSet
    for other in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ours.copy()):
        assert type(other) is ConcurrentSet
        assert other == ours
        other.add("c")
    assert (ours == {"a", ("b", 1)}, repr(ConcurrentSet([1]))) == (True, "ConcurrentSet({1})")
    assert type(ours.snapshot()) is set
    with pytest.raises(TypeError, match="unhashable"):
        hash(ours)
    with pytest.raises(TypeError, match="unhashable"):
        ours.add([])
    with pytest.raises(TypeError):
        ConcurrentSet(5)
    with pytest.raises(KeyError, match="empty"):
        ConcurrentSet().pop()


def test_a_set_is_looked_for_as_the_frozenset_that_it_equals():
    ours = ConcurrentSet([frozenset({1}), frozenset({2})])
    assert {1} in ours
    assert {3} not in ours
    assert ours.discard({1})
    assert not ours.discard({1})
    ours.remove({2})
    with pytest.raises(KeyError) as caught:
        ours.remove({2})
    assert (len(ours), caught.value.args) == (0, ({2},))
    for look in (ours.__contains__, ours.discard, ours.remove):
        with pytest.raises(TypeError, match="unhashable"):
            look([])


def test_it_may_contain_itself_for_its_text_and_for_the_collector():
    class Holder:
        def __repr__(self):
            return repr(self.elements)

    alive = []
    for _ in range(10_000):
        holder = Holder()
        holder.elements = ConcurrentSet([holder])
        alive.append(weakref.ref(holder))
    assert repr(holder) == "ConcurrentSet({ConcurrentSet(...)})"
    del holder
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []
