"""`Once` and `Latch` for threads and tasks."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from parties import KINDS, TASKS, Party, pause, until, wait, waiting

from tideloop.sync import Latch, Once


@pytest.mark.parametrize("kind", KINDS)
def test_all_get_the_result_of_the_one_that_does_it(kind: str) -> None:
    once = Once()
    calls: list[Any] = []
    go_on = threading.Event()

    def make(*args: Any, **kwargs: Any) -> object:
        calls.append((args, kwargs))
        assert go_on.wait(10)
        return marker

    marker = object()

    async def body() -> Any:
        return await wait(once.call(make, 1, two=2))

    first = Party(kind, body)
    until(lambda: calls)
    others = [Party("thread", body), Party(kind, body)]
    until(lambda: waiting(once) == 2)
    assert not once.done
    go_on.set()
    assert all(party.result() is marker for party in [first, *others])
    assert calls == [((1,), {"two": 2})]
    assert once.done
    assert once.call(make) is marker


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_may_do_it_by_a_coroutine_function(kind: str) -> None:
    once = Once()

    async def make(value: int) -> int:
        await pause(0.001)
        return value + 1

    async def body() -> Any:
        return [await once.call(make, 41), await once.call(make, 0)]

    assert Party(kind, body).result() == [42, 42]
    assert once.call(make) == 42


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_leaves_it_undone(kind: str) -> None:
    once = Once()

    async def body() -> Any:
        with pytest.raises(ZeroDivisionError):
            await wait(once.call(lambda: 1 // 0))
        assert not once.done
        return await wait(once.call(lambda: None))

    assert Party(kind, body).result() is None
    assert once.done


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_cancelled_while_it_does_it_leaves_it_to_the_next(kind: str) -> None:
    once = Once()
    running = threading.Event()

    async def never() -> None:
        running.set()
        await pause(30)

    async def first() -> None:
        await once.call(never)

    async def second() -> Any:
        return await wait(once.call(lambda: "done"))

    party = Party(kind, first)
    assert running.wait(10)
    other = Party("thread", second)
    until(lambda: waiting(once) == 1)
    party.cancel()
    assert other.result() == "done"
    party.result()
    assert party.was_cancelled


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_would_wait_for_itself_is_told_so(kind: str) -> None:
    once = Once()

    async def body() -> None:
        with pytest.raises(RuntimeError, match="inside of what it calls"):
            await wait(once.call(inner) if kind == "thread" else once.call(inner_soon))

    def inner() -> None:
        once.call(inner)

    async def inner_soon() -> None:
        await once.call(inner_soon)

    Party(kind, body).result()
    assert not once.done
    assert once.call(lambda: 1) == 1


def test_a_cycle_through_its_result_is_collected() -> None:
    class Named(Once):
        pass

    def tie() -> weakref.ref[Named]:
        once = Named()
        once.call(lambda: [once])
        return weakref.ref(once)

    reference = tie()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_latch_opens_at_zero_for_ever(kind: str) -> None:
    latch = Latch(3)

    async def body(timeout: float | None = None) -> Any:
        return await wait(latch.wait(timeout))

    assert Party(kind, body, 0.01).result() is False
    made = [Party(kind, body) for _ in range(2)]
    until(lambda: waiting(latch) == 2)
    latch.count_down()
    assert (latch.count, waiting(latch)) == (2, 2)
    latch.count_down(2)
    assert [party.result() for party in made] == [True, True]
    latch.count_down(5)
    assert latch.count == 0
    assert Party(kind, body).result() is True


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="count must be >= 0"):
        Latch(-1)
    with pytest.raises(ValueError, match="n must be one or more"):
        Latch(1).count_down(0)
    assert Latch(0).wait() is True


def test_keywords_of_any_name_are_the_functions() -> None:
    assert Once().call(dict, function=1, self=2) == {"function": 1, "self": 2}
