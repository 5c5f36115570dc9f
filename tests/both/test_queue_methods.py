"""The methods of shared queues as threads call them: those of `queue`, with their meaning."""

import asyncio
import gc
import queue
import threading
import time
import weakref

import pytest

import tideloop
from tideloop import sync
from worlds import in_threads

CLASSES = (sync.Queue, sync.LifoQueue, sync.PriorityQueue)

each_class = pytest.mark.parametrize("cls", CLASSES)


@pytest.mark.parametrize(
    ("cls", "order"), [(sync.Queue, [2, 3, 1]), (sync.LifoQueue, [1, 3, 2]), (sync.PriorityQueue, [1, 2, 3])]
)
def test_items_come_out_in_the_order_of_the_class(cls, order):
    q = cls()
    for item in (2, 3, 1):
        q.put(item)
    assert q.qsize() == 3
    assert [q.get() for _ in range(3)] == order
    assert q.empty()


@each_class
def test_maxsize_bounds_what_is_in_and_0_does_not(cls):
    q = cls(2)
    assert (q.maxsize, q.full()) == (2, False)
    q.put(1)
    q.put_nowait(2)
    assert q.full()
    with pytest.raises(sync.Full):
        q.put_nowait(3)
    with pytest.raises(sync.Full):
        q.put(3, block=False)
    with pytest.raises(sync.Full):
        q.put(3, True, 0.01)
    assert q.qsize() == 2
    for unbounded in (cls(), cls(0), cls(-1)):
        for item in range(100):
            unbounded.put_nowait(item)
        assert not unbounded.full()


@each_class
def test_getting_from_an_empty_queue_raises_what_threads_and_tasks_expect(cls):
    q = cls()
    for expected in (queue.Empty, asyncio.QueueEmpty, tideloop.QueueEmpty):
        with pytest.raises(expected):
            q.get_nowait()
        with pytest.raises(expected):
            q.get(False)
        with pytest.raises(expected):
            q.get(timeout=0)
    q = cls(1)
    q.put(1)
    for expected in (queue.Full, asyncio.QueueFull, tideloop.QueueFull):
        with pytest.raises(expected):
            q.put(2, timeout=0)
    q.shutdown()
    for expected in (getattr(queue, "ShutDown", sync.ShutDown), tideloop.QueueShutDown):
        with pytest.raises(expected):
            q.put(2)


def test_exceptions_have_the_name_of_their_module():
    assert [f"{e.__module__}.{e.__qualname__}" for e in (sync.Empty, sync.Full, sync.ShutDown)] == [
        "tideloop.sync.Empty",
        "tideloop.sync.Full",
        "tideloop.sync.ShutDown",
    ]


