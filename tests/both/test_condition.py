"""`Condition` for threads and tasks: who is notified goes on, with the lock, whatever happens on the way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, parties, until, wait, waiting

from tideloop.sync import Condition, Lock, RLock

LOCKS = [None, Lock, RLock]


def make(lock: Any) -> Condition:
    return Condition() if lock is None else Condition(lock())


async def wait_once(condition: Condition, timeout: float | None = None) -> Any:
    await wait(condition.acquire())
    try:
        return await wait(condition.wait(timeout))
    finally:
        condition.release()


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_notified_goes_on_with_the_lock(kind: str, lock: Any) -> None:
    condition = make(lock)
    party = Party(kind, wait_once, condition)
    until(lambda: waiting(condition) == 1)
    assert not condition.locked()
    with condition:
        condition.notify()
        assert waiting(condition) == 0
        assert party.is_alive()
    assert party.result() is True
    assert not condition.locked()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_that_is_over_returns_false_with_the_lock(kind: str) -> None:
    condition = Condition()

    async def body() -> Any:
        await wait(condition.acquire())
        result = await wait(condition.wait(0.01))
        owned = condition._is_owned()
        condition.release()
        return result, owned

    assert Party(kind, body).result() == (False, True)
    assert waiting(condition) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_whose_time_is_up_waits_on_for_the_lock(kind: str) -> None:
    lock = Lock(fair=True)
    condition = Condition(lock)

    async def body() -> Any:
        await wait(condition.acquire())
        try:
            until(lambda: waiting(lock) == 1)
            # The lock goes to the one in line as this wait begins: it is held by that one when the time is up.
            return await wait(condition.wait(0.05))
        finally:
            condition.release()

    party = Party(kind, body)
    until(lock.locked)
    with condition:
        until(lambda: waiting(condition) == 0)
        assert party.is_alive()
    assert party.result() is False


def test_threads_and_tasks_are_notified_in_the_order_in_which_they_came() -> None:
    condition = Condition()
    order: list[int] = []

    async def body(number: int) -> None:
        await wait(condition.acquire())
        try:
            await wait(condition.wait())
            order.append(number)
        finally:
            condition.release()

    made: list[Party] = []
    for number, kind in enumerate(["thread", "tideloop", "thread", "asyncio", "thread"]):
        made.append(Party(kind, body, number))
        until(lambda: waiting(condition) == len(made))
    with parties(*made):
        for number in range(len(made)):
            with condition:
                condition.notify()
            until(lambda: len(order) == number + 1)  # noqa: B023 (used at once)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_notify_is_for_so_many_and_notify_all_for_the_rest(kind: str) -> None:
    condition = Condition()
    made = [Party(kind, wait_once, condition) for _ in range(5)]
    until(lambda: waiting(condition) == 5)
    with condition:
        condition.notify(2)
        assert waiting(condition) == 3
        condition.notify(0)
        condition.notify(-1)
        assert waiting(condition) == 3
    until(lambda: sum(party.is_alive() for party in made) == 3)
    with condition:
        condition.notify_all()
    assert [party.result() for party in made] == [True] * 5


def test_a_notification_is_not_for_who_comes_later() -> None:
    condition = Condition()
    with condition:
        condition.notify()
        condition.notify_all()
        assert condition.wait(0.01) is False


@pytest.mark.parametrize("kind", TASKS)
def test_one_cancelled_after_it_was_notified_notifies_the_next(kind: str) -> None:
    condition = Condition()
    first = Party(kind, wait_once, condition)
    until(lambda: waiting(condition) == 1)
    second = Party("thread", wait_once, condition)
    until(lambda: waiting(condition) == 2)
    with condition:
        condition.notify()
        assert waiting(condition) == 1
        first.cancel()
        until(lambda: waiting(condition) == 0)
    assert second.result() is True
    first.result()
    assert first.was_cancelled
    assert not condition.locked()


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("kind", TASKS)
def test_one_cancelled_holds_the_lock_when_it_leaves(kind: str, lock: Any) -> None:
    condition = make(lock)
    owned: list[bool] = []

    async def body() -> None:
        await wait(condition.acquire())
        try:
            await wait(condition.wait())
        finally:
            owned.append(condition._is_owned())
            condition.release()

    party = Party(kind, body)
    until(lambda: waiting(condition) == 1)
    with condition:
        party.cancel()
        until(lambda: waiting(condition) == 0)
        party.cancel()
        party.join(0.05)
        assert party.is_alive()
    party.result()
    assert party.was_cancelled
    assert owned == [True]
    assert not condition.locked()


def test_one_whose_loop_is_closed_while_it_waits_is_passed_over() -> None:
    condition = Condition()
    loop = asyncio.SelectorEventLoop()
    task = loop.create_task(wait_once(condition))
    until(lambda: bool(loop.run_until_complete(asyncio.sleep(0)) or waiting(condition)))
    other = Party("thread", wait_once, condition)
    until(lambda: waiting(condition) == 2)
    loop.close()
    with condition:
        condition.notify()
    assert other.result() is True
    # The lock is free, so what is thrown into it on closing finds it.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    task.get_coro().close()  # type: ignore[union-attr]
    assert waiting(condition) == 0


def test_a_coroutine_that_cannot_have_the_lock_again_does_not_let_itself_be_closed() -> None:
    condition = Condition(Lock())
    loop = asyncio.SelectorEventLoop()
    coro = wait_once(condition)
    task = loop.create_task(coro)
    until(lambda: bool(loop.run_until_complete(asyncio.sleep(0)) or waiting(condition)))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    with condition:
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            coro.close()
        assert condition.locked()
    assert not condition.locked()


@pytest.mark.parametrize("kind", KINDS)
def test_an_rlock_is_had_again_as_often_as_it_was(kind: str) -> None:
    condition = Condition()

    async def body() -> int:
        await wait(condition.acquire())
        await wait(condition.acquire())
        await wait(condition.wait())
        count = 0
        while condition._is_owned():
            condition.release()
            count += 1
        return count

    party = Party(kind, body)
    until(lambda: waiting(condition) == 1)
    with condition:
        condition.notify()
    assert party.result() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_wait_for_returns_what_the_predicate_did(kind: str) -> None:
    condition = Condition()
    found: list[str] = []

    async def body(timeout: float | None) -> Any:
        await wait(condition.acquire())
        try:
            return await wait(condition.wait_for(lambda: found and found[0], timeout))
        finally:
            condition.release()

    assert Party(kind, body, 0.01).result() == []
    party = Party(kind, body, None)
    until(lambda: waiting(condition) == 1)
    with condition:
        condition.notify()
    until(lambda: waiting(condition) == 1 and not condition.locked())
    with condition:
        found.append("it")
        condition.notify()
    assert party.result() == "it"


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_the_lock_one_neither_waits_nor_notifies(kind: str, lock: Any) -> None:
    condition = make(lock)

    async def body() -> None:
        with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
            await wait(condition.wait())
        with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
            condition.notify()
        with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
            condition.notify_all()

    Party(kind, body).result()


def test_arguments_are_checked_before_the_lock_is_released() -> None:
    condition = Condition()
    with condition:
        with pytest.raises(ValueError, match="NaN"):
            condition.wait(float("nan"))
        with pytest.raises(OverflowError):
            condition.wait(1e100)
        assert condition.wait(-1) is False
        assert condition._is_owned()
    with pytest.raises(TypeError, match="a Lock or RLock"):
        Condition(threading.Lock())  # type: ignore[arg-type]


def test_a_predicate_that_raises_leaves_the_lock_held() -> None:
    condition = Condition()
    with condition:
        with pytest.raises(ZeroDivisionError):
            condition.wait_for(lambda: 1 / 0)
        assert condition._is_owned()


@pytest.mark.parametrize("kind", KINDS)
def test_items_that_wait_in_a_list_are_all_taken(kind: str) -> None:
    condition = Condition()
    items: list[int] = []
    total = 200

    async def consume() -> list[int]:
        taken: list[int] = []
        while True:
            await wait(condition.acquire())
            try:
                await wait(condition.wait_for(lambda: items))
                item = items.pop(0)
            finally:
                condition.release()
            if item < 0:
                return taken
            taken.append(item)

    made = [Party(kind, consume), Party("thread", consume), Party("tideloop", consume)]
    for number in range(total):
        with condition:
            items.append(number)
            condition.notify()
    for _ in made:
        with condition:
            items.append(-1)
            condition.notify()
    assert sorted(number for party in made for number in party.result()) == list(range(total))
