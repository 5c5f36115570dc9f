"""Names of asyncio and of Tideloop side by side: on every loop, with either kind of tasks, in one program.

Each test runs on asyncio's loop with its names, which says what is right, and then on all that may be mixed with them.
"""

import asyncio
import contextlib
import contextvars
import importlib
import threading

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)


with contextlib.suppress(ImportError):
    # Its first loop opens descriptors for good.
    importlib.import_module("uvloop").new_event_loop().close()


def new_uvloop():
    """uvloop's loop, where it is installed."""
    return pytest.importorskip("uvloop").new_event_loop()


LOOPS = {
    "asyncio": asyncio.new_event_loop,
    "tideloop": tideloop.new_event_loop,
    "tideloop with asyncio's tasks": lambda: tideloop.new_event_loop(tasks="asyncio"),
    "uvloop": new_uvloop,
}
NAMES = {"asyncio": asyncio, "tideloop": tideloop}


@pytest.fixture(params=LOOPS)
def run_on(request):
    """`run_on(coroutine)` on a loop of each kind."""
    made = LOOPS[request.param]()
    yield made.run_until_complete
    made.run_until_complete(made.shutdown_asyncgens())
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


@pytest.fixture(params=NAMES)
def names(request):
    return NAMES[request.param]


@pytest.fixture(params=NAMES)
def others(request):
    """The names of what lies beside; the same in half of the cases."""
    return NAMES[request.param]


async def everything(names):
    """A little of each, as one value."""
    log = []
    queue, lock, event, condition = names.Queue(1), names.Lock(), names.Event(), names.Condition()
    semaphore, barrier = names.BoundedSemaphore(1), names.Barrier(2)

    async def produce():
        for number in range(3):
            await queue.put(number)
        event.set()

    async def consume():
        while not (event.is_set() and queue.empty()):
            async with lock, semaphore:
                log.append(await names.wait_for(queue.get(), 30))
            queue.task_done()
        async with condition:
            condition.notify_all()

    async def notified():
        async with condition:
            await condition.wait()
        return await barrier.wait() + await asyncio.shield(first)

    async with names.TaskGroup() as group:
        first = group.create_task(names.sleep(0, 10))
        waiting = group.create_task(notified())
        group.create_task(barrier.wait())
        group.create_task(produce())
        group.create_task(consume())
    await queue.join()
    log.append(sorted(await names.gather(first, waiting, names.sleep(0, 1))))
    done, pending = await names.wait([first, waiting], return_when=names.ALL_COMPLETED)
    log += [len(done), len(pending)]
    log += [await each for each in names.as_completed([first])]
    try:
        async with names.timeout(0.001):
            await names.Event().wait()
    except TimeoutError:
        log.append("timeout")
    return log


def test_every_primitive_on_every_loop(run_on, names):
    log = run_on(everything(names))
    # Who comes first through the barrier is nobody's promise.
    assert log[3] in ([1, 10, 10], [1, 10, 11])
    assert log[:3] + log[4:] == [0, 1, 2, 2, 0, 10, "timeout"]


