"""`RWLock` for threads and tasks: many read, or one writes, and the policy says who is let in first."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, until, wait, waiting

from tideloop.sync import RWLock

POLICIES = ["fair", "reader", "writer"]


async def hold(side: Any, inside: list[Any], leave: threading.Event) -> None:
    await wait(side.acquire())
    inside.append(side)
    # Whoever holds it here has nothing else to do in its thread.
    assert leave.wait(20)
    side.release()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", KINDS)
def test_many_read_and_a_writer_is_alone(kind: str, policy: Any) -> None:
    lock = RWLock(policy)
    inside: list[Any] = []
    leave, leave_too = threading.Event(), threading.Event()
    readers = [Party(kind, hold, lock.read(), inside, leave) for _ in range(3)]
    until(lambda: len(inside) == 3)
    assert (lock.reading, lock.writing) == (3, 0)
    writer = Party(kind, hold, lock.write(), inside, leave_too)
    until(lambda: waiting(lock) == 1)
    leave.set()
    until(lambda: len(inside) == 4)
    assert (lock.reading, lock.writing) == (0, 1)
    assert not lock.read().acquire(blocking=False)
    assert not lock.write().acquire(timeout=0.01)
    leave_too.set()
    for party in [*readers, writer]:
        party.result()
    assert (lock.reading, lock.writing) == (0, 0)


def order_of(policy: Any, kinds: tuple[str, str]) -> list[str]:
    """One reads; then a writer comes, then a reader: in which order do they get in?"""
    lock = RWLock(policy)
    order: list[str] = []

    async def enter(side: Any, name: str) -> None:
        await wait(side.acquire())
        order.append(name)
        side.release()

    with lock.read():
        writer = Party(kinds[0], enter, lock.write(), "writer")
        until(lambda: waiting(lock) == 1)
        reader = Party(kinds[1], enter, lock.read(), "reader")
        until(lambda: waiting(lock) == 2 or order)
        time.sleep(0.01)
        before = list(order)
    for party in (writer, reader):
        party.result()
    return [*before, "|", *order[len(before) :]]


@pytest.mark.parametrize("kinds", [("thread", "tideloop"), ("asyncio", "thread")])
def test_a_waiting_writer_enters_before_later_readers_unless_readers_overtake(kinds: tuple[str, str]) -> None:
    assert order_of("fair", kinds) == ["|", "writer", "reader"]
    assert order_of("writer", kinds) == ["|", "writer", "reader"]
    assert order_of("reader", kinds) == ["reader", "|", "writer"]


def test_policies_differ_when_a_writer_leaves() -> None:
    for policy, expected in (
        ("fair", ["reader", "writer"]),
        ("reader", ["reader", "writer"]),
        ("writer", ["writer", "reader"]),
    ):
        lock = RWLock(policy)  # type: ignore[arg-type]
        order: list[str] = []

        async def enter(side: Any, name: str, order: list[str] = order) -> None:
            await wait(side.acquire())
            order.append(name)
            side.release()

        with lock.write():
            reader = Party("thread", enter, lock.read(), "reader")
            until(lambda: waiting(lock) == 1)  # noqa: B023 (used at once)
            writer = Party("thread", enter, lock.write(), "writer")
            until(lambda: waiting(lock) == 2)  # noqa: B023 (used at once)
        reader.result()
        writer.result()
        assert order == expected, policy


@pytest.mark.parametrize("kind", KINDS)
def test_who_reads_may_read_again_even_while_a_writer_waits(kind: str) -> None:
    lock = RWLock("writer")

    async def body() -> int:
        await wait(lock.read().acquire())
        writer = Party("thread", write)
        until(lambda: waiting(lock) == 1)
        await wait(lock.read().acquire())
        count: int = lock.reading
        lock.read().release()
        lock.read().release()
        writer.result()
        return count

    async def write() -> None:
        with lock.write():
            pass

    assert Party(kind, body).result() == 2
    assert (lock.reading, lock.writing) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_would_wait_for_itself_is_told_so(kind: str) -> None:
    lock = RWLock()

    async def body() -> None:
        await wait(lock.read().acquire())
        with pytest.raises(RuntimeError, match="a reader cannot begin to write"):
            await wait(lock.write().acquire())
        with pytest.raises(RuntimeError, match="a reader cannot begin to write"):
            lock.write().acquire(blocking=False)
        lock.read().release()
        await wait(lock.write().acquire())
        for side in (lock.read(), lock.write()):
            with pytest.raises(RuntimeError, match="would wait for itself"):
                await wait(side.acquire())
        lock.write().release()
        for side in (lock.read(), lock.write()):
            with pytest.raises(RuntimeError, match="un-acquired"):
                side.release()

    Party(kind, body).result()
    assert (lock.reading, lock.writing) == (0, 0)


@pytest.mark.parametrize("kind", TASKS)
def test_a_writer_that_is_cancelled_lets_the_readers_behind_it_in(kind: str) -> None:
    lock = RWLock()

    async def enter(side: Any) -> None:
        await wait(side.acquire())
        side.release()

    with lock.read():
        writer = Party(kind, enter, lock.write())
        until(lambda: waiting(lock) == 1)
        reader = Party("thread", enter, lock.read())
        until(lambda: waiting(lock) == 2)
        writer.cancel()
        reader.result()
    writer.result()
    assert writer.was_cancelled
    assert waiting(lock) == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_three_readers_and_two_writers_for_a_second(policy: Any) -> None:
    lock = RWLock(policy)
    end = time.monotonic() + 1.0
    counts = [0] * 5
    value = [0, 0]
    torn: list[Any] = []
    together = 0

    def read(number: int) -> None:
        nonlocal together
        while time.monotonic() < end:
            with lock.read():
                together = max(together, lock.reading)
                if value[0] != value[1] or lock.writing:
                    torn.append(list(value))
                time.sleep(0.0002)
            counts[number] += 1

    def write(number: int) -> None:
        while time.monotonic() < end:
            with lock.write():
                value[0] += 1
                if lock.reading or lock.writing != 1:
                    torn.append("not alone")
                time.sleep(0.0002)
                value[1] += 1
            counts[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    threads += [threading.Thread(target=write, args=(number,)) for number in range(3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torn == []
    assert together > 1
    assert value[0] == value[1] == counts[3] + counts[4]
    if policy == "fair":
        assert min(counts) >= 0.25 * sum(counts) / len(counts)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="policy must be"):
        RWLock("first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="can't specify a timeout"):
        RWLock().read().acquire(False, 1)
