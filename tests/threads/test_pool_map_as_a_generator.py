"""The results of map behave as a generator's do: what ends them, and how many may consume them at once."""

import asyncio
import threading

import pytest
from thread_support import wait_until

from tideloop.threads import ThreadPool

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

SHAPES = [{}, {"chunksize": 2}, {"ordered": False}, {"ordered": False, "chunksize": 2}, {"buffersize": 1}]


@pytest.fixture
def pool():
    with ThreadPool(4) as pool:
        yield pool


@pytest.mark.parametrize("options", SHAPES)
def test_a_function_that_raises_stop_iteration_does_not_end_the_results(pool, options):
    def work(n):
        if n == 1:
            raise StopIteration("mine")
        return n

    results = pool.map(work, range(3), **options)
    with pytest.raises(RuntimeError, match=r"^generator raised StopIteration$") as caught:
        list(results)
    assert caught.value.__cause__.value == "mine"
    assert list(results) == []


@pytest.mark.parametrize("options", SHAPES)
@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_function_that_raises_the_end_of_an_iteration_does_not_end_the_results_in_a_task(run, pool, kind, options):
    def work(n):
        if n == 1:
            raise kind("mine")
        return n

    async def main():
        results = pool.map(work, range(3), **options)
        with pytest.raises(RuntimeError, match=f"^async generator raised {kind.__name__}$") as caught:
            async for _ in results:
                pass
        assert caught.value.__cause__.args == ("mine",)
        return [result async for result in results]

    assert run(main()) == []


def test_stop_async_iteration_is_an_error_like_any_other_to_a_thread(pool):
    def work():
        raise StopAsyncIteration

    with pytest.raises(StopAsyncIteration):
        next(pool.map(lambda _: work(), range(1)))


@pytest.mark.parametrize("ordered", [True, False])
def test_a_second_thread_is_refused_while_the_first_one_waits(pool, ordered):
    release = threading.Event()
    results = pool.map(lambda n: (release.wait(10), n)[1], range(3), ordered=ordered)
    seen = []
    consumer = threading.Thread(target=lambda: seen.extend(results))
    consumer.start()
    wait_until(lambda: results._consuming.locked())
    with pytest.raises(ValueError, match="generator already executing"):
        next(results)
    release.set()
    consumer.join(10)
    assert sorted(seen) == [0, 1, 2]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_second_task_is_refused_while_the_first_one_waits(run, pool, ordered):
    release = threading.Event()

    async def main():
        results = pool.map(lambda n: (release.wait(10), n)[1], range(3), ordered=ordered)
        first = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"^anext\(\): asynchronous generator is already running$"):
            await anext(results)
        release.set()
        return [await first] + [result async for result in results]

    assert sorted(run(main())) == [0, 1, 2]
