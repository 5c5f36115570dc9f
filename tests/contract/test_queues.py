"""Queues: who is woken by whom, limits, order, joining and shutting down; with asyncio's names and with Tideloop's."""

import asyncio

import pytest
from queue_support import CLASSES, started, turns


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


@pytest.fixture(params=CLASSES)
def queue_class(aio, request):
    return getattr(aio, request.param)


# Who is woken.


def test_getters_are_woken_in_the_order_in_which_they_came(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        tasks = [started(log, name, queue.get()) for name in "abc"]
        await turns()
        for item in (1, 2, 3):
            queue.put_nowait(item)
        assert log == []
        await asyncio.gather(*tasks)
        assert log == [("a", 1), ("b", 2), ("c", 3)]

    run(main())


def test_each_get_lets_one_putter_in(aio, run):
    async def main():
        queue, log = aio.Queue(1), []
        tasks = [started(log, item, queue.put(item)) for item in "abc"]
        await turns()
        assert log == [("a", None)]
        for expected in "abc":
            assert queue.get_nowait() == expected
            await turns(2)
        assert [name for name, _ in log] == ["a", "b", "c"]
        await asyncio.gather(*tasks)

    run(main())


def test_a_getter_that_comes_first_after_a_put_takes_the_item_from_the_one_who_was_woken(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        waiting = started(log, "waiting", queue.get())
        await turns()
        queue.put_nowait(1)
        assert await queue.get() == 1
        await turns(2)
        assert log == []
        queue.put_nowait(2)
        await waiting
        assert log == [("waiting", 2)]

    run(main())


def test_a_get_that_finds_an_item_does_not_suspend(aio, run):
    async def main():
        queue = aio.Queue(1)
        with pytest.raises(StopIteration) as done:
            queue.put("item").send(None)
        assert done.value.value is None
        with pytest.raises(StopIteration) as done:
            queue.get().send(None)
        assert done.value.value == "item"

    run(main())


def test_nothing_happens_before_a_coroutine_is_awaited(aio, run):
    async def main():
        queue = aio.Queue()
        put, get = queue.put(1), queue.get()
        assert queue.empty()
        await put
        assert queue.qsize() == 1
        assert await get == 1

    run(main())


def test_a_getter_that_was_woken_and_cancelled_passes_the_item_on(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        first, second = started(log, "first", queue.get()), started(log, "second", queue.get())
        await turns()
        queue.put_nowait(1)
        first.cancel()
        await asyncio.wait([first, second])
        assert log == [("first", "CancelledError"), ("second", 1)]

    run(main())


def test_a_putter_that_was_woken_and_cancelled_passes_the_room_on(aio, run):
    async def main():
        queue, log = aio.Queue(1), []
        queue.put_nowait(0)
        first, second = started(log, "first", queue.put(1)), started(log, "second", queue.put(2))
        await turns()
        assert queue.get_nowait() == 0
        first.cancel()
        await asyncio.wait([first, second])
        assert log == [("first", "CancelledError"), ("second", None)]
        assert queue.get_nowait() == 2

    run(main())


def test_who_was_cancelled_does_not_wait_any_more(aio, run):
    async def main():
        queue = aio.Queue(1)
        queue.put_nowait(0)
        full = [asyncio.ensure_future(queue.put(item)) for item in "ab"]
        empty = aio.Queue()
        waiting = [asyncio.ensure_future(empty.get()) for _ in "ab"]
        await turns()
        for task in (full[0], waiting[0]):
            task.cancel()
        await turns(2)
        assert (len(queue._putters), len(empty._getters)) == (1, 1)
        empty.put_nowait(5)
        assert await waiting[1] == 5
        queue.get_nowait()
        await full[1]

    run(main())


def test_futures_that_somebody_put_among_the_waiters_are_woken(aio, run, loop):
    async def main():
        queue = aio.Queue(1)
        await queue.put(1)
        putter, getter = loop.create_future(), loop.create_future()
        queue._putters.append(putter)
        assert await queue.get() == 1
        assert putter.done() and putter.result() is None
        queue._getters.append(getter)
        await queue.put(2)
        assert getter.done() and getter.result() is None

    run(main())


def test_a_waiter_that_somebody_cancelled_ends_the_get(aio, run):
    async def main():
        queue = aio.Queue()
        task = asyncio.ensure_future(queue.get())
        await turns()
        queue._getters[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(queue._getters) == 0

    run(main())


def test_wait_for_a_get_that_comes_too_late_loses_no_item(aio, run):
    async def main():
        queue = aio.Queue()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.001)
        queue.put_nowait("kept")
        assert await asyncio.wait_for(queue.get(), 1) == "kept"

    run(main())


# Limits.


@pytest.mark.parametrize("maxsize", [0, -1, -1.5, False])
def test_a_queue_without_a_limit_is_never_full(aio, maxsize):
    queue = aio.Queue(maxsize)
    for item in range(2000):
        queue.put_nowait(item)
    assert not queue.full()
    assert queue.maxsize == queue._maxsize == maxsize
    assert [queue.get_nowait() for _ in range(2000)] == list(range(2000))


@pytest.mark.parametrize(("maxsize", "fit"), [(1, 1), (2, 2), (1.3, 2), (True, 1)])
def test_a_full_queue_takes_no_more(aio, queue_class, maxsize, fit):
    queue = queue_class(maxsize=maxsize)
    for item in range(fit):
        assert not queue.full()
        queue.put_nowait(item)
    assert queue.full()
    with pytest.raises(aio.QueueFull):
        queue.put_nowait(3)
    assert (queue.qsize(), repr(queue.maxsize)) == (fit, repr(maxsize))


def test_the_limit_may_be_beyond_any_size(aio):
    queue = aio.Queue(10**30)
    queue.put_nowait(1)
    assert not queue.full()
    assert queue.maxsize == 10**30


def test_the_limit_may_be_changed(aio):
    queue = aio.Queue(1)
    queue.put_nowait(1)
    queue._maxsize = 2
    queue.put_nowait(2)
    assert queue.full()
    queue._maxsize = 2.5
    queue.put_nowait(3)
    assert queue.full()
    queue._maxsize = 4
    assert not queue.full()


def test_a_limit_that_is_no_number_fails_when_it_is_looked_at(aio):
    queue = aio.Queue(None)
    with pytest.raises(TypeError, match="not supported between instances of 'NoneType' and 'int'"):
        queue.put_nowait(1)
    assert queue.empty()


def test_an_empty_queue_has_nothing_to_get(aio, queue_class):
    with pytest.raises(aio.QueueEmpty) as raised:
        queue_class().get_nowait()
    assert raised.value.args == ()
    assert aio.QueueEmpty is asyncio.QueueEmpty


# Order of items.


def test_the_classes_hand_out_in_their_order(aio, run):
    async def main():
        for name, expected in (("Queue", [2, 3, 1]), ("LifoQueue", [1, 3, 2]), ("PriorityQueue", [1, 2, 3])):
            queue = getattr(aio, name)()
            for item in (2, 3, 1):
                await queue.put(item)
            assert [await queue.get() for _ in range(3)] == expected

    run(main())


class Item:
    """Compares by its rank alone, and notes each comparison."""

    def __init__(self, rank, name, log, failing=()):
        self.rank, self.name, self.log, self.failing = rank, name, log, failing

    def __lt__(self, other):
        self.log.append((self.name, other.name))
        if len(self.log) in self.failing:
            raise ArithmeticError(len(self.log))
        return self.rank < other.rank


def priorities(aio, failing=()):
    """What a priority queue compares and hands out."""
    queue, log, events = aio.PriorityQueue(), [], []
    for name, rank in enumerate([3, 1, 2, 1, 3, 2, 1, 0, 2, 2]):
        try:
            queue.put_nowait(Item(rank, name, log, failing))
        except ArithmeticError as exc:
            events.append(("put", name, exc.args))
        events.append((queue.qsize(), queue._unfinished_tasks))
    while not queue.empty():
        try:
            events.append(queue.get_nowait().name)
        except ArithmeticError as exc:
            events.append(("get", exc.args, queue.qsize()))
    return log, events


def test_a_priority_queue_compares_what_heapq_compares(aio):
    assert priorities(aio) == priorities(asyncio)


@pytest.mark.parametrize("failing", [{1}, {3, 4}, {9, 12, 20}, set(range(10, 40, 3))])
def test_a_comparison_that_raises_leaves_a_priority_queue_as_heapq_does(aio, failing):
    assert priorities(aio, failing) == priorities(asyncio, failing)


# Joining.


def test_join_waits_for_all_items_to_be_done(aio, queue_class, run):
    async def main():
        queue, log = queue_class(), []
        await queue.join()
        for item in range(3):
            queue.put_nowait(item)
        joins = [started(log, name, queue.join()) for name in "ab"]
        for _ in range(3):
            await turns(2)
            assert log == []
            queue.get_nowait()
            queue.task_done()
        await asyncio.gather(*joins)
        assert log == [("a", None), ("b", None)]
        with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
            queue.task_done()

    run(main())


def test_a_join_that_is_cancelled_leaves_the_others(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        queue.put_nowait(1)
        joins = [started(log, name, queue.join()) for name in "abc"]
        await turns()
        joins[1].cancel()
        await turns(2)
        queue.task_done()
        await asyncio.wait(joins)
        assert log == [("b", "CancelledError"), ("a", None), ("c", None)]

    run(main())


def test_who_joined_goes_on_though_more_was_put_before_its_turn(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        queue.put_nowait(1)
        join = started(log, "join", queue.join())
        await turns()
        queue.task_done()
        queue.put_nowait(2)
        await join
        assert log == [("join", None)]
        again = started(log, "again", queue.join())
        await turns(3)
        assert len(log) == 1
        queue.task_done()
        await again

    run(main())


def test_finished_is_an_event_to_look_at_and_to_set(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        assert queue._finished.is_set()
        queue.put_nowait(1)
        assert not queue._finished.is_set()
        joins = [started(log, name, queue.join()) for name in "ab"]
        other = started(log, "event", queue._finished.wait())
        await turns()
        assert len(queue._finished._waiters) == 3
        joins[0].cancel()
        await turns(2)
        queue.task_done()
        await asyncio.wait([*joins, other])
        assert log == [("a", "CancelledError"), ("b", None), ("event", True)]
        assert queue._finished.is_set()
        assert len(queue._finished._waiters) == 0

    run(main())


def test_finished_may_be_looked_at_while_somebody_joins(aio, run):
    async def main():
        queue, log = aio.Queue(), []
        queue.put_nowait(1)
        joins = [started(log, name, queue.join()) for name in "abc"]
        await turns()
        assert isinstance(queue._finished, asyncio.Event)
        assert len(queue._finished._waiters) == 3
        joins[1].cancel()
        await turns(2)
        queue._finished.set()
        await asyncio.wait(joins)
        assert log == [("b", "CancelledError"), ("a", None), ("c", None)]
        assert (queue._unfinished_tasks, len(queue._finished._waiters)) == (1, 0)

    run(main())


def test_the_count_of_what_is_not_done_may_be_changed(aio):
    queue = aio.Queue()
    queue._unfinished_tasks = 2
    assert queue._format() == "maxsize=0 tasks=2"
    queue.task_done()
    assert queue._unfinished_tasks == 1


# Shutting down.


def can_shut_down(aio):
    if not hasattr(aio.Queue, "shutdown"):
        pytest.skip("asyncio's has it from 3.13 on")
    return aio.QueueShutDown


def test_shutdown_lets_what_is_there_be_got(aio, queue_class, run):
    error = can_shut_down(aio)

    async def main():
        queue = queue_class(1)
        queue.put_nowait(1)
        log = []
        put = started(log, "put", queue.put(2))
        await turns()
        queue.shutdown()
        assert queue._format() == f"maxsize=1 _queue=[1] tasks=1 {'_putters[1] ' if queue._putters else ''}shutdown"
        await put
        assert log == [("put", "QueueShutDown")]
        for refused in (lambda: queue.put_nowait(3), queue.put(3).__await__().__next__):
            with pytest.raises(error):
                refused()
        assert await queue.get() == 1
        for refused in (queue.get_nowait, queue.get().__await__().__next__):
            with pytest.raises(error):
                refused()
        join = asyncio.ensure_future(queue.join())
        await turns()
        assert not join.done()
        queue.task_done()
        await join

    run(main())


def test_an_immediate_shutdown_drops_what_is_there(aio, queue_class, run):
    error = can_shut_down(aio)

    async def main():
        queue, log = queue_class(), []
        for item in range(3):
            queue.put_nowait(item)
        queue.get_nowait()
        join = started(log, "join", queue.join())
        await turns()
        queue.shutdown(immediate=True)
        assert (queue.qsize(), queue._unfinished_tasks) == (0, 1)
        with pytest.raises(error):
            await queue.get()
        await turns(2)
        assert log == []
        queue.task_done()
        await join

    run(main())


def test_shutdown_wakes_everybody_in_order(aio, run):
    can_shut_down(aio)

    async def main():
        queue, log = aio.Queue(), []
        tasks = [started(log, name, queue.get()) for name in "abcd"]
        await turns()
        tasks[1].cancel()
        queue.put_nowait(1)
        queue.shutdown()
        await asyncio.wait(tasks)
        assert log == [("b", "CancelledError"), ("a", 1), ("c", "QueueShutDown"), ("d", "QueueShutDown")]

    run(main())