@each_class
def test_a_negative_timeout_is_refused_and_one_without_blocking_is_ignored(cls):
    q = cls(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.put(1, timeout=-0.5)
    with pytest.raises(ValueError, match="NaN"):
        q.get(timeout=float("nan"))
    with pytest.raises(TypeError):
        q.get(timeout="soon")
    with pytest.raises(sync.Empty):
        q.get(False, -1)
    q.put(1, False, -1)
    assert q.get() == 1


@each_class
def test_wrong_arguments_are_type_errors(cls):
    q = cls()
    with pytest.raises(TypeError, match="missing"):
        q.put()
    with pytest.raises(TypeError, match="unexpected"):
        q.put(1, blocking=True)
    with pytest.raises(TypeError, match="positional"):
        q.get(True, 1, 2)
    with pytest.raises(TypeError):
        q.get_nowait(1)
    q.put(item=1)
    q.put_nowait(item=2)
    assert q.qsize() == 2


@each_class
def test_a_get_waits_for_a_put_and_a_put_for_a_get(cls):
    q = cls(1)

    def producer():
        for item in range(200):
            q.put(item)

    def consumer():
        return [q.get() for _ in range(200)]

    assert in_threads(producer, consumer)[1] == list(range(200))


@each_class
def test_a_timeout_ends_the_wait_in_time_and_leaves_nothing(cls):
    q = cls(1)
    began = time.monotonic()
    with pytest.raises(sync.Empty):
        q.get(timeout=0.05)
    assert 0.04 < time.monotonic() - began < 5
    q.put("first")
    with pytest.raises(sync.Full):
        q.put("second", timeout=0.05)
    assert q.get() == "first"
    with pytest.raises(sync.Empty):
        q.get_nowait()
    assert "0 getting, 0 putting" in repr(q)


@each_class
def test_join_waits_until_all_work_is_done(cls):
    q = cls()
    q.join()
    for item in range(3):
        q.put(item)
    assert q.unfinished_tasks == 3
    with pytest.raises(TimeoutError):
        q.join(timeout=0.02)
    joined = []

    def worker():
        for _ in range(3):
            q.get()
            time.sleep(0.005)
            joined.append(False)
            q.task_done()

    def joiner():
        q.join()
        joined.append(True)

    in_threads(joiner, joiner, worker)
    assert joined == [False, False, False, True, True]
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()


@each_class
def test_shutdown_lets_getters_have_what_is_there_and_ends_them_then(cls):
    q = cls(2)
    q.put(1)
    q.put(2)
    assert not q.is_shutdown
    q.shutdown()
    assert q.is_shutdown
    assert "shut down" in repr(q)
    with pytest.raises(sync.ShutDown):
        q.put(3)
    with pytest.raises(sync.ShutDown):
        q.put_nowait(3)
    assert sorted([q.get(), q.get_nowait()]) == [1, 2]
    with pytest.raises(sync.ShutDown):
        q.get()
    with pytest.raises(sync.ShutDown):
        q.get_nowait()


@each_class
def test_shutdown_wakes_all_who_wait(cls):
    empty, full = cls(), cls(1)
    full.put(0)

    def getter():
        with pytest.raises(sync.ShutDown):
            empty.get()

    def putter():
        with pytest.raises(sync.ShutDown):
            full.put(1)

    def closer():
        while "2 getting" not in repr(empty) or "2 putting" not in repr(full):
            time.sleep(0.001)
        empty.shutdown()
        full.shutdown()

    in_threads(getter, getter, putter, putter, closer)
    assert full.get() == 0
    assert full.empty()


@each_class
def test_immediate_shutdown_drops_the_items_and_lets_joiners_go(cls):
    q = cls()
    for item in range(3):
        q.put(item)
    in_threads(q.join, lambda: (time.sleep(0.02), q.shutdown(immediate=True)))
    assert (q.qsize(), q.unfinished_tasks) == (0, 0)
    with pytest.raises(sync.ShutDown):
        q.get()


@each_class
def test_an_iteration_ends_when_the_queue_is_shut_down_and_empty(cls):
    q = cls(2)

    def producer():
        for item in range(50):
            q.put(item)
        q.shutdown()

    assert sorted(in_threads(producer, lambda: list(q))[1]) == list(range(50))
    assert list(q) == []


@each_class
def test_a_queue_dies_with_its_items_and_cycles_are_found(cls):
    class Item:
        def __lt__(self, other):
            return False

    q = cls()
    item = Item()
    watch, watch_queue = weakref.ref(item), weakref.ref(q)
    item.queue = q
    q.put(item)
    del item, q
    gc.collect()
    assert (watch(), watch_queue()) == (None, None)


def test_a_class_of_ones_own_may_derive_and_queues_are_generic():
    class Mine(sync.Queue[int]):
        def get(self, *args, **kwargs):
            return super().get(*args, **kwargs) + 1

    q = Mine(3)
    q.extra = True
    q.put(1)
    assert (q.get(), q.maxsize, isinstance(q, sync.Queue)) == (2, 3, True)
    assert issubclass(sync.LifoQueue, sync.Queue)
    assert issubclass(sync.PriorityQueue, sync.Queue)


def test_a_queue_that_is_used_by_one_thread_needs_no_loop_and_no_other_thread():
    before = threading.active_count()
    q = sync.Queue()
    for item in range(1000):
        q.put(item)
    assert [q.get() for _ in range(1000)] == list(range(1000))
    assert threading.active_count() == before


def test_a_simple_queue_has_no_bound_and_no_argument():
    simple = sync.SimpleQueue()
    for item in range(1000):
        simple.put(item, False)
    assert [simple.get() for _ in range(1000)] == [*range(1000)]
    assert isinstance(simple, sync.Queue)
    assert simple.maxsize == 0
    with pytest.raises(TypeError):
        sync.SimpleQueue(3)