def test_condition_on_a_lock_of_the_other_kind(run_on, names, others):
    async def main():
        lock = others.Lock()
        condition = names.Condition(lock)
        log = []

        async def waiter(name):
            async with lock:
                log.append((name, await condition.wait()))

        tasks = [asyncio.create_task(waiter(name)) for name in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        async with condition:
            condition.notify(2)
            assert lock.locked()
        await asyncio.wait(tasks)
        assert not lock.locked()
        return log, tasks[1].cancelled()

    assert run_on(main()) == ([("a", True), ("c", True)], True)


def test_futures_and_tasks_of_either_kind_are_put_together(run_on, names):
    async def main():
        loop = asyncio.get_running_loop()
        futures = [asyncio.Future(), tideloop.Future(loop=loop), loop.create_future()]
        tasks = [
            asyncio.Task(asyncio.sleep(0, "task"), loop=loop),
            tideloop.Task(tideloop.sleep(0, "native task"), loop=loop),
            loop.create_task(names.sleep(0, "the loop's")),
        ]
        for number, future in enumerate(futures):
            loop.call_soon(future.set_result, number)
        results = await names.gather(*futures, *tasks, names.sleep(0, "coroutine"))
        shielded = [await names.shield(each) for each in (*futures, *tasks)]
        waited = [await names.wait_for(each, 30) for each in (*futures, *tasks)]
        done, pending = await names.wait([*futures, *tasks])
        completed = {await each for each in names.as_completed([*futures, *tasks])}
        assert (len(done), pending) == (6, set())
        assert shielded == waited == results[:-1] and completed == set(waited)
        return results

    assert run_on(main()) == [0, 1, 2, "task", "native task", "the loop's", "coroutine"]


def test_cancellation_goes_through_both_kinds(run_on, names, others):
    async def main():
        loop = asyncio.get_running_loop()
        inner = loop.create_future()

        async def wait():
            return await names.gather(others.wait_for(others.shield(inner), 30), names.Event().wait())

        outer = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outer.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await outer
        return inner.cancelled(), outer.cancelled()

    assert run_on(main()) == (False, True)


@pytest.mark.parametrize("task", [asyncio.Task, tideloop.Task, asyncio.tasks._PyTask])
def test_tasks_of_any_class_wait_on_a_primitive(run_on, names, task):
    async def main():
        loop = asyncio.get_running_loop()
        lock, queue = names.Lock(), names.Queue()
        log = []

        async def use(name):
            async with lock:
                log.append((name, await queue.get()))

        tasks = [task(use(name), loop=loop) for name in "abcd"]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        for number in range(2):
            queue.put_nowait(number)
        await asyncio.wait(tasks)
        return log, [each.cancelled() for each in tasks]

    assert run_on(main()) == ([("b", 0), ("d", 1)], [True, False, True, False])


@pytest.mark.parametrize("task", [asyncio.Task, tideloop.Task])
def test_a_primitives_coroutine_is_one_for_any_task(run_on, names, task):
    """What `lock.acquire()` and its like return may be a task's coroutine, be sent to, thrown into and closed."""

    async def main():
        loop = asyncio.get_running_loop()
        lock, event, queue = names.Lock(), names.Event(), names.Queue()
        made = [lock.acquire(), event.wait(), queue.get(), queue.put(1), names.sleep(0), names.Semaphore(1).acquire()]
        assert all(map(asyncio.iscoroutine, made))
        tasks = [task(each, loop=loop) for each in made]
        event.set()
        results = [await each for each in tasks]
        unused = names.Lock().acquire()
        unused.close()
        return results

    assert run_on(main()) == [True, True, 1, None, None, True]


def test_time_outs_of_both_kinds_within_each_other(run_on, names, others):
    async def main():
        log = []
        async with names.timeout(30) as outer:
            try:
                async with others.timeout(0.001) as inner:
                    await others.sleep(30)
            except TimeoutError:
                log.append("inner")
            with contextlib.suppress(TimeoutError):
                await names.wait_for(others.sleep(30), 0.001)
                log.append("not reached")
        return log, outer.expired(), inner.expired(), asyncio.current_task().cancelling()

    assert run_on(main()) == (["inner"], False, True, 0)


def test_groups_of_both_kinds_within_each_other(run_on, names, others):
    async def fail():
        await others.sleep(0)
        raise LookupError("mine")

    async def main():
        try:
            async with names.TaskGroup() as outer:
                forever = outer.create_task(others.Event().wait())
                async with others.TaskGroup() as inner:
                    inner.create_task(fail())
                    await names.sleep(30)
        except BaseExceptionGroup as group:
            return forever.cancelled(), group.split(LookupError)[1] is None, asyncio.current_task().cancelling()

    assert run_on(main()) == (True, True, 0)


def test_exceptions_are_the_same_objects(names):
    for name in (
        "CancelledError",
        "TimeoutError",
        "QueueEmpty",
        "QueueFull",
        "BrokenBarrierError",
        "InvalidStateError",
    ):
        assert getattr(names, name) is getattr(asyncio, name)


def test_native_classes_are_asyncios_too():
    async def main():
        made = [getattr(tideloop, name)() for name in ("Lock", "Event", "Condition", "Semaphore", "Queue", "LifoQueue")]
        return [each for each in made if not isinstance(each, getattr(asyncio, type(each).__name__))]

    assert asyncio.run(main()) == []


@pytest.mark.parametrize("name", ["Lock", "Event", "Queue", "Condition", "Semaphore", "Barrier"])
def test_primitive_of_one_loop_refuses_another(names, name):
    made = getattr(names, name)(*([2] if name == "Barrier" else [0] if name == "Semaphore" else []))

    async def wait():
        if name in ("Lock", "Condition"):
            await made.acquire()
            await made.acquire()
        else:
            await getattr(made, {"Queue": "get", "Semaphore": "acquire"}.get(name, "wait"))()

    async def briefly():
        task = asyncio.create_task(wait())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task

    assert asyncio.run(briefly()).cancelled()
    if name in ("Lock", "Condition"):
        made.release()
    with contextlib.closing(tideloop.new_event_loop()) as loop:
        task = loop.run_until_complete(briefly())
    assert isinstance(task.exception(), RuntimeError)
    assert str(task.exception()).endswith("is bound to a different event loop")


# Threads.


@pytest.fixture
def loop_in_a_thread(request):
    """A loop of each kind that runs in another thread."""
    loop = LOOPS[request.param]()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.mark.parametrize("loop_in_a_thread", LOOPS, indirect=True)
def test_coroutines_are_run_from_another_thread(loop_in_a_thread, names):
    loop = loop_in_a_thread

    async def make():
        return names.Event(), names.Queue()

    event, queue = names.run_coroutine_threadsafe(make(), loop).result(30)
    waiting = names.run_coroutine_threadsafe(event.wait(), loop)
    getting = names.run_coroutine_threadsafe(names.wait_for(queue.get(), 30), loop)
    loop.call_soon_threadsafe(event.set)
    names.run_coroutine_threadsafe(queue.put("item"), loop).result(30)
    assert (waiting.result(30), getting.result(30)) == (True, "item")
    cancelled = names.run_coroutine_threadsafe(names.Event().wait(), loop)
    assert cancelled.cancel()
    with pytest.raises(TypeError, match="A coroutine object is required"):
        names.run_coroutine_threadsafe(None, loop)


def test_threads_are_awaited_with_the_context_of_who_calls(run_on, names, others):
    variable = contextvars.ContextVar("variable")

    def work(number):
        return variable.get(), number, threading.current_thread() is threading.main_thread()

    async def main():
        variable.set("mine")
        calls = [names.to_thread(work, number) for number in range(3)]
        async with others.timeout(30):
            return await others.gather(*calls)

    assert run_on(main()) == [("mine", number, False) for number in range(3)]


def test_future_of_a_thread_is_wrapped(run_on, names):
    concurrent = importlib.import_module("concurrent.futures").Future()

    async def main():
        wrapped = names.wrap_future(concurrent)
        thread = threading.Thread(target=concurrent.set_result, args=("value",))
        thread.start()
        value = await names.wait_for(wrapped, 30)
        thread.join()
        return value

    assert run_on(main()) == "value"


# Streams.


def test_streams_on_every_loop(run_on, names, others):
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def main():
        server = await names.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await others.open_connection(*server.sockets[0].getsockname())
            writer.writelines([b"one\n", b"two\n", b"x" * 50_000 + b"\n"])
            await writer.drain()
            log = [await others.wait_for(reader.readline(), 30), await reader.readexactly(4)]
            log.append(len(await reader.readuntil(b"X\n")))
            writer.write_eof()
            log.append(await reader.read())
            writer.close()
            await writer.wait_closed()
        return log

    assert run_on(main()) == [b"ONE\n", b"TWO\n", 50_001, b""]
