"""Priority queues: comparisons are Python's, and may do anything; ageing lets nobody starve."""

import asyncio
import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tideloop import sync
from worlds import SECONDS_MAX, in_threads, run, worlds


class Rank:
    """Compared by Python, with something done at each comparison."""

    def __init__(self, rank, act=lambda: None):
        self.rank = rank
        self.act = act

    def __lt__(self, other):
        self.act()
        return self.rank < other.rank


def drained(q):
    """What is still in it, by rank."""
    got = []
    while not q.empty():
        item = q.get_nowait()
        got.append(getattr(item, "rank", item))
    return got


def test_equal_items_leave_in_the_order_in_which_they_came():
    q = sync.PriorityQueue()
    for which in range(100):
        q.put((which % 3, which))
        q.put((which % 3, -which))
    first = [q.get() for _ in range(200)]
    assert first == sorted(first)
    ranks = [Rank(which % 3) for which in range(60)]
    for rank in ranks:
        q.put(rank)
    assert [q.get() for _ in ranks] == sorted(ranks, key=lambda rank: rank.rank)


@pytest.mark.parametrize(
    "items",
    [
        [3, 1.5, -2, 2**70, -(2**70), 2**53 + 1, float(2**53), 0, -0.0, True],
        [(2, "b"), (1, "z"), (1, "a"), (1.0, "m"), (0,)],
        ["b", "a", "", "ä"],
        [(1, 2, 3), (1, 2), (0, 9)],
        [float("inf"), -float("inf"), 10**400, 1],
    ],
)
def test_what_is_compared_without_python_is_compared_as_python_does(items):
    for _ in range(20):
        random.shuffle(items)
        q = sync.PriorityQueue()
        for item in items:
            q.put(item)
        assert [q.get() for _ in items] == sorted(items)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.none()), max_size=60), st.booleans())
def test_it_hands_out_what_a_sorted_list_would(steps, in_python):
    q, model = sync.PriorityQueue(), []
    for step in steps:
        if step is not None:
            q.put(Rank(step) if in_python else step)
            model.append(step)
            model.sort()
        elif model:
            got = q.get_nowait()
            assert (got.rank if in_python else got) == model.pop(0)
        else:
            with pytest.raises(asyncio.QueueEmpty):
                q.get_nowait()
        assert q.qsize() == len(model)


