"""Shared queues in tasks of every world: what is awaited, in which order, beside threads, and bound to no loop."""

import asyncio
import threading
import time

import pytest

from tideloop import sync
from worlds import Tasks, asyncio_worlds, in_threads, new_loop, pause, run, until, worlds


@worlds
def test_a_task_awaits_an_item_and_another_awaits_room(world):
    async def main():
        q = sync.Queue(1)
        got = []

        async def consume():
            for _ in range(20):
                got.append(await q.get())
                q.task_done()

        async with Tasks() as tasks:
            tasks.start(consume)
            for item in range(20):
                assert await q.put(item) is None
            await q.join()
        assert got == list(range(20))

    run(world, main)


@worlds
def test_nothing_happens_before_the_coroutine_is_awaited(world):
    async def main():
        q = sync.Queue()
        putting = q.put(1)
        await pause()
        assert q.empty()
        await putting
        getting = q.get()
        await pause()
        assert q.qsize() == 1
        assert await getting == 1
        q.put_nowait(2)
        q.put(3, block=False)
        assert (q.get_nowait(), q.get(block=False)) == (2, 3)
        with pytest.raises(sync.Empty):
            q.get_nowait()

    run(world, main)


@worlds
def test_a_timeout_in_a_task_raises_what_it_raises_in_a_thread(world):
    async def main():
        q = sync.Queue(1)
        with pytest.raises(sync.Empty):
            await q.get(timeout=0.02)
        await q.put(1)
        with pytest.raises(sync.Full):
            await q.put(2, timeout=0.02)
        with pytest.raises(TimeoutError):
            await q.join(timeout=0.02)
        assert (q.qsize(), await q.get(timeout=5)) == (1, 1)
        assert "0 getting, 0 putting" in repr(q)

    run(world, main)


@worlds
def test_those_who_wait_are_served_in_the_order_in_which_they_came(world):
    async def main():
        q, log = sync.Queue(1), []

        async def get(name):
            log.append((name, await q.get()))

        async with Tasks() as tasks:
            for name in "abc":
                tasks.start(get, name)
                await until(lambda: f"{'abc'.index(name) + 1} getting" in repr(q))  # noqa: B023
            for item in range(3):
                await q.put(item)
                await until(lambda: len(log) == item + 1)  # noqa: B023
        assert log == [("a", 0), ("b", 1), ("c", 2)]

    run(world, main)


@worlds
def test_shutdown_ends_those_who_wait_and_iterations(world):
    async def main():
        empty, full, several = sync.Queue(), sync.Queue(1), sync.Queue()
        full.put_nowait(0)

        async def all_of(q):
            return [item async for item in q]

        async with Tasks() as tasks:
            getter, putter, iteration = (
                tasks.start(lambda: empty.get()),
                tasks.start(lambda: full.put(1)),
                tasks.start(all_of, several),
            )
            await until(lambda: "1 getting" in repr(empty) and "1 putting" in repr(full))
            for item in range(10):
                await several.put(item)
            for q in (empty, full, several):
                q.shutdown()
            for ended in (getter, putter):
                with pytest.raises(sync.ShutDown):
                    await ended.result()
            assert await iteration.result() == list(range(10))
        assert (full.qsize(), full.get_nowait()) == (1, 0)
        assert [item async for item in several] == []

    run(world, main)


@worlds
def test_threads_and_tasks_are_at_the_two_ends(world):
    async def main():
        to_tasks, to_thread = sync.Queue(3), sync.Queue()

        def thread():
            for item in to_tasks_items:
                to_tasks.put(item)
            to_tasks.shutdown()
            received.extend(to_thread)

        to_tasks_items, received = range(300), []
        worker = threading.Thread(target=thread)
        worker.start()
        async for item in to_tasks:
            await to_thread.put(item * 2)
        to_thread.shutdown()
        await until(lambda: not worker.is_alive())
        worker.join()
        assert received == [item * 2 for item in to_tasks_items]

    run(world, main)


@worlds
def test_one_that_asks_to_block_blocks_and_the_loop_waits_with_it(world):
    async def main():
        q = sync.Queue(1)
        helper = threading.Timer(0.02, q.put, [1])
        helper.start()
        assert q.get(block=True) == 1
        assert q.put(2, True) is None
        with pytest.raises(sync.Full):
            q.put(3, True, 0.01)
        with pytest.raises(sync.Empty):
            sync.Queue().get(True, timeout=0.01)
        helper.join()

    run(world, main)


@asyncio_worlds
def test_a_callback_of_a_loop_is_no_task_and_gets_at_once(world):
    loop, q, got = new_loop(world), sync.Queue(), []
    loop.call_soon(q.put, 1)
    loop.call_soon(lambda: got.append(q.get()))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert got == [1]


