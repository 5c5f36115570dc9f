"""Work in threads and processes: run_in_executor and what shuts it down."""

import asyncio
import concurrent.futures
import contextvars
import multiprocessing
import sys
import threading

import pytest

from support import until


def test_default_executor_runs_a_function_in_another_thread(loop):
    async def main():
        ident = await loop.run_in_executor(None, threading.get_ident)
        assert ident != threading.get_ident()
        return await loop.run_in_executor(None, pow, 2, 10)

    assert loop.run_until_complete(main()) == 1024


def test_default_executor_is_made_when_it_is_first_needed(loop):
    assert loop._default_executor is None
    loop.run_until_complete(loop.run_in_executor(None, int))
    assert isinstance(loop._default_executor, concurrent.futures.ThreadPoolExecutor)


def test_threads_are_named_after_asyncio(loop):
    name = loop.run_until_complete(loop.run_in_executor(None, lambda: threading.current_thread().name))
    assert name.startswith("asyncio_")


def test_given_executor_is_used(loop):
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        name = loop.run_until_complete(loop.run_in_executor(pool, lambda: threading.current_thread().name))
    assert name.startswith("mine")


def test_an_executor_that_gives_no_future_is_refused(loop):
    class Direct(concurrent.futures.Executor):
        def submit(self, fn, /, *args, **kwargs):
            return fn(*args, **kwargs)

    with pytest.raises(AssertionError, match=r"^concurrent.futures.Future is expected, got 8$"):
        loop.run_in_executor(Direct(), pow, 2, 3)


def test_process_pool_is_used(loop):
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert loop.run_until_complete(loop.run_in_executor(pool, divmod, 7, 2)) == (3, 1)


def test_default_executor_can_be_set(loop):
    pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")
    loop.set_default_executor(pool)
    name = loop.run_until_complete(loop.run_in_executor(None, lambda: threading.current_thread().name))
    assert name.startswith("mine")


def test_default_executor_must_be_a_thread_pool(loop):
    with pytest.raises(TypeError, match="executor must be ThreadPoolExecutor instance"):
        loop.set_default_executor(object())


def test_exception_in_the_thread_is_raised(loop):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)

    loop.run_until_complete(main())


def test_coroutine_is_refused_in_debug_mode(loop):
    loop.set_debug(True)

    async def main():
        with pytest.raises(TypeError, match="coroutines cannot be used with run_in_executor"):
            await loop.run_in_executor(None, asyncio.sleep)

    loop.run_until_complete(main())


def test_to_thread_keeps_the_context(loop):
    variable = contextvars.ContextVar("variable")

    async def main():
        variable.set("kept")
        return await asyncio.to_thread(variable.get)

    assert loop.run_until_complete(main()) == "kept"


def test_work_in_threads_overlaps(loop):
    barrier = threading.Barrier(3)

    async def main():
        await asyncio.gather(*[asyncio.to_thread(barrier.wait, 10) for _ in range(3)])

    loop.run_until_complete(main())


def test_loop_turns_while_a_thread_works(loop):
    async def main():
        release = threading.Event()
        waiting = loop.run_in_executor(None, release.wait, 10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        release.set()
        assert await waiting

    loop.run_until_complete(main())


def test_cancelling_the_wait_does_not_stop_the_thread(loop):
    async def main():
        started, release, ended = threading.Event(), threading.Event(), threading.Event()

        def work():
            started.set()
            release.wait(10)
            ended.set()

        task = asyncio.ensure_future(loop.run_in_executor(None, work))
        # Before a thread has taken it, the work itself would be cancelled.
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert await asyncio.to_thread(ended.wait, 10)

    loop.run_until_complete(main())


def test_work_cancelled_in_the_queue_never_runs(loop):
    ran = []

    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            release = threading.Event()
            first = loop.run_in_executor(pool, release.wait, 10)
            second = loop.run_in_executor(pool, ran.append, 1)
            second.cancel()
            await asyncio.sleep(0)
            release.set()
            await first

    loop.run_until_complete(main())
    assert ran == []


def test_shutdown_waits_for_the_threads(loop):
    ended = []

    async def main():
        release = threading.Event()

        def work():
            release.wait(10)
            ended.append(True)

        future = loop.run_in_executor(None, work)
        loop.call_later(0.01, release.set)
        await loop.shutdown_default_executor()
        assert ended == [True]
        await future

    loop.run_until_complete(main())


def test_use_after_shutdown_is_a_runtime_error(loop):
    async def main():
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="^Executor shutdown has been called$"):
            loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


def test_shutdown_without_an_executor_is_harmless(loop):
    loop.run_until_complete(loop.shutdown_default_executor())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="shutdown_default_executor takes a timeout since Python 3.12")
def test_shutdown_that_takes_too_long_warns(loop, loop_kind):
    if loop_kind == "asyncio" and sys.version_info < (3, 13):
        pytest.skip("3.12 waits for the threads before it looks at the time")
    release = threading.Event()

    async def main():
        future = loop.run_in_executor(None, release.wait, 10)
        with pytest.warns(RuntimeWarning, match="did not finish.* its threads within 0.01 seconds"):
            await loop.shutdown_default_executor(timeout=0.01)
        release.set()
        await future

    loop.run_until_complete(main())


def test_run_coroutine_threadsafe_gives_the_result_to_a_thread(loop):
    async def double(value):
        await asyncio.sleep(0)
        return value * 2

    def ask():
        return asyncio.run_coroutine_threadsafe(double(21), loop).result(10)

    async def main():
        return await asyncio.to_thread(ask)

    assert loop.run_until_complete(main()) == 42


def test_run_coroutine_threadsafe_passes_exceptions_and_cancellation(loop):
    async def fails():
        raise LookupError("in the loop")

    async def waits():
        await asyncio.sleep(3600)

    def ask():
        with pytest.raises(LookupError, match="in the loop"):
            asyncio.run_coroutine_threadsafe(fails(), loop).result(10)
        future = asyncio.run_coroutine_threadsafe(waits(), loop)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.01)
        assert future.cancel()

    async def main():
        await asyncio.to_thread(ask)
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loop.run_until_complete(main())


def test_result_that_arrives_after_the_loop_was_closed_does_no_harm(make_loop):
    loop = make_loop()
    release = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = loop.run_in_executor(pool, release.wait, 10)

        async def main():
            await asyncio.sleep(0)

        loop.run_until_complete(main())
        loop.close()
        release.set()
    assert not future.done()


def test_close_does_not_wait_for_the_default_executor(make_loop):
    loop = make_loop()
    release = threading.Event()
    loop.run_in_executor(None, release.wait, 10)
    executor = loop._default_executor
    loop.close()
    release.set()
    executor.shutdown(wait=True)
