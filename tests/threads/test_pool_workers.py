"""The threads of a pool: real ones, as few as do, woken as they fell asleep, and gone when they are not needed."""

import concurrent.futures
import contextlib
import resource
import threading
import time

import pytest
from thread_support import wait_until

from tideloop.threads import BrokenThreadPool, ThreadPool, current_token


def test_workers_are_threads_of_the_threading_module():
    with ThreadPool(2, "mine") as pool:
        thread = pool.submit(threading.current_thread).result()
        assert thread in threading.enumerate()
        assert (thread.name, thread.daemon, thread.is_alive()) == ("mine_0", False, True)
        assert pool._threads == {thread}
    assert not thread.is_alive()


def test_a_worker_sees_profile_hooks_and_its_own_thread_locals():
    seen = []
    threading.setprofile(lambda frame, event, argument: seen.append(frame.f_code.co_name) if event == "call" else None)
    try:
        with ThreadPool(1) as pool:

            def profiled():
                return 1

            pool.submit(profiled).result()
    finally:
        threading.setprofile(None)
    assert "profiled" in seen


def test_threads_are_started_only_while_none_is_idle():
    with ThreadPool(8) as pool:
        for _ in range(50):
            pool.submit(int).result()
        assert len(pool._threads) == 1
        release = threading.Event()
        futures = [pool.submit(release.wait, 10) for _ in range(20)]
        assert len(pool._threads) == 8
        release.set()
        concurrent.futures.wait(futures)


def test_the_worker_that_fell_asleep_last_is_woken_first():
    with ThreadPool(4) as pool:
        barrier = threading.Barrier(4)
        concurrent.futures.wait([pool.submit(barrier.wait, 10) for _ in range(4)])
        wait_until(lambda: pool.statistics().idle == 4)
        assert len({pool.submit(threading.get_ident).result() for _ in range(50)}) == 1


def test_idle_workers_end_down_to_the_minimum_and_come_back():
    with ThreadPool(4, min_workers=1, idle_seconds=0.02) as pool:
        barrier = threading.Barrier(4)
        concurrent.futures.wait([pool.submit(barrier.wait, 10) for _ in range(4)])
        # A worker is not counted any more some time before its thread ends.
        wait_until(lambda: pool.statistics().workers == len(pool._threads) == 1)
        time.sleep(0.05)
        assert pool.statistics().workers == len(pool._threads) == 1
        barrier = threading.Barrier(4)
        concurrent.futures.wait([pool.submit(barrier.wait, 10) for _ in range(4)])
        assert pool.statistics().completed == 8


def test_a_pool_without_a_minimum_keeps_no_thread():
    with ThreadPool(2, idle_seconds=0.01) as pool:
        pool.submit(int).result()
        wait_until(lambda: pool.statistics().workers == 0 and not pool._threads)
        assert pool.submit(int).result() == 0


def test_jobs_are_done_although_workers_end_all_the_time():
    with ThreadPool(4, idle_seconds=0.0001) as pool:
        for number in range(1000):
            assert pool.submit(pow, number, 2).result(10) == number**2
            if number % 10 == 0:
                time.sleep(0.0002)


def test_an_idle_pool_costs_no_processor_time():
    with ThreadPool(4) as pool:
        barrier = threading.Barrier(4)
        concurrent.futures.wait([pool.submit(barrier.wait, 10) for _ in range(4)])
        before = resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(1)
        after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.01


def test_a_failing_initializer_breaks_the_pool(caplog):
    def fails():
        raise ValueError("no connection")

    with ThreadPool(2, initializer=fails) as pool:
        with pytest.raises(BrokenThreadPool):
            pool.submit(int).result(10)
        wait_until(lambda: not pool._threads)
        with pytest.raises(BrokenThreadPool, match="initializer failed"):
            pool.submit(int)
    assert caplog.records[0].getMessage() == "Exception in initializer:"


def test_calls_that_wait_for_calls_of_the_same_pool_do_not_wait_for_ever():
    with ThreadPool(2) as pool:

        def depth(n):
            return 0 if n == 0 else 1 + pool.submit(depth, n - 1).result()

        assert pool.submit(depth, 100).result(10) == 100
        assert pool.statistics().cancelled == 0