@asyncio_worlds
def test_it_works_with_what_asyncio_offers_for_coroutines(world):
    async def main():
        q = sync.Queue()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(q.get(), 0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await q.get()
        getting = asyncio.ensure_future(q.get())
        first = asyncio.gather(q.get(), q.get())
        await asyncio.sleep(0)
        for item in range(3):
            q.put_nowait(item)
        assert await getting == 0
        assert await first == [1, 2]
        never = q.get()
        assert asyncio.iscoroutine(never)
        never.close()

    run(world, main)


@asyncio_worlds
def test_eager_tasks_finish_at_once_where_nothing_has_to_be_waited_for(world):
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("eager tasks came with Python 3.12")

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        q = sync.Queue(1)

        async def put(item):
            await q.put(item)

        async def get():
            return await q.get()

        first, second = asyncio.ensure_future(put(1)), asyncio.ensure_future(put(2))
        assert (first.done(), second.done(), q.qsize()) == (True, False, 1)
        got = [asyncio.ensure_future(get()), asyncio.ensure_future(get())]
        assert got[0].done()
        assert [await task for task in got] == [1, 2]
        await second

    run(world, main)


@pytest.mark.parametrize("other", ["tideloop", "asyncio"])
def test_one_queue_serves_loops_of_several_threads_and_later_ones(other):
    q, back = sync.Queue(2), sync.Queue()

    async def consume():
        async for item in q:
            await back.put(item)

    async def produce():
        for item in range(300):
            await q.put(item)

    in_threads(lambda: run(other, produce), lambda: run("tideloop", produce), lambda: run(other, several, consume, q))
    assert sorted(back.get_nowait() for _ in range(600)) == sorted([*range(300)] * 2)


async def several(consume, q):
    """Two consumers; the queue is shut down when all has been got."""
    async with Tasks() as tasks:
        tasks.start(consume)
        tasks.start(consume)
        await until(lambda: q.unfinished_tasks == 600 and q.empty() and "0 putting" in repr(q))
        q.shutdown()


def check_that_none_overtook(got, each):
    """What every consumer has got of each of the four producers, it has got in the order in which it was put."""
    for mine in got:
        for at in range(4):
            of_one = [item for item in mine if item // each == at]
            assert of_one == sorted(of_one)


@pytest.mark.parametrize("bounded", [0, 8])
@pytest.mark.parametrize("cls", [sync.Queue, sync.LifoQueue, sync.PriorityQueue])
def test_producers_in_threads_and_consumers_in_tasks_of_two_loops_lose_and_double_nothing(cls, bounded):
    each, q = 10_000, cls(bounded)
    got = [[], [], [], []]

    def producer(first):
        for item in range(first, first + each):
            q.put(item)

    async def consume(mine):
        async for item in q:
            mine.append(item)

    async def two(first, second):
        async with Tasks() as tasks:
            tasks.start(consume, first)
            tasks.start(consume, second)

    def close():
        in_threads(*[lambda at=at: producer(at * each) for at in range(4)])
        q.shutdown()

    in_threads(close, lambda: run("tideloop", two, *got[:2]), lambda: run("asyncio", two, *got[2:]))
    items = [item for mine in got for item in mine]
    assert len(items) == 4 * each
    assert sorted(items) == list(range(4 * each))
    if cls is sync.Queue:
        check_that_none_overtook(got, each)


@pytest.mark.parametrize("bounded", [0, 100])
def test_a_hundred_thousand_items_of_each_producer_between_threads_and_tasks_at_both_ends(bounded):
    each, q = 100_000, sync.Queue(bounded)
    got = [[], [], [], []]

    def items_of(at):
        return range(at * each, (at + 1) * each)

    def put_all(at):
        for item in items_of(at):
            q.put(item)

    async def put_all_soon(at):
        for item in items_of(at):
            await q.put(item)

    def get_all(mine):
        mine.extend(q)

    async def get_all_soon(mine):
        async for item in q:
            mine.append(item)

    async def one_each(put, mine):
        async with Tasks() as tasks:
            tasks.start(put_all_soon, put)
            tasks.start(get_all_soon, mine)

    def close():
        in_threads(*[lambda at=at: put_all(at) for at in range(2)])
        while sum(map(len, got)) < 4 * each:
            time.sleep(0.01)
        q.shutdown()

    in_threads(
        close,
        lambda: get_all(got[0]),
        lambda: get_all(got[1]),
        lambda: run("tideloop", one_each, 2, got[2]),
        lambda: run("asyncio", one_each, 3, got[3]),
    )
    assert sorted(item for mine in got for item in mine) == list(range(4 * each))
    check_that_none_overtook(got, each)
