"""`acquire_all`: several locks at once, in one order, whoever asks for them in whichever order."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, until, waiting

from tideloop.sync import Lock, RLock, RWLock, Semaphore, acquire_all


async def inside(kind: str, *locks: Any, timeout: float | None = None) -> None:
    if kind == "thread":
        with acquire_all(*locks, timeout=timeout):
            assert all(lock.locked() for lock in locks)
    else:
        async with acquire_all(*locks, timeout=timeout):
            assert all(lock.locked() for lock in locks)


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_locks_are_held_in_the_block_and_free_after_it(kind: str) -> None:
    shared = RWLock()
    locks = [Semaphore(1), RLock(), shared.write(), Lock(), RWLock().read()]
    Party(kind, inside, kind, *locks).result()
    assert not any(lock.locked() for lock in locks)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_given_twice_is_taken_once(kind: str) -> None:
    lock, shared = Lock(), RWLock()

    async def body() -> tuple[int, int]:
        block = acquire_all(lock, shared.read(), lock, shared.write())
        if kind == "thread":
            with block:
                return shared.reading, shared.writing
        async with block:
            return shared.reading, shared.writing

    assert Party(kind, body).result() == (0, 1)
    assert not lock.locked()
    assert (shared.reading, shared.writing) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_taken_is_released_where_the_rest_is_not_had_in_time(kind: str) -> None:
    locks = [Lock() for _ in range(4)]
    with locks[2]:
        with pytest.raises(TimeoutError):
            Party(kind, lambda: inside(kind, *locks, timeout=0.02)).result()
        assert [lock.locked() for lock in locks] == [False, False, True, False]


@pytest.mark.parametrize("kind", TASKS)
def test_what_was_taken_is_released_when_the_task_is_cancelled(kind: str) -> None:
    first, second = Lock(), Lock()
    with second:
        party = Party(kind, inside, kind, second, first)
        until(lambda: waiting(second) == 1)
        assert first.locked()
        party.cancel()
        party.result()
        assert party.was_cancelled
        assert not first.locked()


def test_an_error_in_the_block_releases_all() -> None:
    locks = [Lock(), Lock()]
    with pytest.raises(KeyError), acquire_all(*locks):
        raise KeyError
    assert not any(lock.locked() for lock in locks)


def test_an_error_on_the_way_releases_what_was_taken() -> None:
    first, shared = Lock(), RWLock()
    with shared.read():
        with pytest.raises(RuntimeError, match="a reader cannot"), acquire_all(first, shared.write()):
            pass
        assert not first.locked()


def test_none_and_others() -> None:
    with acquire_all():
        pass
    with pytest.raises(TypeError, match="not a lock of tideloop"):
        acquire_all(threading.Lock())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a lock of tideloop"):
        acquire_all(asyncio.Lock())  # type: ignore[arg-type]


def test_threads_and_tasks_that_take_them_in_any_order_never_wait_for_ever() -> None:
    locks: list[Any] = [Lock(), RLock(), Semaphore(1), Lock(fair=True)]
    held = [0] * len(locks)
    total = 0

    async def body(kind: str, seed: int) -> None:
        nonlocal total
        rng = random.Random(seed)
        for _ in range(300):
            chosen = rng.sample(range(len(locks)), 2)
            block = acquire_all(*(locks[number] for number in chosen))
            if kind == "thread":
                with block:
                    for number in chosen:
                        held[number] += 1
                        assert held[number] == 1
                    for number in chosen:
                        held[number] -= 1
            else:
                async with block:
                    for number in chosen:
                        held[number] += 1
                        assert held[number] == 1
                    await asyncio.sleep(0)
                    for number in chosen:
                        held[number] -= 1

    kinds = ["thread", "thread", "tideloop", "tideloop", "asyncio"]
    for party in [Party(kind, body, kind, seed) for seed, kind in enumerate(kinds)]:
        party.result()
    assert held == [0] * len(locks)