@pytest.mark.parametrize("options", [{}, {"ordered": False}, {"ordered": False, "chunksize": 2}, {"buffersize": 1}])
def test_calls_that_map_over_the_same_pool_do_not_wait_for_ever(options):
    def double(numbers):
        return sorted(pool.map(lambda n: 2 * n, numbers, **options))

    with ThreadPool(2) as pool:
        futures = [pool.submit(double, range(5)) for _ in range(8)]
        assert [future.result(10) for future in futures] == [[0, 2, 4, 6, 8]] * 8


def test_a_call_that_maps_without_an_order_gets_what_is_done_first_while_others_are_free():
    release = threading.Event()

    def wait_for_the_last(n):
        if n == 0:
            release.wait(10)
        return n

    def map_in_a_call():
        seen = []
        for n in pool.map(wait_for_the_last, range(3), ordered=False):
            seen.append(n)
            if len(seen) == 2:
                release.set()
        return seen

    # One for each call, and one that stays free: else this one makes a call itself that another is slow to begin.
    with ThreadPool(5) as pool:
        assert pool.submit(map_in_a_call).result(10)[-1] == 0


def test_a_call_that_waits_leaves_the_other_to_a_worker_that_is_free():
    # The third stays free: else this one makes the call itself if the second is slow to begin it.
    with ThreadPool(3) as pool:

        def outer():
            return threading.get_ident(), pool.submit(threading.get_ident).result()

        mine, other = pool.submit(outer).result(10)
        assert mine != other


def test_bad_arguments_are_refused_in_the_stdlibs_words():
    for arguments, error in [((0,), ValueError), ((-1,), ValueError), ((1, "", 5), TypeError)]:
        with pytest.raises(error) as ours:
            ThreadPool(*arguments)
        with pytest.raises(error) as theirs:
            concurrent.futures.ThreadPoolExecutor(*arguments)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(ValueError, match="min_workers"):
        ThreadPool(2, min_workers=3)


def test_a_thread_that_cannot_be_started_fails_only_the_first_job(monkeypatch):
    with ThreadPool(4) as pool:

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                pool.submit(int)
        assert pool.submit(int).result(10) == 0
        release = threading.Event()
        blocked = pool.submit(release.wait, 10)
        wait_until(lambda: pool.statistics().running == 1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            queued = pool.submit(int)
        release.set()
        assert (blocked.result(10), queued.result(10)) == (True, 0)


def test_shutdown_waits_and_cancels_as_it_is_told():
    release = threading.Event()
    pool = ThreadPool(1)
    running, queued = pool.submit(release.wait, 10), [pool.submit(int) for _ in range(5)]
    wait_until(lambda: pool.statistics().running == 1)
    pool.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in queued] == [True] * 5
    with pytest.raises(RuntimeError, match="^cannot schedule new futures after shutdown$"):
        pool.submit(int)
    threads = pool._threads
    release.set()
    pool.shutdown()
    assert running.result() is True
    assert not any(thread.is_alive() for thread in threads)
    pool.shutdown()


def test_shutdown_without_cancelling_does_all_that_is_queued():
    pool = ThreadPool(1)
    futures = [pool.submit(pow, n, 2) for n in range(100)]
    pool.shutdown(wait=False)
    assert [future.result(10) for future in futures] == [n * n for n in range(100)]
    pool.shutdown()


def test_a_pool_that_nobody_refers_to_does_its_work_and_ends():
    pool = ThreadPool(2)
    futures = [pool.submit(pow, n, 2) for n in range(100)]
    threads = pool._threads
    del pool
    assert [future.result(10) for future in futures] == [n * n for n in range(100)]
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_ctrl_c_in_a_with_block_waits_for_nothing_and_cancels_the_rest():
    release, told = threading.Event(), []
    with contextlib.suppress(KeyboardInterrupt):
        with ThreadPool(2) as pool:
            running = pool.submit(release.wait, 10)
            asking = pool.submit(lambda: told.append(current_token().wait(10)))
            wait_until(lambda: running.running() and asking.running())
            queued = pool.submit(int)
            raise KeyboardInterrupt
    assert queued.cancelled() and running.running()
    wait_until(lambda: told)
    assert told == [True]
    release.set()
    pool.shutdown()
