"""ConcurrentDict: a dict's behaviour, and operations that look and change in one step."""

import collections.abc
import copy
import gc
import pickle
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.threads import in_threads
from tideloop.sync import AtomicInt, ConcurrentDict

KEYS = st.integers(0, 6)
OPERATIONS = ("set", "del", "pop", "get_or_insert", "get_or_compute", "setdefault", "replace", "update", "popitem")


def result(function, *args):
    """What a call returns, or the type of what it raises."""
    try:
        return function(*args)
    except KeyError as exc:
        return type(exc), exc.args


def apply(name, ours, model, key, value):
    """One operation on both: what it gives."""
    if name == "set":
        ours[key] = model[key] = value
        return None, None
    if name == "del":
        return result(ours.__delitem__, key), result(model.__delitem__, key)
    if name == "get_or_insert":
        return ours.get_or_insert(key, value), model.setdefault(key, value)
    if name == "get_or_compute":
        return ours.get_or_compute(key, lambda given: (given, value)), model.setdefault(key, (key, value))
    if name == "replace":
        before = model.get(key)
        if key in model and before == value:
            model[key] = -1
        return ours.replace(key, value, -1), key in model and before == value
    if name == "update":
        return ours.update({key: value, value: key}), model.update({key: value, value: key})
    if name == "popitem":
        ours_got, model_got = result(ours.popitem), result(model.popitem)
        return ours_got[0], model_got[0]
    return result(getattr(ours, name), key), result(getattr(model, name), key)


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), KEYS, KEYS)))
def test_a_random_history_ends_as_that_of_a_dict(history):
    ours, model = ConcurrentDict(), {}
    for name, key, value in history:
        got, expected = apply(name, ours, model, key, value)
        assert got == expected
        assert list(ours.items()) == list(model.items())
        assert (len(ours), key in ours, ours.get(key), ours.get(key, "no")) == (
            *(len(model), key in model),
            *(model.get(key), model.get(key, "no")),
        )
    assert ours == model
    assert list(reversed(ours)) == list(reversed(model))


def test_a_value_is_inserted_once_and_given_to_all():
    ours = ConcurrentDict()
    got = in_threads(8, lambda index: [ours.get_or_insert(key, (index, key)) for key in range(2_000)])
    assert all(mine == got[0] for mine in got)
    assert [ours[key] for key in range(2_000)] == got[0]


def test_counting_by_replace_loses_nothing():
    ours = ConcurrentDict(n=0)

    def add(_):
        for _ in range(2_000):
            while not ours.replace("n", old := ours["n"], old + 1):
                pass

    in_threads(4, add)
    assert ours["n"] == 8_000


def test_a_dict_of_atomics_counts_words():
    counts = ConcurrentDict()
    words = "to be or not to be".split()
    in_threads(8, lambda _: [counts.get_or_insert(word, AtomicInt()).add() for word in words * 500])
    assert {word: int(count) for word, count in counts.items()} == {"to": 8000, "be": 8000, "or": 4000, "not": 4000}


def test_replace_compares_by_equality_and_needs_the_key():
    ours = ConcurrentDict(a=1.0)
    assert not ours.replace("b", None, 5)
    assert not ours.replace("a", 2, 5)
    assert ours.replace("a", 1, 5)
    nan = float("nan")
    ours["nan"] = nan
    assert ours.replace("nan", nan, "one that equals nothing, by identity")
    assert ours == {"a": 5, "nan": "one that equals nothing, by identity"}


def test_an_update_is_one_step_to_others():
    ours = ConcurrentDict(left=0, right=0)

    def work(index):
        for number in range(3_000):
            if index == 0:
                ours.update(left=number, right=number)
            else:
                now = ours.snapshot()
                assert now["left"] == now["right"]

    in_threads(3, work)


def test_iterating_goes_over_a_copy_however_much_others_change():
    ours = ConcurrentDict.fromkeys(range(50), "kept")

    def work(index):
        for number in range(300):
            if index % 2:
                assert list(ours)[:50] == list(range(50))
                assert all(value == "kept" for key, value in ours.items() if key < 50)
                assert len(ours.values()) >= 50
            else:
                ours[1000 * (index + 1) + number] = number
                ours.pop(1000 * (index + 1) + number - 1, None)

    in_threads(6, work)
    for key in ours:
        del ours[key]
    assert not ours


