"""Backoff: what tries and steps back gets past others of its kind."""

import asyncio
import random
import threading
import time

import pytest

from shared.threads import in_threads
from tideloop.sync import Backoff


def test_polite_spouses_both_eat_within_a_second():
    """Each takes its own fork, finds the other's taken, and puts its own back; without randomness, for ever."""
    forks = [threading.Lock(), threading.Lock()]
    meals = [0, 0]

    def eat(index):
        own, others = forks[index], forks[1 - index]
        backoff = Backoff()
        while meals[index] < 10:
            with own:
                if others.acquire(blocking=False):
                    meals[index] += 1
                    others.release()
                    backoff.reset()
                    continue
            backoff.wait()

    begun = time.monotonic()
    in_threads(2, eat)
    assert meals == [10, 10]
    assert time.monotonic() - begun < 1


def test_polite_tasks_both_eat_within_a_second(run):
    taken = [False, False]
    meals = [0, 0]

    async def eat(index):
        backoff = Backoff()
        while meals[index] < 10:
            if not taken[index]:
                taken[index] = True
                await asyncio.sleep(0)  # so that both have theirs
                if not taken[1 - index]:
                    meals[index] += 1
                    backoff.reset()
                taken[index] = False
            await backoff.sleep()

    async def both():
        await asyncio.wait_for(asyncio.gather(eat(0), eat(1)), 1)

    run(both())
    assert meals == [10, 10]


def test_a_task_of_trio_pauses_too():
    trio = pytest.importorskip("trio", reason="the test is about its tasks")

    async def pause() -> None:
        await Backoff().sleep()

    trio.run(pause)


def test_the_limit_doubles_up_to_the_ceiling_and_begins_again(monkeypatch):
    limits, pauses = [], []
    monkeypatch.setattr(random, "uniform", lambda low, high: limits.append((low, high)) or high)
    monkeypatch.setattr(time, "sleep", pauses.append)
    backoff = Backoff(base=1, ceiling=5)
    for _ in range(5):
        backoff.wait()
    assert pauses == [1, 2, 4, 5, 5]
    assert {low for low, _ in limits} == {0}
    backoff.reset()
    backoff.wait()
    assert pauses[-1] == 1
    assert repr(backoff) == "<Backoff limit=2 ceiling=5>"


@pytest.mark.parametrize(("base", "ceiling"), [(0, 1), (-1, 1), (2, 1)])
def test_limits_that_make_no_sense_are_refused(base, ceiling):
    with pytest.raises(ValueError, match="must hold"):
        Backoff(base=base, ceiling=ceiling)
