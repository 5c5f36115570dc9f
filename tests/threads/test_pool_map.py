"""The results of map: for threads and for tasks, in order or as they come, ahead by as much as one says."""

import asyncio
import contextlib
import gc
import io
import itertools
import threading
import time
import weakref

import pytest
import tqdm
from rich.console import Console
from rich.progress import Progress
from thread_support import wait_until

from tideloop.threads import ThreadPool, rich_progress, tqdm_progress

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


@pytest.fixture
def pool():
    with ThreadPool(4) as pool:
        yield pool


@pytest.mark.parametrize("options", [{}, {"chunksize": 3}, {"buffersize": 2}, {"buffersize": 5, "chunksize": 2}])
@pytest.mark.parametrize("ordered", [True, False])
def test_every_result_arrives_in_threads_and_in_tasks(run, pool, options, ordered):
    def square(n):
        time.sleep(0.001 * (n % 3))
        return n * n

    async def main():
        return [result async for result in pool.map(square, range(30), ordered=ordered, **options)]

    for results in (list(pool.map(square, range(30), ordered=ordered, **options)), run(main())):
        expected = [n * n for n in range(30)]
        assert (results if ordered else sorted(results)) == expected


def test_results_come_as_they_are_done_without_an_order(run, pool):
    release = threading.Event()

    def work(n):
        if n == 0:
            release.wait(10)
        return n

    async def main():
        seen = []
        async for result in pool.map(work, range(5), ordered=False):
            seen.append(result)
            if len(seen) == 4:
                release.set()
        return seen

    assert run(main())[-1] == 0
    release.clear()
    seen = []
    for result in pool.map(work, range(5), ordered=False):
        seen.append(result)
        if len(seen) == 4:
            release.set()
    assert seen[-1] == 0


def test_calls_are_begun_at_once_as_with_an_executor(pool):
    seen = []
    pool.map(seen.append, range(10))
    pool.shutdown()
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("ordered", [True, False])
def test_an_endless_source_is_taken_as_far_ahead_as_one_says(run, pool, ordered):
    taken = itertools.count()
    highest = 0

    def source():
        nonlocal highest
        while True:
            highest = next(taken)
            yield highest

    results = pool.map(lambda n: n, source(), buffersize=8, ordered=ordered)
    for _ in itertools.islice(results, 1000):
        pass
    assert highest <= 1000 + 8
    results.close()
    assert list(results) == []

    async def main():
        nonlocal highest
        mapped = pool.map(lambda n: n, source(), buffersize=8, ordered=ordered)
        async with contextlib.aclosing(mapped):
            count = 0
            async for _ in mapped:
                count += 1
                if count == 1000:
                    break
        assert highest <= 2100
        assert [value async for value in mapped] == []

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("buffersize", "chunksize"), [(1, 1), (4, 3), (1, 10), (6, 6), (7, 2)])
def test_no_more_items_than_one_says_are_ahead_of_the_delivered_results(run, pool, ordered, buffersize, chunksize):
    taken = 0

    def source():
        nonlocal taken
        for n in range(40):
            taken += 1
            yield n

    def start():
        nonlocal taken
        taken = 0
        mapped = pool.map(str, source(), ordered=ordered, buffersize=buffersize, chunksize=chunksize)
        assert 1 <= taken <= buffersize
        return mapped

    for delivered, _ in enumerate(start(), 1):
        assert taken - delivered <= buffersize
    assert delivered == 40

    async def main():
        delivered = 0
        async for _ in start():
            delivered += 1
            assert taken - delivered <= buffersize
        assert delivered == 40

    run(main())


def test_an_endless_source_takes_bounded_memory(pool):
    class Item:
        living = 0

        def __init__(self):
            Item.living += 1
            weakref.finalize(self, self.died)

        @classmethod
        def died(cls):
            cls.living -= 1

    most = 0
    results = pool.map(lambda item: item, (Item() for _ in itertools.count()), buffersize=10)
    for _ in itertools.islice(results, 2000):
        most = max(most, Item.living)
    results.close()
    assert most < 30


def test_closing_cancels_what_has_not_begun(run):
    release, ran = threading.Event(), []

    def work(n):
        ran.append(n)
        release.wait(10)

    async def main():
        with ThreadPool(1) as one:
            results = one.map(work, range(100))
            wait_until(lambda: ran)
            await results.aclose()
            release.set()

    run(main())
    assert ran == [0]


