"""`Barrier` for threads and tasks: all have come before anybody leaves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, pause, until, wait

from tideloop.sync import Barrier, BrokenBarrierError


async def come(barrier: Barrier, timeout: float | None = None) -> Any:
    return await wait(barrier.wait(timeout))


@pytest.mark.parametrize("kind", KINDS)
def test_four_come_and_the_number_of_those_who_wait_goes_up_to_three(kind: str) -> None:
    barrier = Barrier(4)
    seen = [barrier.n_waiting]
    made = []
    for count in range(3):
        made.append(Party(kind, come, barrier))
        until(lambda: barrier.n_waiting == count + 1)  # noqa: B023 (used at once)
        seen.append(barrier.n_waiting)
    assert barrier.wait() == 3
    assert [party.result() for party in made] == [0, 1, 2]
    assert seen == [0, 1, 2, 3]
    assert barrier.n_waiting == 0
    assert not barrier.broken


def test_threads_and_tasks_go_in_lockstep() -> None:
    barrier = Barrier(len(KINDS))
    counts = [0] * len(KINDS)
    uneven: list[list[int]] = []

    async def body(number: int) -> None:
        for turn in range(20):
            counts[number] += 1
            await wait(barrier.wait())
            if set(counts) != {turn + 1}:
                uneven.append(list(counts))
            await wait(barrier.wait())

    kinds = ["thread", "tideloop", "asyncio", "thread", "tideloop"]
    for party in [Party(kind, body, number) for number, kind in enumerate(kinds)]:
        party.result()
    assert uneven == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_one_acts_before_anybody_leaves(kind: str) -> None:
    acted: list[int] = []
    barrier = Barrier(3, lambda: acted.append(threading.get_ident()))
    left: list[int] = []

    async def body() -> None:
        await wait(barrier.wait())
        left.append(len(acted))

    first = [Party(kind, body) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    last = Party(kind, body)
    for party in [*first, last]:
        party.result()
    assert acted == [last.ident]
    assert left == [1, 1, 1]


def test_an_action_that_raises_breaks_the_barrier() -> None:
    barrier = Barrier(2, lambda: 1 // 0)
    party = Party("tideloop", come, barrier)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    with pytest.raises(BrokenBarrierError):
        party.result()
    assert barrier.broken


def test_who_comes_while_the_last_one_acts_waits_for_the_next_round() -> None:
    acting = threading.Event()
    go_on = threading.Event()

    def action() -> None:
        if not acting.is_set():
            acting.set()
            assert go_on.wait(10)

    barrier = Barrier(2, action)
    first = [Party("thread", come, barrier) for _ in range(2)]
    assert acting.wait(10)
    late = [Party("tideloop", come, barrier), Party("thread", come, barrier)]
    until(lambda: True)
    assert all(party.is_alive() for party in late)
    go_on.set()
    assert sorted(party.result() for party in first) == [0, 1]
    assert sorted(party.result() for party in late) == [0, 1]


@pytest.mark.parametrize("how", ["abort", "reset"])
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_waits_is_told_of_an_end(kind: str, how: str) -> None:
    barrier = Barrier(3)
    made = [Party(kind, come, barrier) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    getattr(barrier, how)()
    for party in made:
        for error in (threading.BrokenBarrierError, asyncio.BrokenBarrierError, BrokenBarrierError):
            with pytest.raises(error):
                party.result()
    assert barrier.broken == (how == "abort")
    if how == "abort":
        with pytest.raises(BrokenBarrierError):
            barrier.wait()
        barrier.reset()
    others = []
    for count in (1, 2):
        others.append(Party("thread", come, barrier))
        until(lambda: barrier.n_waiting == count)  # noqa: B023 (used at once)
    assert barrier.wait() == 2
    assert [party.result() for party in others] == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_who_waits_too_long_breaks_it_for_all(kind: str) -> None:
    barrier = Barrier(3, timeout=0.05)
    other = Party("thread", come, barrier, 20)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(BrokenBarrierError):
        Party(kind, come, barrier).result()
    with pytest.raises(BrokenBarrierError):
        other.result()
    assert barrier.broken


@pytest.mark.parametrize("kind", TASKS)
def test_one_that_is_cancelled_has_not_come(kind: str) -> None:
    barrier = Barrier(2)
    party = Party(kind, come, barrier)
    until(lambda: barrier.n_waiting == 1)
    party.cancel()
    party.result()
    assert party.was_cancelled
    assert barrier.n_waiting == 0
    assert not barrier.broken
    other = Party("thread", come, barrier)
    until(lambda: barrier.n_waiting == 1)
    barrier.wait()
    other.result()


@pytest.mark.parametrize("kind", TASKS)
def test_a_block_gets_the_place(kind: str) -> None:
    barrier = Barrier(2)

    async def body() -> int:
        async with barrier as place:
            await pause()
            return place

    party = Party(kind, body)
    until(lambda: barrier.n_waiting == 1)
    with barrier as place:
        assert place == 1
    assert party.result() == 0


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="parties must be greater than 0"):
        Barrier(0)
    with pytest.raises(ValueError, match="NaN"):
        Barrier(1, timeout=float("nan"))
    assert Barrier(1).wait() == 0
    barrier = Barrier(2)
    assert "waiters=0/2" in repr(barrier)
    barrier.abort()
    assert "broken" in repr(barrier)


@pytest.mark.parametrize("kind", KINDS)
def test_an_action_that_would_have_to_be_awaited_is_refused(kind: str) -> None:
    async def action() -> None:
        pass

    barrier = Barrier(1, action=action)
    with pytest.raises(TypeError, match="returned a coroutine"):
        Party(kind, come, barrier).result()
    assert barrier.broken
