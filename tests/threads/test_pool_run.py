"""`await pool.run(…)` and its options, on every loop: context, priorities, time limits, tokens."""

import asyncio
import concurrent.futures
import contextvars
import subprocess
import sys
import threading
import time
import weakref

import pytest
from thread_support import cancel_once_begun, nothing_is_over, wait_until

from tideloop.threads import CancelToken, ThreadPool, current_token

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


def test_result_and_error_are_the_functions(run, pool):
    async def main():
        assert await pool.run(pow, 2, 10) == 1024
        assert await pool.run(dict, a=1, fn=2, priority=3, timeout=4) == {"a": 1, "fn": 2, "priority": 3, "timeout": 4}
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)

    run(main())


def test_many_at_once(run, pool):
    async def main():
        return await asyncio.gather(*[pool.run(pow, n, 2) for n in range(2000)])

    assert run(main()) == [n * n for n in range(2000)]


def test_run_and_map_carry_context_variables_and_submit_does_not(run, pool):
    variable = contextvars.ContextVar("variable", default="unset")

    async def main():
        variable.set("set")
        assert await pool.run(variable.get) == "set"
        assert [value async for value in pool.map(lambda _: variable.get(), range(3))] == ["set"] * 3
        assert pool.submit(variable.get).result() == "unset"

    run(main())


def test_cancelling_the_task_cancels_the_token_of_what_runs(run, pool):
    begun, seen = threading.Event(), []

    def work():
        token = current_token()
        begun.set()
        seen.append(token.wait(10))

    async def main():
        await cancel_once_begun(asyncio.ensure_future(pool.run(work)), begun)

    run(main())
    wait_until(lambda: seen)
    assert seen == [True]


def test_what_a_function_raises_after_it_was_cancelled_is_nobodys(run, pool):
    begun = threading.Event()

    def work():
        begun.set()
        current_token().wait(10)
        raise ValueError("nobody wants to know")

    async def main():
        task = asyncio.ensure_future(pool.run(work))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])

    run(main())
    pool.shutdown()


def test_a_time_limit_cancels_what_runs_and_drops_what_is_queued(run):
    async def main():
        tokens, ran, release = [], [], threading.Event()

        def work():
            tokens.append(current_token())
            release.wait(10)

        with ThreadPool(1) as pool:
            limited = pool.with_options(timeout=0.02)
            running = asyncio.ensure_future(limited.run(work))
            await asyncio.sleep(0)
            wait_until(lambda: tokens)  # the loop, which watches the limit, stands still meanwhile
            queued = asyncio.ensure_future(limited.run(ran.append, 1))
            for task in (running, queued):
                with pytest.raises(TimeoutError):
                    await task
            assert tokens[0].cancelled
            release.set()
            assert await pool.run(int) == 0
        assert ran == []

    run(main())


def test_lower_numbers_come_first_and_equals_in_their_order(run):
    order = []

    async def main():
        with ThreadPool(1) as pool:
            release = threading.Event()
            pool.submit(release.wait, 10)
            wait_until(lambda: pool.statistics().running == 1)
            calls = []
            for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 0), ("e", -1), ("f", 5)]:
                calls.append(asyncio.ensure_future(pool.with_options(priority=priority).run(order.append, name)))
            await asyncio.sleep(0)
            release.set()
            await asyncio.gather(*calls)

    run(main())
    assert order == ["c", "e", "a", "d", "b", "f"]


def test_one_token_cancels_many_calls(run):
    async def main():
        with ThreadPool(1) as pool:
            token = CancelToken()
            shared = pool.with_options(token=token)
            begun = threading.Event()
            running = asyncio.ensure_future(shared.run(lambda: (begun.set(), current_token().wait(10))))
            queued = asyncio.ensure_future(shared.run(int))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            token.cancel()
            assert await running == (None, True)
            with pytest.raises(asyncio.CancelledError):
                await queued

    run(main())


def test_a_function_that_raises_at_its_token_is_cancelled(run, pool):
    def work(token):
        token.cancel()
        current_token().raise_if_cancelled()

    async def main():
        token = CancelToken()
        with pytest.raises(asyncio.CancelledError):
            await pool.with_options(token=token).run(work, token)
        with pytest.raises(concurrent.futures.CancelledError):
            pool.with_options(token=token).submit(int).result()

    run(main())


def test_a_name_is_the_threads_for_the_time_of_the_call(run, pool):
    async def main():
        name = await pool.with_options(name="resize").run(lambda: threading.current_thread().name)
        return name, await pool.run(lambda: threading.current_thread().name)

    named, usual = run(main())
    assert named == "resize" and usual.startswith("ThreadPoolExecutor-")


