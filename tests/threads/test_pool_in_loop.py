"""run_in_executor and to_thread on our loop: what a thread has done comes straight through the loop's inbox."""

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import weakref

import pytest
from thread_support import wait_until

import tideloop
from tideloop.threads import ThreadPool


def test_default_executor_is_a_thread_pool_named_after_asyncio(loop, run):
    async def main():
        return await loop.run_in_executor(None, lambda: threading.current_thread().name)

    name = run(main())
    assert name == "asyncio_0"
    assert isinstance(loop._default_executor, ThreadPool)


def test_a_thread_pool_is_accepted_as_the_default_executor(loop, run):
    loop.set_default_executor(ThreadPool(1, "mine"))

    async def main():
        names = [await to_thread(lambda: threading.current_thread().name) for to_thread in TO_THREAD]
        return {*names, await loop.run_in_executor(None, lambda: threading.current_thread().name)}

    assert run(main()) == {"mine_0"}


TO_THREAD = [asyncio.to_thread, tideloop.to_thread]


def test_no_future_of_a_thread_is_made_for_a_call_from_the_loop(loop, run, monkeypatch):
    monkeypatch.setattr("tideloop._thread_future.Future.__new__", None, raising=False)

    async def main():
        return await loop.run_in_executor(None, pow, 2, 3), await tideloop.to_thread(pow, 2, 4)

    assert run(main()) == (8, 16)


@pytest.mark.parametrize("to_thread", TO_THREAD)
def test_context_variables_go_along_and_do_not_come_back(run, to_thread):
    variable = contextvars.ContextVar("variable", default=0)

    def change():
        variable.set(variable.get() + 1)
        return variable.get()

    async def main():
        variable.set(5)
        assert await to_thread(change) == 6
        assert variable.get() == 5

    run(main())


@pytest.mark.parametrize("to_thread", TO_THREAD)
def test_keyword_arguments_reach_the_function(run, to_thread):
    async def main():
        return await to_thread(dict, [("a", 1)], b=2, func=3, self=4)

    assert run(main()) == {"a": 1, "b": 2, "func": 3, "self": 4}


def test_errors_arrive_with_the_traceback_of_the_thread(run):
    def fails():
        raise LookupError("in the thread")

    async def main():
        with pytest.raises(LookupError, match="in the thread") as caught:
            await tideloop.to_thread(fails)
        assert caught.traceback[-1].name == "fails"

    run(main())


def test_stop_iteration_is_an_error_and_not_a_hang(run):
    async def main():
        with pytest.raises(RuntimeError, match="StopIteration interacts badly") as caught:
            await tideloop.to_thread(next, iter(()))
        assert type(caught.value.__cause__) is StopIteration

    run(main())


def test_the_stdlibs_cancelled_error_is_asyncios(run):
    def fails():
        raise concurrent.futures.CancelledError

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await tideloop.to_thread(fails)

    run(main())


def test_cancelling_takes_the_call_out_of_the_queue_at_once(loop, run):
    release, ran = threading.Event(), []

    async def main():
        with ThreadPool(1) as pool:
            first = loop.run_in_executor(pool, release.wait, 10)
            second = loop.run_in_executor(pool, ran.append, 1)
            assert pool.statistics().queued >= 1
            assert second.cancel()
            wait_until(lambda: pool.statistics().running == 1)
            assert (pool.statistics().queued, pool.statistics().cancelled) == (0, 1)
            release.set()
            await first

    run(main())
    assert ran == []


def test_ten_thousand_cancelled_calls_do_not_stay_in_the_queue(loop, run):
    release = threading.Event()

    class Argument:
        pass

    async def main():
        with ThreadPool(1) as pool:
            first = loop.run_in_executor(pool, release.wait, 10)
            argument = Argument()
            for _ in range(10_000):
                loop.run_in_executor(pool, id, argument).cancel()
            gone = weakref.ref(argument)
            del argument
            assert gone() is None
            release.set()
            await first
            assert pool.statistics().cancelled == 10_000

    run(main())