def test_an_error_is_raised_where_its_result_would_be_and_ends_the_results(run, pool):
    def work(n):
        if n == 2:
            raise LookupError(n)
        return n

    for chunksize in (1, 2, 5):
        results, seen = pool.map(work, range(5), chunksize=chunksize), []
        with pytest.raises(LookupError) as caught:
            for result in results:
                seen.append(result)
        assert seen == [0, 1] and list(results) == []
        assert caught.traceback[-1].name == "work"

        async def main(chunksize=chunksize):
            seen = []
            with pytest.raises(LookupError):
                async for result in pool.map(work, range(5), chunksize=chunksize):
                    seen.append(result)
            return seen

        assert run(main()) == [0, 1]


def test_the_time_limit_is_for_all_results_together(run, pool):
    release = threading.Event()
    with pytest.raises(TimeoutError):
        list(pool.map(release.wait, [10], timeout=0.02))
    with pytest.raises(TimeoutError):
        list(pool.map(release.wait, [10], timeout=0.02, ordered=False))

    async def main():
        for ordered in (True, False):
            with pytest.raises(TimeoutError):
                async for _ in pool.map(release.wait, [10], timeout=0.02, ordered=ordered):
                    pass

    run(main())
    release.set()


def test_a_cancelled_consumer_cancels_what_has_not_begun(run):
    release, ran = threading.Event(), []

    def work(n):
        ran.append(n)
        release.wait(10)

    async def main():
        async def consume():
            async for _ in one.map(work, range(50)):
                pass

        with ThreadPool(1) as one:
            task = asyncio.ensure_future(consume())
            while not ran:
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
            release.set()
        assert task.cancelled()

    run(main())
    assert ran == [0]


def test_results_that_nobody_asks_for_any_more_are_cancelled():
    release, ran = threading.Event(), []

    def work(n):
        ran.append(n)
        if n > 0:
            release.wait(10)

    with ThreadPool(1) as one:
        results = one.map(work, range(50))
        next(results)
        del results
        gc.collect()
        release.set()
    assert len(ran) <= 2


def test_bad_sizes_are_refused(pool):
    with pytest.raises(TypeError, match="buffersize must be an integer or None"):
        pool.map(int, [], buffersize="1")
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        pool.map(int, [], buffersize=0)


def test_a_progress_that_cannot_be_called_is_refused_at_once(pool):
    with pytest.raises(TypeError, match="progress must be callable or None, not int"):
        pool.map(int, [], progress=5)


class TestProgress:
    def test_it_is_told_the_number_of_results_and_of_items(self, run, pool):
        told = []
        list(pool.map(pow, range(3), range(5), progress=lambda *args: told.append(args)))
        list(pool.map(abs, iter(range(2)), progress=lambda *args: told.append(args)))
        assert told == [(1, 3), (2, 3), (3, 3), (1, None), (2, None)]

        async def main():
            async for _ in pool.map(abs, [1, 2], progress=lambda *args: told.append(args)):
                pass

        run(main())
        assert told[-2:] == [(1, 2), (2, 2)]

    def test_rich_shows_it(self, pool):
        progress = Progress(console=Console(file=io.StringIO()))
        list(pool.map(abs, range(7), progress=rich_progress("numbers", progress)))
        (task,) = progress.tasks
        assert (task.description, task.completed, task.total) == ("numbers", 7, 7)

    @pytest.mark.parametrize("kind", [list, iter])
    @pytest.mark.parametrize("number", [0, 3])
    def test_a_line_is_finished_whatever_the_number_of_items(self, run, pool, kind, number):
        progress = Progress(console=Console(file=io.StringIO()))

        def mapped():
            return pool.map(abs, kind([1] * number), progress=rich_progress("numbers", progress))

        async def main():
            async for _ in mapped():
                pass

        list(mapped())
        run(main())
        assert [(task.completed, task.total, task.finished) for task in progress.tasks] == [(number, number, True)] * 2

    def test_a_line_is_not_finished_by_a_failure(self, pool):
        progress = Progress(console=Console(file=io.StringIO()))
        with pytest.raises(ZeroDivisionError):
            list(pool.map(lambda n: 1 // n, iter([1, 0, 1]), progress=rich_progress("numbers", progress)))
        (task,) = progress.tasks
        assert (task.completed, task.finished) == (1, False)

    def test_rich_shows_it_on_a_line_of_its_own(self, pool, capsys):
        list(pool.map(abs, range(7), progress=rich_progress("numbers")))
        assert "numbers" in capsys.readouterr().out

    def test_tqdm_shows_it(self, pool, monkeypatch):
        monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)  # else a thread of its own watches the bars
        out = io.StringIO()
        list(pool.map(abs, range(7), progress=tqdm_progress(desc="numbers", file=out)))
        assert "numbers: 100%" in out.getvalue() and "7/7" in out.getvalue()
        out = io.StringIO()
        list(pool.map(abs, [], progress=tqdm_progress(desc="nothing", file=out)))
        assert "nothing: 0it" in out.getvalue()
