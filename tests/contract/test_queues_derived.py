"""Queues: loops, coroutines, derived classes, and looking inside; with asyncio's names and with Tideloop's."""

import asyncio
import copy
import gc
import importlib
import pickle
import types
import weakref

import pytest
from queue_support import CLASSES, turns


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


@pytest.fixture(params=CLASSES)
def queue_class(aio, request):
    return getattr(aio, request.param)


# Loops.


def test_a_queue_belongs_to_the_loop_of_who_waited_first(aio, make_loop):
    queue, other = aio.Queue(), make_loop()

    async def wait(method):
        await asyncio.wait_for(method(), 0.001)

    first = make_loop()
    with pytest.raises(TimeoutError):
        first.run_until_complete(wait(queue.get))
    assert queue._loop is first

    async def refused():
        with pytest.raises(RuntimeError) as raised:
            await queue.get()
        assert str(raised.value) == f"{queue!r} is bound to a different event loop"
        queue.put_nowait(1)
        assert await queue.get() == 1
        with pytest.raises(TimeoutError):  # join has a loop of its own
            await wait(queue.join)

    other.run_until_complete(refused())

    async def joins():
        with pytest.raises(RuntimeError, match=r"^<asyncio.locks.Event object at .* is bound to a different"):
            await queue.join()

    first.run_until_complete(joins())


def test_a_queue_may_be_made_and_filled_without_a_loop(aio, queue_class, run):
    queue = queue_class()
    queue.put_nowait(1)
    assert queue._loop is None
    assert run(queue.get()) == 1


# Coroutines.


def test_the_coroutines_are_named_after_the_methods(aio, queue_class, run):
    async def main():
        queue = queue_class(1)
        for coroutine, name in ((queue.get(), "get"), (queue.put(1), "put"), (queue.join(), "join")):
            assert asyncio.iscoroutine(coroutine)
            assert (coroutine.__name__, coroutine.__qualname__) == (name, f"Queue.{name}")
            coroutine.close()
        assert queue.empty()

    run(main())


def test_one_that_is_never_awaited_is_told_of(aio):
    queue = aio.Queue()
    for name, make in (("get", queue.get), ("put", lambda: queue.put(1)), ("join", queue.join)):
        with pytest.warns(RuntimeWarning, match=f"^coroutine 'Queue.{name}' was never awaited$"):
            make()
            gc.collect()


def test_what_is_thrown_in_or_closed_does_not_wait_any_more(aio, run):
    async def main():
        queue = aio.Queue(1)
        get, join = queue.get(), queue.join()
        assert asyncio.isfuture(get.send(None))
        assert len(queue._getters) == 1
        with pytest.raises(LookupError):
            get.throw(LookupError())
        assert len(queue._getters) == 0
        queue.put_nowait(1)
        put = queue.put(2)
        for coroutine in (put, join):
            coroutine.send(None)
            coroutine.close()
        assert (len(queue._putters), len(queue._finished._waiters)) == (0, 0)

    run(main())


def test_one_that_is_closed_after_it_was_woken_passes_the_item_on(aio, run):
    async def main():
        queue = aio.Queue()
        get = queue.get()
        get.send(None)
        other = asyncio.ensure_future(queue.get())
        await turns()
        queue.put_nowait("item")
        get.close()
        assert await other == "item"

    run(main())


def test_arguments_that_do_not_fit_are_refused(aio):
    queue = aio.Queue()
    for call in (
        lambda: queue.put_nowait(),
        lambda: queue.put_nowait(1, 2),
        lambda: queue.put_nowait(1, item=2),
        lambda: queue.put_nowait(thing=1),
        lambda: queue.get_nowait(1),
        lambda: queue.put(),
        lambda: queue.get(1),
        lambda: aio.Queue(1, 2),
        lambda: aio.Queue(size=1),
    ):
        with pytest.raises(TypeError):
            call()
    queue.put_nowait(item=1)
    assert queue.get_nowait() == 1


# Classes.


def test_the_classes_derive_from_asyncios(aio):
    for name in CLASSES:
        queue = getattr(aio, name)()
        assert isinstance(queue, getattr(asyncio, name))
        assert isinstance(queue, aio.Queue)
        assert getattr(aio, name)[int].__args__ == (int,)
        assert isinstance(getattr(aio, name)[int], types.GenericAlias)


class Sorted:
    """Overrides what asyncio says may be overridden; to be mixed with a queue."""

    def _init(self, maxsize):
        self.init = maxsize
        self._queue = []

    def _put(self, item):
        self._queue.append(item)
        self._queue.sort()

    def _get(self):
        return self._queue.pop(0)