def test_a_loop_that_was_closed_meanwhile_loses_its_own_answer_and_nothing_else(make_loop):
    release = threading.Event()
    with ThreadPool(1) as pool:
        closed = make_loop()

        async def begin():
            return closed.run_in_executor(pool, release.wait, 10), closed.run_in_executor(pool, divmod, 1, 0)

        lost = closed.run_until_complete(begin())
        closed.close()
        other = make_loop()

        async def main():
            answer = other.run_in_executor(pool, pow, 2, 3)
            release.set()
            return await answer

        assert other.run_until_complete(main()) == 8
        assert [future.done() for future in lost] == [False, False]
        assert pool.statistics().completed == 2


def test_use_of_a_closed_loop_is_refused(make_loop):
    loop = make_loop()
    loop.close()
    with ThreadPool(1) as pool, pytest.raises(RuntimeError, match="closed"):
        loop.run_in_executor(pool, int)


def test_answers_of_four_loops_in_four_threads_reach_each_its_own():
    with ThreadPool(4) as pool:

        async def ask(base):
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*[loop.run_in_executor(pool, pow, base, n) for n in range(500)])

        results = {}

        def one(base):
            results[base] = tideloop.run(ask(base))

        threads = [threading.Thread(target=one, args=(base,)) for base in range(2, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {base: [base**n for n in range(500)] for base in range(2, 6)}


def test_a_foreign_pool_goes_on_as_before(loop, run):
    async def main():
        with concurrent.futures.ThreadPoolExecutor(1, "theirs") as pool:
            return await loop.run_in_executor(pool, lambda: threading.current_thread().name)

    assert run(main()) == "theirs_0"


def test_a_derived_pool_with_its_own_submit_is_asked(loop, run):
    class Counting(ThreadPool):
        calls = 0

        def submit(self, fn, /, *args, **kwargs):
            self.calls += 1
            return super().submit(fn, *args, **kwargs)

    async def main():
        with Counting(1) as pool:
            assert await loop.run_in_executor(pool, pow, 2, 3) == 8
            return pool.calls

    assert run(main()) == 1


def test_answers_of_a_burst_arrive_in_few_turns(loop, run):
    async def main():
        with ThreadPool(1) as pool:
            release = threading.Event()
            loop.run_in_executor(pool, release.wait, 10)
            waiting = asyncio.gather(*[loop.run_in_executor(pool, pow, n, 2) for n in range(5000)])
            release.set()
            turns = 0
            while not waiting.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert waiting.result() == [n * n for n in range(5000)]
            return turns

    assert run(main()) < 1000


def test_debug_mode_takes_answers_too(loop, run):
    loop.set_debug(True)

    async def main():
        assert await loop.run_in_executor(None, pow, 2, 3) == 8
        assert await tideloop.to_thread(pow, 2, 3) == 8

    run(main())


def test_a_pool_in_a_cycle_with_its_own_queue_is_collected():
    pool = ThreadPool(1)
    gone = weakref.ref(pool)
    future = pool.submit(lambda pool: None, pool)
    future.result()
    future.pool = pool
    threads = pool._threads
    del pool, future
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(10)


def test_a_future_that_waits_for_a_thread_says_so(loop, run):
    release = threading.Event()

    async def main():
        future = loop.run_in_executor(None, release.wait, 10)
        task = asyncio.ensure_future(asyncio.wait_for(future, 10))
        await asyncio.sleep(0)
        release.set()
        assert await task

    run(main())


def test_a_call_that_its_pool_cancels_is_cancelled_in_the_loop():
    async def main():
        pool = ThreadPool(1)
        going = threading.Event()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(pool, going.wait, 10)
        queued = loop.run_in_executor(pool, int)
        wait_until(lambda: pool.statistics().running == 1)
        pool.shutdown(wait=False, cancel_futures=True)
        going.set()
        with pytest.raises(asyncio.CancelledError):
            await queued
        assert queued.cancelled()
        assert await running is True
        pool.shutdown()  # the worker has let go of the loop when it has ended

    tideloop.run(main())


def test_a_call_that_runs_within_another_has_context_variables_of_its_own():
    variable = contextvars.ContextVar("variable", default="none")

    def inner():
        seen = variable.get()
        variable.set("inner")
        return seen

    with ThreadPool(1) as pool:

        def outer():
            variable.set("outer")
            return pool.submit(inner).result(), variable.get()

        assert pool.submit(outer).result() == ("none", "outer")