def test_what_cannot_be_compared_does_not_go_in():
    q = sync.PriorityQueue()
    q.put("a word")
    with pytest.raises(TypeError):
        q.put(1)
    q.put("another")
    with pytest.raises(TypeError):
        q.put(object())
    assert (drained(q), q.unfinished_tasks) == (["a word", "another"], 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_comparison_that_raises_loses_and_doubles_nothing(seed):
    chance = random.Random(seed)
    is_bad = True

    def act():
        if is_bad and chance.random() < 0.2:
            raise ArithmeticError

    q, inside = sync.PriorityQueue(), []
    for _ in range(500):
        if chance.random() < 0.6:
            rank = chance.randrange(100)
            try:
                q.put(Rank(rank, act))
            except ArithmeticError:
                continue
            inside.append(rank)
        elif inside:
            try:
                rank = q.get_nowait().rank
            except ArithmeticError:
                continue
            assert rank == min(inside)
            inside.remove(rank)
        assert q.qsize() == len(inside)
    is_bad = False
    assert drained(q) == sorted(inside)


def test_a_comparison_that_raises_in_a_put_that_waited_gives_the_room_back():
    q, is_bad = sync.PriorityQueue(2), []

    def act():
        if is_bad:
            raise ArithmeticError

    q.put(Rank(0))
    q.put(Rank(1))

    def put():
        with pytest.raises(ArithmeticError):
            q.put(Rank(2, act), timeout=SECONDS_MAX)

    def get():
        while "1 putting" not in repr(q):
            time.sleep(0.001)
        is_bad.append(True)
        assert q.get().rank == 0

    in_threads(put, get)
    assert q.qsize() == 1
    q.put_nowait(Rank(3))
    assert (q.full(), drained(q)) == (True, [1, 3])


def test_a_comparison_that_takes_its_time_keeps_nobody_out():
    q = sync.PriorityQueue()
    begun, go_on = threading.Event(), threading.Event()

    def wait():
        begun.set()
        assert go_on.wait(SECONDS_MAX)

    q.put(Rank(5))

    def slow():
        q.put(Rank(3, wait))

    def quick():
        assert begun.wait(SECONDS_MAX)
        q.put(Rank(1, lambda: None))
        assert q.get_nowait().rank == 1
        assert q.get_nowait().rank == 5
        go_on.set()

    in_threads(slow, quick)
    assert drained(q) == [3]


def test_a_comparison_may_use_the_very_queue():
    q, depth = sync.PriorityQueue(), []

    def put():
        if len(depth) < 50:
            depth.append(None)
            q.put(Rank(1000 + len(depth)))

    for rank in range(20):
        q.put(Rank(rank, put))
    got = [item.rank for item in iter(lambda: q.get_nowait() if not q.empty() else None, None)]
    assert len(depth) == 50
    assert sorted(got) == [*range(20), *range(1001, 1051)]

    taken, is_inside = [], []

    def get():
        if not is_inside:
            is_inside.append(True)
            taken.append(q.get_nowait().rank)
            is_inside.clear()

    for rank in range(20):
        q.put(Rank(rank))
    q.put(Rank(50, get))
    assert sorted(taken + drained(q)) == [*range(20), 50]


def test_threads_that_switch_within_comparisons_lose_and_double_nothing():
    q = sync.PriorityQueue()

    def act():
        if random.random() < 0.05:
            time.sleep(0.0001)

    def produce(first):
        for rank in range(first, first + 200):
            q.put(Rank(rank, act))

    def consume():
        return [q.get(timeout=SECONDS_MAX).rank for _ in range(200)]

    outcomes = in_threads(*[lambda at=at: produce(at * 200) for at in range(3)], consume, consume, consume)
    assert sorted(rank for got in outcomes[3:] for rank in got) == list(range(600))
    assert q.empty()


@worlds
def test_tasks_get_the_lowest_first(world):
    async def main():
        q = sync.PriorityQueue(100)
        for rank in (5, 1, 3):
            await q.put(Rank(rank))
        assert [(await q.get()).rank for _ in range(3)] == [1, 3, 5]

    run(world, main)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_an_item_gains_a_step_for_each_span_of_ageing_that_it_waits():
    clock = Clock()
    q = sync.PriorityQueue(ageing=10.0, clock=clock)
    q.put((5, "old"))
    clock.now += 29.0
    q.put((2, "less than three steps later"))
    clock.now += 2.0
    q.put((2, "more than three steps later"))
    assert [q.get()[1] for _ in range(3)] == ["less than three steps later", "old", "more than three steps later"]


def test_with_ageing_none_waits_for_ever_and_without_it_does():
    for ageing, expected in ((1.0, True), (None, False)):
        clock = Clock()
        q = sync.PriorityQueue(ageing=ageing, clock=clock) if ageing else sync.PriorityQueue()
        q.put((10, "patient"))
        seen = []
        for _ in range(50):
            clock.now += 1.0
            q.put((0, "urgent"))
            seen.append(q.get()[1])
        assert ("patient" in seen) is expected
        if ageing:
            assert 9 <= seen.index("patient") <= 11


def test_ageing_wants_numbers():
    q = sync.PriorityQueue(ageing=1)
    for wrong in ("word", ("word", 1), (), None):
        with pytest.raises((TypeError, IndexError)):
            q.put(wrong)
    with pytest.raises(ValueError, match="NaN"):
        q.put(float("nan"))
    q.put(3)
    q.put((1, object()))
    q.put((1, object()))
    assert q.qsize() == 3
    for ageing in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="ageing must be a positive number of seconds"):
            sync.PriorityQueue(ageing=ageing)
    with pytest.raises(ValueError, match="only ageing needs a clock"):
        sync.PriorityQueue(clock=time.monotonic)


def test_with_ageing_an_empty_tuple_is_no_item() -> None:
    with pytest.raises(TypeError, match="begins with one"):
        sync.PriorityQueue(ageing=1.0).put(())