def test_a_derived_class_may_keep_its_items_as_it_likes(aio, run):
    class Unique(aio.Queue):
        def _init(self, maxsize):
            self._queue = {}

        def _put(self, item):
            self._queue[item] = None

        def _get(self):
            return self._queue.popitem()[0]

    class SortedQueue(Sorted, aio.Queue):
        pass

    async def main():
        queue = Unique()
        for item in "abab":
            await queue.put(item)
        assert (queue.qsize(), queue._unfinished_tasks) == (2, 4)
        assert [await queue.get(), await queue.get()] == ["b", "a"]
        queue = SortedQueue(3)
        assert queue.init == 3
        for item in (3, 1, 2):
            await queue.put(item)
        assert queue.full()
        assert repr(queue).endswith(" maxsize=3 _queue=[1, 2, 3] tasks=3>")
        waiting = asyncio.ensure_future(queue.put(0))
        await turns()
        assert [await queue.get(), await queue.get()] == [1, 2]
        await waiting
        assert [await queue.get(), await queue.get()] == [0, 3]

    run(main())


def test_a_derived_class_may_store_elsewhere(aio, run):
    class Elsewhere(aio.Queue):
        __slots__ = ("things",)

        def _init(self, maxsize):
            self.things = []

        def qsize(self):
            return len(self.things)

        def empty(self):
            return not self.things

        def _put(self, item):
            self.things.append(item)

        def _get(self):
            return self.things.pop()

    async def main():
        queue = Elsewhere(2)
        getter = asyncio.ensure_future(queue.get())
        await turns()
        await queue.put(1)
        assert await getter == 1
        await queue.put(1)
        await queue.put(2)
        assert queue.full()
        assert [await queue.get(), await queue.get()] == [2, 1]

    run(main())


@pytest.mark.parametrize("name", CLASSES)
def test_the_overridden_steps_may_call_the_ones_below(aio, run, name):
    base, log = getattr(aio, name), []

    class Noting(base):
        def _init(self, maxsize):
            log.append(("init", maxsize))
            super()._init(maxsize)

        def _put(self, item):
            log.append(("put", item))
            super()._put(item)

        def _get(self):
            item = super()._get()
            log.append(("get", item))
            return item

    async def main():
        queue = Noting(2)
        for item in (2, 1):
            await queue.put(item)
        got = [await queue.get(), await queue.get()]
        assert log == [("init", 2), ("put", 2), ("put", 1), *(("get", item) for item in got)]
        assert got == {"Queue": [2, 1]}.get(name, [1, 2])

    run(main())


def test_every_step_that_asyncio_calls_may_be_overridden(aio, run):
    log = []

    class Noting(aio.Queue):
        pass

    def noting(name):
        def method(self, *args):
            log.append(name)
            return getattr(super(Noting, self), name)(*args)

        return method

    for name in ("qsize", "empty", "full", "put_nowait", "get_nowait", "_wakeup_next", "_get_loop"):
        setattr(Noting, name, noting(name))

    async def main():
        queue = Noting(1)
        getter = asyncio.ensure_future(queue.get())
        await turns()
        putters = [asyncio.ensure_future(queue.put(item)) for item in range(3)]
        await turns(3)
        putters[2].cancel()
        await turns(2)
        assert [await getter, await queue.get()] == [0, 1]
        return log

    run(main())
    counted = [*log]
    log.clear()
    if aio is not asyncio:
        assert counted == noted_by_asyncio(run)


def noted_by_asyncio(run):
    """The same on the standard library's queue."""
    log = []

    class Noting(asyncio.Queue):
        pass

    def noting(name):
        def method(self, *args):
            log.append(name)
            return getattr(super(Noting, self), name)(*args)

        return method

    for name in ("qsize", "empty", "full", "put_nowait", "get_nowait", "_wakeup_next", "_get_loop"):
        setattr(Noting, name, noting(name))

    async def main():
        queue = Noting(1)
        getter = asyncio.ensure_future(queue.get())
        await turns()
        putters = [asyncio.ensure_future(queue.put(item)) for item in range(3)]
        await turns(3)
        putters[2].cancel()
        await turns(2)
        assert [await getter, await queue.get()] == [0, 1]

    run(main())
    return log


def test_put_nowait_of_a_ring_buffer_is_what_put_calls(aio, run):
    class Ring(aio.Queue):
        def put_nowait(self, item):
            if self.full():
                self.get_nowait()
            return super().put_nowait(item)

        def full(self):
            return False if self.ring else super().full()

    async def main():
        queue = Ring(2)
        queue.ring = False
        queue.put_nowait(0)
        queue.ring = True
        for item in (1, 2, 3):
            queue.ring = True
            await queue.put(item)
            queue.ring = False
            while queue.qsize() > 2:
                queue.get_nowait()
        assert [queue.get_nowait(), queue.get_nowait()] == [2, 3]

    run(main())


