"""Pools whose submit() is not ours: every call goes by way of it, with its options."""

import asyncio
import contextvars
import threading
from concurrent.futures import CancelledError

import pytest
from thread_support import cancel_once_begun

from tideloop.threads import CancelToken, ThreadPool, current_token

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

variable = contextvars.ContextVar("variable", default="none")


class Counting(ThreadPool):
    """Notes the names of the functions that it is given."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.names = []

    def submit(self, fn, /, *args, **kwargs):
        self.names.append(fn.__name__)
        return super().submit(fn, *args, **kwargs)


class Wrapping(Counting):
    """Hands on something of its own."""

    def submit(self, fn, /, *args, **kwargs):
        return super().submit(lambda: fn(*args, **kwargs))


@pytest.fixture(params=[Counting, Wrapping, "assigned"])
def pool(request):
    if request.param != "assigned":
        with request.param(2) as pool:
            yield pool
        return
    with ThreadPool(2) as pool:
        pool.names = []
        usual = pool.submit

        def submit(fn, /, *args, **kwargs):
            pool.names.append(fn.__name__)
            return usual(fn, *args, **kwargs)

        pool.submit = submit
        yield pool
        del pool.submit


def test_map_goes_by_way_of_it(pool):
    assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
    assert len(pool.names) == 3
    assert sorted(pool.with_options(priority=1).map(abs, range(5), ordered=False, buffersize=2)) == list(range(5))
    assert len(pool.names) == 8


def test_run_and_run_in_executor_go_by_way_of_it(run, loop, pool):
    async def main():
        assert await pool.run(pow, 2, exp=3) == 8
        assert len(pool.names) == 1
        assert await pool.with_options(name="mine").run(lambda: threading.current_thread().name) == "mine"
        assert len(pool.names) == 2
        assert await loop.run_in_executor(pool, pow, 2, 3) == 8
        return len(pool.names)

    assert run(main()) == 3


def test_a_view_goes_by_way_of_it(pool):
    assert pool.with_options(name="mine").submit(lambda: threading.current_thread().name).result(10) == "mine"
    with pytest.raises(TimeoutError):
        stop = threading.Event()
        pool.with_options(timeout=0.01).submit(stop.wait, 10).result(10)
    stop.set()
    assert len(pool.names) == 2


def test_the_callers_context_goes_along(run, pool):
    async def main():
        variable.set("mine")
        return await pool.run(variable.get), [value async for value in pool.map(lambda _: variable.get(), range(2))]

    assert run(main()) == ("mine", ["mine", "mine"])
    assert pool.submit(variable.get).result(10) == "none"


def test_it_is_told_whose_call_it_is():
    with Counting(1) as pool:
        assert list(pool.map(abs, [-1])) == [1]
        assert pool.with_options(name="mine").submit(abs, -1).result(10) == 1
        assert pool.names == ["abs", "abs"]


def test_priority_and_token_arrive(run):
    async def main():
        with Counting(1) as pool:
            release, order, token = threading.Event(), [], CancelToken()
            pool.submit(release.wait, 10)
            usual = pool.submit(order.append, "usual")
            urgent = pool.with_options(priority=-1).submit(order.append, "urgent")
            mine = pool.with_options(token=token).submit(lambda: current_token() is token)
            release.set()
            assert await pool.with_options(token=CancelToken()).run(lambda: current_token().cancelled) is False
            assert mine.result(10) is True
            assert (usual.result(10), urgent.result(10), order) == (None, None, ["urgent", "usual"])
            token.cancel()
            with pytest.raises(CancelledError):
                pool.with_options(token=token).submit(int).result(10)

    run(main())


def test_cancelling_the_task_tells_the_function(run):
    async def main():
        begun, told = threading.Event(), []

        def work():
            begun.set()
            told.append(current_token().wait(10))

        with Counting(1) as pool:
            await cancel_once_begun(asyncio.ensure_future(pool.run(work)), begun)
        return told

    assert run(main()) == [True]


def test_a_submit_that_gives_its_calls_to_a_view_of_its_own_ends():
    class Urgent(ThreadPool):
        calls = 0

        def submit(self, fn, /, *args, **kwargs):
            self.calls += 1
            return self.with_options(priority=-1).submit(fn, *args, **kwargs)

    with Urgent(1) as pool:
        assert pool.submit(pow, 2, 3).result(10) == 8
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
