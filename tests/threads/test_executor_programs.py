"""Programs that people write with a thread pool, with nothing changed but the import."""

import concurrent.futures
import hashlib
import queue
import threading
import time

import pytest

from tideloop.threads import ThreadPool


@pytest.fixture(params=["ThreadPoolExecutor", "ThreadPool"])
def executor_class(request):
    return {"ThreadPoolExecutor": concurrent.futures.ThreadPoolExecutor, "ThreadPool": ThreadPool}[request.param]


def test_squares_by_map_keep_their_order(executor_class):
    with executor_class(max_workers=4) as executor:
        assert list(executor.map(lambda n: n * n, range(100))) == [n * n for n in range(100)]


def test_pages_are_taken_as_they_come_and_bad_ones_are_told(executor_class):
    def load(url):
        if "bad" in url:
            raise ConnectionError(url)
        return len(url)

    urls = ["a", "bb", "bad", "dddd"]
    sizes, failed = {}, []
    with executor_class(max_workers=5) as executor:
        future_to_url = {executor.submit(load, url): url for url in urls}
        for future in concurrent.futures.as_completed(future_to_url):
            try:
                sizes[future_to_url[future]] = future.result()
            except ConnectionError as error:
                failed.append(str(error))
    assert (sizes, failed) == ({"a": 1, "bb": 2, "dddd": 4}, ["bad"])


def test_three_countdowns_run_side_by_side_until_the_longest_is_over(executor_class):
    begun = threading.Barrier(3)

    def count(seconds):
        begun.wait(10)
        time.sleep(seconds)
        return seconds

    start = time.monotonic()
    with executor_class(3) as executor:
        done = list(executor.map(count, [0.2, 0.15, 0.1]))
    assert done == [0.2, 0.15, 0.1]
    assert time.monotonic() - start >= 0.2


def test_hashes_of_many_blocks_are_gathered_by_wait(executor_class):
    blocks = [bytes([n]) * 5000 for n in range(20)]
    with executor_class() as executor:
        futures = [executor.submit(hashlib.sha256, block) for block in blocks]
        done, not_done = concurrent.futures.wait(futures)
    assert not_done == set() and done == set(futures)
    assert [f.result().digest() for f in futures] == [hashlib.sha256(block).digest() for block in blocks]


def test_first_answer_wins_and_the_rest_is_cancelled(executor_class):
    release = threading.Event()
    with executor_class(2) as executor:
        slow = [executor.submit(release.wait, 10) for _ in range(1)]
        fast = executor.submit(lambda: "fast")
        queued = [executor.submit(release.wait, 10) for _ in range(4)]
        done, _ = concurrent.futures.wait([*slow, fast, *queued], return_when=concurrent.futures.FIRST_COMPLETED)
        assert fast in done
        cancelled = [future.cancel() for future in queued]
        release.set()
    # One of them may have begun when the fast one was done.
    assert cancelled.count(True) >= 3
    assert not slow[0].cancelled()


def test_callbacks_collect_results(executor_class):
    results = []
    with executor_class(1) as executor:
        for n in range(10):
            executor.submit(pow, n, 2).add_done_callback(lambda future: results.append(future.result()))
    assert results == [n * n for n in range(10)]


def test_producer_and_consumers_share_a_queue(executor_class):
    items: queue.Queue[int | None] = queue.Queue(5)

    def produce():
        for n in range(200):
            items.put(n)
        for _ in range(3):
            items.put(None)

    def consume():
        return sum(iter(items.get, None))

    with executor_class(4) as executor:
        consumers = [executor.submit(consume) for _ in range(3)]
        executor.submit(produce)
        assert sum(future.result() for future in consumers) == sum(range(200))


def test_each_thread_has_its_connection_from_the_initializer(executor_class):
    local = threading.local()
    opened = []

    def connect(name):
        local.connection = f"{name}-{threading.get_ident()}"
        opened.append(local.connection)

    with executor_class(2, initializer=connect, initargs=("db",)) as executor:
        used = {executor.submit(lambda: local.connection).result() for _ in range(20)}
    assert used <= set(opened) and len(opened) <= 2


def test_two_kinds_of_work_have_a_pool_each(executor_class):
    with executor_class(2, thread_name_prefix="io") as io, executor_class(1, thread_name_prefix="cpu") as cpu:

        def both(n):
            return cpu.submit(lambda: (n * n, threading.current_thread().name)).result()

        results = list(io.map(both, range(10)))
    assert [square for square, _ in results] == [n * n for n in range(10)]
    assert {name for _, name in results} == {"cpu_0"}


def test_a_time_limit_leaves_the_function_to_itself(executor_class):
    begun, release = threading.Event(), threading.Event()

    def work():
        begun.set()
        return release.wait(10)

    with executor_class(1) as executor:
        future = executor.submit(work)
        assert begun.wait(10)
        with pytest.raises(TimeoutError):
            future.result(timeout=0.01)
        assert future.running()
        release.set()
        assert future.result(10) is True


def test_an_error_has_the_traceback_of_the_thread(executor_class):
    def fails():
        raise LookupError("in the thread")

    with executor_class(1) as executor:
        future = executor.submit(fails)
        with pytest.raises(LookupError, match="in the thread") as caught:
            future.result()
    assert caught.traceback[-1].name == "fails"
    assert future.exception() is caught.value
