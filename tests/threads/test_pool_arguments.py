"""What a pool takes as arguments and options, what it refuses at once, and which context variables map sees."""

import contextvars
import itertools
import sys

import pytest

from tideloop.threads import CancelToken, ThreadPool

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

variable = contextvars.ContextVar("variable", default="none")


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


@pytest.mark.parametrize("chunksize", [0, -1, True, None, 2.5, "ten", sys.maxsize, 10**30])
def test_map_takes_any_chunksize_as_an_executor_does(pool, chunksize):
    assert list(pool.map(abs, [-1, 2, -3], chunksize=chunksize)) == [1, 2, 3]
    assert list(pool.map(abs, [-1, 2, -3], chunksize=chunksize, buffersize=1)) == [1, 2, 3]


@pytest.mark.parametrize("ordered", [True, False])
def test_every_item_has_the_context_in_which_map_was_called(run, pool, ordered):
    def see(_):
        return variable.get()

    async def main():
        variable.set("when it was called")
        results = pool.map(see, itertools.repeat(None, 6), buffersize=1, ordered=ordered)
        variable.set("later")
        return {result async for result in results}

    def in_thread():
        variable.set("when it was called")
        results = pool.map(see, range(6), buffersize=1, ordered=ordered)
        variable.set("later")
        return set(results)

    assert run(main()) == {"when it was called"}
    assert contextvars.copy_context().run(in_thread) == {"when it was called"}


def test_what_a_function_sets_is_not_seen_by_the_next_item(pool):
    def see_and_set(n):
        before = variable.get()
        variable.set(n)
        return before

    assert set(pool.map(see_and_set, range(20), buffersize=2)) == {"none"}


@pytest.mark.parametrize("seconds", [-1, -0.5, float("nan"), float("-inf")])
def test_idle_seconds_that_are_no_time_are_refused(seconds):
    with pytest.raises(ValueError, match="idle_seconds must be at least 0"):
        ThreadPool(1, idle_seconds=seconds)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"priority": 1.5}, TypeError),
        ({"priority": "high"}, TypeError),
        ({"priority": 2**63}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"timeout": float("nan")}, ValueError),
        ({"token": True}, TypeError),
        ({"name": 5}, TypeError),
        ({"name": b"name"}, TypeError),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(pool, options, error):
    with pytest.raises(error):
        pool.with_options(**options)


def test_options_at_their_bounds_are_taken(pool):
    for options in (
        {"priority": 2**63 - 1, "timeout": 1000},
        {"priority": -(2**63), "timeout": float("inf")},
        {"token": CancelToken(), "name": ""},
    ):
        assert pool.with_options(**options).submit(abs, -1).result(10) == 1


def test_a_time_limit_without_end_is_none_in_a_loop(run, pool):
    assert run(pool.with_options(timeout=float("inf")).run(abs, -1)) == 1
