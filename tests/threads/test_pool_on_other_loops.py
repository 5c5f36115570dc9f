"""`pool.run` and `pool.map` on loops that are not ours: uvloop and trio."""

import asyncio
import threading

import pytest
import trio
from thread_support import program, wait_until

from tideloop.threads import ThreadPool, current_token


@pytest.fixture
def pool():
    with ThreadPool(2) as pool:
        yield pool


def test_answers_for_a_foreign_loop_come_by_few_calls(pool, monkeypatch):
    loop = asyncio.new_event_loop()
    calls = 0
    original = loop.call_soon_threadsafe

    def counting(*args, **kwargs):
        nonlocal calls
        calls += 1
        return original(*args, **kwargs)

    loop.call_soon_threadsafe = counting

    async def main():
        return await asyncio.gather(*[pool.run(pow, n, 2) for n in range(2000)])

    assert loop.run_until_complete(main()) == [n * n for n in range(2000)]
    loop.close()
    assert calls < 1000


def test_a_foreign_loop_that_was_closed_meanwhile_harms_nobody(pool):
    loop = asyncio.new_event_loop()
    release, begun = threading.Event(), threading.Event()

    async def main():
        asyncio.ensure_future(pool.run(lambda: (begun.set(), release.wait(10))))
        while not begun.is_set():
            await asyncio.sleep(0.001)

    loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    loop.close()
    release.set()
    assert pool.submit(int).result(10) == 0


def test_uvloop():
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    # A process of its own: libuv keeps a pipe for as long as the process lives.
    done = program("""
import uvloop
from tideloop.threads import ThreadPool

async def main():
    with ThreadPool(2) as pool:
        print(await pool.run(pow, 2, 3))
        try:
            await pool.run(divmod, 1, 0)
        except ZeroDivisionError as error:
            print(error)
        print([value async for value in pool.map(abs, range(5))])

loop = uvloop.new_event_loop()
loop.run_until_complete(main())
loop.close()
""")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0::2] == ["8", "[0, 1, 2, 3, 4]"]


class TestTrio:
    def test_result_and_error_are_the_functions(self, pool):
        async def main():
            assert await pool.run(pow, 2, 3) == 8
            with pytest.raises(ZeroDivisionError):
                await pool.run(divmod, 1, 0)

        trio.run(main)

    def test_cancelling_cancels_the_token(self, pool):
        told, begun = [], threading.Event()

        def work():
            begun.set()
            told.append(current_token().wait(10))

        async def main():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pool.run, work)
                while not begun.is_set():
                    await trio.sleep(0.001)
                nursery.cancel_scope.cancel()

        trio.run(main)
        wait_until(lambda: told)
        assert told == [True]

    def test_time_limit(self, pool):
        release = threading.Event()

        async def main():
            with pytest.raises(TimeoutError):
                await pool.with_options(timeout=0.02).run(release.wait, 10)

        trio.run(main)
        release.set()
