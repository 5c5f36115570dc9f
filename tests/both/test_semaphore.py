"""`Semaphore` and `BoundedSemaphore` for threads and tasks."""

from __future__ import annotations

from typing import Any

import pytest
from parties import KINDS, TASKS, Party, parties, until, wait, waiting

from tideloop.sync import BoundedSemaphore, Semaphore


@pytest.mark.parametrize("kind", KINDS)
def test_so_many_have_a_permit_and_the_others_wait(kind: str) -> None:
    semaphore = Semaphore(2)

    async def body() -> Any:
        return await wait(semaphore.acquire())

    made = [Party(kind, body) for _ in range(4)]
    until(lambda: waiting(semaphore) == 2)
    assert semaphore.locked()
    semaphore.release(2)
    assert [party.result() for party in made] == [True] * 4
    assert waiting(semaphore) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_that_is_up_returns_false(kind: str) -> None:
    semaphore = Semaphore(0)

    async def body() -> list[Any]:
        return [await wait(semaphore.acquire(timeout=timeout)) for timeout in (0.01, 0, -1)]

    assert Party(kind, body).result() == [False, False, False]
    assert waiting(semaphore) == 0


@pytest.mark.parametrize("kind", TASKS)
def test_async_with_takes_one_and_gives_it_back(kind: str) -> None:
    semaphore = Semaphore(1)

    async def body() -> None:
        async with semaphore:
            assert semaphore.locked()
        assert not semaphore.locked()

    with semaphore:
        party = Party(kind, body)
        until(lambda: waiting(semaphore) == 1)
    party.result()


@pytest.mark.parametrize("kind", TASKS)
def test_a_permit_given_to_one_who_is_cancelled_goes_to_the_next(kind: str) -> None:
    semaphore = Semaphore(0, fair=True)

    async def body() -> Any:
        return await wait(semaphore.acquire())

    first = Party(kind, body)
    until(lambda: waiting(semaphore) == 1)
    second = Party("thread", body)
    until(lambda: waiting(semaphore) == 2)
    first.cancel()
    semaphore.release()
    if first.result() is True:
        semaphore.release()
    assert second.result() is True
    assert not semaphore.acquire(blocking=False)


def test_permits_are_counted_exactly() -> None:
    semaphore = Semaphore(3)
    inside = 0
    most = 0
    done = 0

    async def body() -> None:
        nonlocal inside, most, done
        for _ in range(200):
            await wait(semaphore.acquire())
            inside += 1
            most = max(most, inside)
            inside -= 1
            done += 1
            semaphore.release()

    kinds = ["thread", "thread", "tideloop", "tideloop", "asyncio"]
    with parties(*[Party(kind, body) for kind in kinds]):
        pass
    assert 1 <= most <= 3
    assert "value=3>" in repr(semaphore)


def test_a_bounded_one_takes_no_more_than_it_gave() -> None:
    semaphore = BoundedSemaphore(2)
    assert isinstance(semaphore, Semaphore)
    with pytest.raises(ValueError, match="Semaphore released too many times"):
        semaphore.release()
    semaphore.acquire()
    with pytest.raises(ValueError, match="Semaphore released too many times"):
        semaphore.release(2)
    assert "value=1/2>" in repr(semaphore)
    semaphore.release(n=1)
    assert not semaphore.locked()


def test_an_unbounded_one_may_get_more() -> None:
    semaphore = Semaphore(0)
    semaphore.release(3)
    semaphore.release()
    assert [semaphore.acquire(False) for _ in range(5)] == [True] * 4 + [False]


def test_bad_arguments_raise_as_threading_does() -> None:
    semaphore = Semaphore()
    for make in (Semaphore, BoundedSemaphore):
        with pytest.raises(ValueError, match="initial value must be >= 0"):
            make(-1)
    with pytest.raises(ValueError, match="can't specify timeout"):
        semaphore.acquire(False, timeout=1.0)
    with pytest.raises(ValueError, match="NaN"):
        semaphore.acquire(timeout=float("nan"))
    for count in (0, -1):
        with pytest.raises(ValueError, match="n must be one or more"):
            semaphore.release(count)
    for wrong in ({"m": 1}, {"n": 1, "m": 2}):
        with pytest.raises(TypeError):
            semaphore.release(**wrong)
    with pytest.raises(TypeError):
        semaphore.release(1, 2)  # type: ignore[call-arg]
    assert "value=1>" in repr(semaphore)