def test_it_takes_and_makes_what_dicts_do():
    ours = ConcurrentDict([("a", 1)], b=2)
    assert ours == ConcurrentDict({"a": 1, "b": 2}) == ConcurrentDict(ours)
    assert (ours | {"c": 3}, {"c": 3} | ours) == ({"a": 1, "b": 2, "c": 3}, {"c": 3, "a": 1, "b": 2})
    assert type(ours | ours) is type({} | ours) is type(ours.snapshot()) is dict
    changed = ours
    changed |= [("c", 3)]
    assert changed is ours
    assert ours.keys() & {"a", "z"} == {"a"}
    assert (ours.pop("c"), ours.pop("c", None), ours.setdefault("d"), ours["d"]) == (3, None, None, None)
    assert repr(ours) == "ConcurrentDict({'a': 1, 'b': 2, 'd': None})"
    ours.clear()
    assert (repr(ours), len(ours), bool(ours)) == ("ConcurrentDict()", 0, False)
    assert ConcurrentDict.fromkeys("ab", 1) == {"a": 1, "b": 1}


def test_it_refuses_what_dicts_refuse():
    ours = ConcurrentDict(a=1)
    for attempt in (lambda: ours["b"], lambda: ours.pop("b"), lambda: ours.__delitem__("b")):
        with pytest.raises(KeyError) as caught:
            attempt()
        assert caught.value.args == ("b",)
    with pytest.raises(KeyError, match="empty"):
        ConcurrentDict().popitem()
    with pytest.raises(TypeError, match="at most 2"):
        ours.pop("a", 1, 2)
    for attempt in (lambda: ours | [("c", 3)], lambda: ours < {}, lambda: ConcurrentDict(5), lambda: ours.update(5)):
        with pytest.raises(TypeError):
            attempt()
    for attempt in (lambda: ours[[]], lambda: ours.get_or_insert([], 1), lambda: ours.get_or_compute([], id)):
        with pytest.raises(TypeError, match="unhashable"):
            attempt()
    with pytest.raises(TypeError, match="unhashable"):
        hash(ours)
    assert (ours != 5, ours == {"a": 1}) == (True, True)


def test_it_is_a_mutable_mapping_with_copies_of_its_own():
    ours = ConcurrentDict({"a": [1]})
    assert isinstance(ours, collections.abc.MutableMapping)
    match ours:
        case {"a": [value]}:
            assert value == 1
    for other in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ours.copy()):
        assert type(other) is ConcurrentDict
        assert other == ours
        other["b"] = 2
    assert (len(ours), ConcurrentDict[str, int].__origin__) == (1, ConcurrentDict)
    assert copy.copy(ours)["a"] is ours["a"]
    assert copy.deepcopy(ours)["a"] is not ours["a"]


def test_it_may_contain_itself():
    ours = ConcurrentDict()
    ours["self"] = ours
    assert repr(ours) == "ConcurrentDict({'self': ConcurrentDict(...)})"
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other["self"] is other
        other.clear()
    ours.clear()


def test_cycles_are_collected():
    class Node:
        pass

    alive = []
    for _ in range(10_000):
        node = Node()
        node.dict = ConcurrentDict(node=node)
        alive.append(weakref.ref(node))
    del node
    gc.collect()
    assert [ref for ref in alive if ref() is not None] == []


def test_a_finalizer_of_an_old_value_may_use_the_dict_from_another_thread():
    ours = ConcurrentDict()
    seen = []

    class Value:
        def __del__(self):
            # The gate is open: another thread gets in while this one waits for it.
            thread = threading.Thread(target=lambda: seen.append(dict(ours)))
            thread.start()
            thread.join()

    changes = (
        lambda: ours.update(a="new"),
        lambda: ours.__setitem__("a", "new"),
        lambda: ours.replace("a", ours["a"], "new"),
        lambda: ours.pop("a") and None,
        lambda: ours.__delitem__("a"),
        ours.clear,
    )
    for change in changes:
        ours["a"] = Value()
        change()
    assert seen == [{"a": "new"}] * 3 + [{}] * 3