def test_a_put_that_fails_changes_nothing_else(aio, run):
    class Picky(aio.Queue):
        def _put(self, item):
            if item is None:
                raise ValueError("nothing to put")
            super()._put(item)

    async def main():
        queue = Picky()
        getter = asyncio.ensure_future(queue.get())
        await turns()
        with pytest.raises(ValueError, match="nothing to put"):
            await queue.put(None)
        await turns(2)
        assert not getter.done()
        assert queue._unfinished_tasks == 0
        queue.put_nowait(1)
        assert await getter == 1

    run(main())


# Looking inside.


def test_what_is_looked_at_may_be_changed(aio, run):
    async def main():
        queue = aio.Queue(3)
        for item in "abc":
            queue.put_nowait(item)
        inside = queue._queue
        assert list(inside) == ["a", "b", "c"]
        inside.remove("b")
        inside.appendleft("first")
        assert (queue.qsize(), queue.full()) == (3, True)
        assert [queue.get_nowait() for _ in range(3)] == ["first", "a", "c"]
        queue.put_nowait("last")
        assert inside is queue._queue
        assert list(inside) == ["last"]
        inside.clear()
        assert queue.empty()

    run(main())


def test_the_kinds_of_what_is_inside_are_asyncios(aio):
    for name in CLASSES:
        queue, model = getattr(aio, name)(), getattr(asyncio, name)()
        for both in (queue, model):
            both.put_nowait(2)
            both.put_nowait(1)
        for attribute in ("_queue", "_getters", "_putters"):
            assert type(getattr(queue, attribute)) is type(getattr(model, attribute))
        assert list(queue._queue) == list(model._queue)
        for both in (queue, model):
            both.put_nowait(0)
        assert [queue.get_nowait() for _ in "123"] == [model.get_nowait() for _ in "123"]


def test_the_repr_says_what_is_inside_and_who_waits(aio, queue_class, run):
    async def main():
        queue = queue_class(maxsize=1)
        name = queue_class.__name__
        assert repr(queue) == f"<{name} at {id(queue):#x} maxsize=1>"
        assert str(queue) == f"<{name} maxsize=1>"
        getter = asyncio.ensure_future(queue.get())
        await turns()
        assert str(queue) == f"<{name} maxsize=1 _getters[1]>"
        queue.put_nowait(1)
        await getter
        queue.put_nowait(1)
        putter = asyncio.ensure_future(queue.put(2))
        await turns()
        assert str(queue) == f"<{name} maxsize=1 _queue=[1] _putters[1] tasks=2>"
        queue.get_nowait()
        await putter
        queue.put_nowait if queue.empty() else queue.get_nowait()

    run(main())


def test_a_queue_in_itself_can_be_shown_and_collected(aio, queue_class):
    queue = queue_class()
    queue.put_nowait(queue)
    reference = weakref.ref(queue)
    del queue
    gc.collect()
    assert reference() is None


def test_attributes_and_weak_references(aio, queue_class):
    queue = queue_class()
    queue.name = "jobs"
    assert vars(queue)["name"] == "jobs"
    assert {weakref.ref(queue): 1}[weakref.ref(queue)] == 1
    assert queue != queue_class()
    assert len({queue, queue}) == 1


@pytest.mark.parametrize("way", ["copy", "deepcopy", "pickle"])
def test_copies_hold_what_the_original_held(aio, queue_class, way):
    queue = queue_class(5)
    queue.name = "jobs"
    for item in (2, 3, 1):
        queue.put_nowait(item)
    ways = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda queue: pickle.loads(pickle.dumps(queue))}
    other = ways[way](queue)
    assert type(other) is queue_class
    assert (other.name, other.maxsize, other.qsize(), other._unfinished_tasks) == ("jobs", 5, 3, 3)
    assert sorted(other.get_nowait() for _ in range(3)) == [1, 2, 3]
    if way != "copy":
        assert queue.qsize() == 3


def test_init_may_be_called_again(aio, queue_class):
    queue = queue_class(1)
    queue.put_nowait(1)
    queue.__init__(2)
    assert (queue.qsize(), queue.maxsize, queue._unfinished_tasks) == (0, 2, 0)
    queue.put_nowait(1)
    assert not queue.full()


def test_the_exceptions_are_asyncios():
    tideloop = importlib.import_module("tideloop")
    assert tideloop.QueueEmpty is asyncio.QueueEmpty
    assert tideloop.QueueFull is asyncio.QueueFull
    if hasattr(asyncio, "QueueShutDown"):
        assert tideloop.QueueShutDown is asyncio.QueueShutDown