def test_run_needs_a_loop(pool):
    coroutine = pool.run(int)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_run_after_shutdown_is_refused(run, pool):
    pool.shutdown()

    async def main():
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            await pool.run(int)

    run(main())


class TestTokens:
    def test_there_is_none_outside_of_a_pool(self):
        with pytest.raises(RuntimeError, match="no function of a thread pool runs in this thread"):
            current_token()

    def test_a_token_is_waited_for_in_time(self):
        token = CancelToken()
        start = time.monotonic()
        assert token.wait(0.02) is False
        assert time.monotonic() - start >= 0.02
        token.raise_if_cancelled()
        thread = threading.Thread(target=token.cancel)
        thread.start()
        assert token.wait() is True
        thread.join()
        assert (token.cancelled, token.wait(0), repr(token)) == (True, True, "<CancelToken cancelled>")
        with pytest.raises(concurrent.futures.CancelledError):
            token.raise_if_cancelled()

    def test_a_function_within_a_function_has_its_own(self, pool):
        def outer():
            mine = current_token()
            inner = pool.with_options(token=CancelToken()).submit(current_token).result()
            return mine is current_token() and mine is not inner

        assert pool.submit(outer).result(10)


class TestLimitsOfSubmit:
    def test_a_call_that_runs_too_long_times_out(self, pool):
        begun, stopped = threading.Event(), []

        def work():
            begun.set()
            stopped.append(current_token().wait(10))

        with nothing_is_over():
            future = pool.with_options(timeout=0.02).submit(work)
            assert begun.wait(10)
        with pytest.raises(TimeoutError):
            future.result(10)
        wait_until(lambda: stopped)
        assert stopped == [True]

    def test_a_call_in_time_is_not_touched(self, pool):
        future = pool.with_options(timeout=10).submit(pow, 2, 3)
        assert future.result() == 8
        wait_until(lambda: not any(thread.name == "tideloop-deadlines" for thread in threading.enumerate()))

    def test_a_call_that_has_not_begun_in_time_never_does(self):
        ran, release = [], threading.Event()
        with ThreadPool(1) as one:
            one.submit(release.wait, 10)
            late = one.with_options(timeout=0.01).submit(ran.append, 1)
            later = one.with_options(timeout=0.02).submit(ran.append, 2)
            for future in (later, late):
                with pytest.raises(TimeoutError):
                    future.result(10)
            release.set()
        assert ran == []


def test_options_add_up(pool):
    view = pool.with_options(priority=3).with_options(name="x").with_options(priority=-1)
    assert (view._options.priority, view._options.name) == (-1, "x")


class TestAnExplicitToken:
    def test_calls_that_have_not_begun_are_cancelled_with_it_at_once(self, run):
        async def main():
            release, token, ran = threading.Event(), CancelToken(), []
            with ThreadPool(1) as one:
                running = one.with_options(token=token).submit(release.wait, 10)
                wait_until(running.running)
                view = one.with_options(token=token)
                tasks = [asyncio.ensure_future(view.run(ran.append, number)) for number in range(3)]
                futures = [view.submit(ran.append, number) for number in range(3)]
                await asyncio.sleep(0.01)
                token.cancel()
                assert all(future.cancelled() for future in futures)
                outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
                assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
                late = view.submit(ran.append, 4)
                assert late.cancelled()
                other = one.submit(int, "5")
                assert not running.done()
                release.set()
                assert (running.result(10), other.result(10), ran) == (True, 5, [])

        run(main())

    def test_it_keeps_no_call_that_has_ended(self, pool):
        class Thing:
            pass

        token, thing = CancelToken(), Thing()
        known = weakref.ref(thing)
        pool.with_options(token=token).submit(id, thing).result(10)
        del thing
        wait_until(lambda: known() is None)


def test_a_signal_may_submit_while_the_first_submit_looks_things_up():
    program = """
import signal, sys
from tideloop.threads import ThreadPool
pool, futures, once = ThreadPool(1), [], []
signal.signal(signal.SIGUSR1, lambda *_: futures.append(pool.submit(int)))
def hook(event, _):
    if event == "import" and not once:
        once.append(1)
        signal.raise_signal(signal.SIGUSR1)
sys.addaudithook(hook)
futures.append(pool.submit(int))
print([future.result(10) for future in futures])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[0, 0]\n"), done.stderr
