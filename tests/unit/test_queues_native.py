"""What only the native queues have: wait reasons, statistics, little memory, and the two ways through them."""

import asyncio
import gc
import pickle
import tracemalloc

import pytest

import tideloop

CLASSES = (tideloop.Queue, tideloop.LifoQueue, tideloop.PriorityQueue)


async def turns(count=1):
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_task_says_that_it_waits_for_a_queue(run):
    async def main():
        queue = tideloop.Queue()
        queue.put_nowait(1)
        tasks = [asyncio.ensure_future(tideloop.Queue.get(queue)) for _ in "12"]
        join = asyncio.ensure_future(queue.join())
        await turns()
        assert tasks[0].done()
        for task, reason in ((tasks[1], "queue"), (join, "join")):
            assert (task._wait_reason, task._waits_for) == (reason, queue)
            task.cancel()
        await turns(2)

    run(main())


def test_statistics_say_who_waits(run):
    async def main():
        queue = tideloop.Queue(1)
        getters = [asyncio.ensure_future(queue.get()) for _ in "12"]
        await turns()
        assert queue.statistics() == (0, 1, 0, tuple(getters), (), (), False)
        queue.put_nowait(1)
        assert queue.statistics().getters == (getters[1],)
        queue.put_nowait("x") if queue.empty() else None
        await turns(2)
        queue.put_nowait(2)
        await turns(2)
        queue.put_nowait(3)
        putter, joiner = asyncio.ensure_future(queue.put(4)), asyncio.ensure_future(queue.join())
        await turns()
        statistics = queue.statistics()
        assert (statistics.putters, statistics.joiners, statistics.size) == ((putter,), (joiner,), 1)
        assert statistics.unfinished_tasks == 3
        assert len(queue._putters) == len(queue._finished._waiters) == 1
        assert queue.statistics() == statistics
        queue.shutdown(immediate=True)
        assert queue.statistics().is_shut_down
        joiner.cancel()
        with pytest.raises(tideloop.QueueShutDown):
            await putter
        await asyncio.wait([joiner])

    run(main())


def test_shutdown_exists_on_every_version_of_python(run):
    async def main():
        for cls in CLASSES:
            queue = cls()
            getter = asyncio.ensure_future(queue.get())
            await turns()
            queue.shutdown()
            with pytest.raises(tideloop.QueueShutDown):
                await getter
            with pytest.raises(tideloop.QueueShutDown):
                queue.put_nowait(1)
            assert queue._is_shutdown

    run(main())
    error = pickle.loads(pickle.dumps(tideloop.QueueShutDown("why")))
    assert type(error) is tideloop.QueueShutDown
    assert error.args == ("why",)
    assert not issubclass(tideloop.QueueShutDown, tideloop.QueueEmpty | tideloop.QueueFull)


@pytest.mark.parametrize("cls", CLASSES)
def test_looking_inside_changes_nothing_that_is_seen(cls, run):
    """Whoever looks at the private attributes gets asyncio's kinds of objects, which are used from then on."""

    async def scenario(look):
        queue, log = cls(2), []

        async def note(name, coroutine):
            log.append((name, await coroutine))

        tasks = [asyncio.ensure_future(note(n, queue.get())) for n in range(3)]
        await turns()
        tasks += [asyncio.ensure_future(note(n, queue.put(n))) for n in range(3, 9)]
        tasks[1].cancel()
        for step in range(12):
            if look:
                for name in ("_queue", "_getters", "_putters", "_finished")[step % 4 :]:
                    getattr(queue, name)
            await turns()
            log.append((queue._format(), queue.qsize(), queue.full()))
            if step > 4 and not queue.empty():
                log.append(queue.get_nowait())
                queue.task_done()
        queue._unfinished_tasks = 0
        await asyncio.wait(tasks)
        return log

    assert run(scenario(look=True)) == run(scenario(look=False))


def test_a_class_may_be_changed_while_its_queues_are_in_use(run):
    class Derived(tideloop.Queue):
        pass

    async def main():
        queue, log = Derived(), []
        queue.put_nowait(1)

        def put(self, item):
            log.append(item)
            self._queue.append(item)

        Derived._put = put
        await queue.put(2)
        queue.put_nowait(3)
        del Derived._put
        queue.put_nowait(4)
        assert log == [2, 3]
        assert [await queue.get() for _ in range(4)] == [1, 2, 3, 4]

    run(main())


def test_our_own_class_may_be_patched(monkeypatch):
    queue, log = tideloop.Queue(), []
    monkeypatch.setattr(tideloop.Queue, "full", lambda self: log.append("full") or False)
    queue.put_nowait(1)
    assert log == ["full"]
    monkeypatch.undo()
    queue.put_nowait(2)
    assert (log, queue.qsize()) == (["full"], 2)


def test_a_class_that_has_not_run_init_is_an_empty_queue_without_limit():
    queue = tideloop.Queue.__new__(tideloop.Queue)
    queue.put_nowait(1)
    assert queue.get_nowait() == 1


def test_items_die_outside_of_the_queue():
    """An item's end may use the queue that it was in."""
    queue = tideloop.Queue()

    class Item:
        def __del__(self):
            ends.append(queue.qsize())
            queue.put_nowait("from the end")

    ends = []
    for _ in range(3):
        queue.put_nowait(Item())
    queue.get_nowait()
    assert ends == [2]
    queue.shutdown()
    queue._is_shutdown = False
    queue.__init__()
    assert ends == [2, 0, 1]
    queue._queue = [1]
    assert queue.qsize() == 1


def test_cycles_through_queues_and_waiting_tasks_are_collected(loop):
    async def main():
        for cls in CLASSES:
            queue = cls()
            queue.put_nowait((1, queue)) if cls is tideloop.PriorityQueue else queue.put_nowait(queue)
            queue.waiter = queue.join()
            queue.waiter.send(None)

    loop.run_until_complete(main())
    before = sum(isinstance(thing, tideloop.Queue) for thing in gc.get_objects())
    gc.collect()
    after = sum(isinstance(thing, tideloop.Queue) for thing in gc.get_objects())
    assert (before >= 3, after) == (True, 0)


def test_a_queue_within_queues_without_end_is_freed():
    queue = None
    for _ in range(100_000):
        outer = tideloop.Queue()
        outer.put_nowait(queue)
        queue = outer
    del queue, outer


def bytes_each(make, count=2000):
    make()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [make() for _ in range(count)]
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return len(kept) and used / count


def test_an_unused_queue_takes_less_than_asyncios():
    for cls in CLASSES:
        assert bytes_each(cls) < 0.5 * bytes_each(getattr(asyncio, cls.__name__))


def test_a_burst_leaves_no_memory_behind():
    queue = tideloop.Queue()
    for _ in range(3):
        for item in range(100_000):
            queue.put_nowait(item)
        assert [queue.get_nowait() for _ in range(100_000)][::50_000] == [0, 50_000]
    assert queue.empty()


def test_queues_work_on_asyncios_loop_and_with_asyncios_tasks():
    async def main():
        queue = tideloop.Queue(1)

        async def put():
            for item in range(100):
                await queue.put(item)

        async def get():
            return [await queue.get() for _ in range(100)]

        return (await asyncio.gather(put(), get()))[1]

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(main()) == list(range(100))
    with asyncio.Runner(loop_factory=lambda: tideloop.EventLoop(tasks="asyncio")) as runner:
        assert runner.run(main()) == list(range(100))
