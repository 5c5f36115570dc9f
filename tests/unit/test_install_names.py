"""install(names=True): Tideloop's functions, primitives and streams in the asyncio module."""

import asyncio
import inspect
import subprocess
import sys
import textwrap

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)

FAMILIES = "coroutines futures locks queues streams subprocess taskgroups tasks threads timeouts".split()
OURS_ONLY = {"EventLoop", "EventLoopPolicy", "__version__", "install", "uninstall"}
NOT_REPLACED = (
    BaseException,
    asyncio.Future,
    asyncio.Handle,
    asyncio.BaseTransport,
    asyncio.AbstractEventLoop,
    asyncio.AbstractServer,
)


def everything():
    """Every name of every module of asyncio, and what it means."""
    if sys.version_info < (3, 14):
        asyncio.get_event_loop_policy()  # the first call makes it
    modules = [name for name in sys.modules if name == "asyncio" or name.startswith("asyncio.")]
    return {(module, name): value for module in modules for name, value in vars(sys.modules[module]).items()}


def replaced_names():
    """What has its own meaning in tideloop, and may take asyncio's place."""
    for family in FAMILIES:
        theirs, ours = sys.modules[f"asyncio.{family}"], sys.modules[f"tideloop.{family}"]
        for name in theirs.__all__:
            value = getattr(theirs, name)
            never = inspect.isclass(value) and issubclass(value, NOT_REPLACED)
            if getattr(ours, name) is not value and not never:
                yield family, name


@pytest.fixture
def installed():
    before = everything()
    names = list(replaced_names())
    tideloop.install(names=True)
    yield before, names
    tideloop.uninstall()
    assert {key: value for key, value in everything().items() if before[key] is not value} == {}


def test_each_name_is_replaced_in_the_package_and_in_its_module(installed):
    _, names = installed
    for family, name in names:
        ours = getattr(tideloop, name)
        assert getattr(asyncio, name) is ours, name
        assert getattr(sys.modules[f"asyncio.{family}"], name) is ours, name
    assert names


def test_a_name_that_a_module_of_asyncio_has_from_another_is_replaced(installed):
    assert asyncio.streams.sleep is asyncio.tasks.sleep is tideloop.sleep
    assert asyncio.subprocess.create_subprocess_exec is tideloop.create_subprocess_exec


def test_futures_tasks_loops_and_what_they_make_and_exceptions_stay_asyncios_own(installed):
    before, _ = installed
    for (module, name), value in before.items():
        if inspect.isclass(value) and issubclass(value, NOT_REPLACED):
            assert getattr(sys.modules[module], name) is value, f"{module}.{name}"
    assert asyncio.Task is not tideloop.Task


def test_no_name_is_added(installed):
    before, _ = installed
    assert everything().keys() == before.keys()


def test_further_calls_change_nothing_and_names_can_come_later():
    before = everything()
    tideloop.install()
    try:
        tideloop.install(names=True)
        replaced = everything()
        tideloop.install(names=True)
        tideloop.install()
        assert everything() == replaced != before
    finally:
        tideloop.uninstall()
    assert everything() == before
    tideloop.uninstall()


def test_what_somebody_has_replaced_since_stays(monkeypatch):
    before = asyncio.sleep
    tideloop.install(names=True)
    try:
        asyncio.sleep = mine = object()
    finally:
        tideloop.uninstall()
    try:
        assert asyncio.sleep is mine
    finally:
        asyncio.sleep = before


def program(source, *words):
    command = [sys.executable, *(words or ("-c",)), textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split()


def test_a_program_that_knows_nothing_of_it_gets_the_names():
    source = """
        import asyncio

        async def main():
            queue = asyncio.Queue()
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                group.create_task(queue.put(1))
                print(await queue.get(), type(queue).__module__.partition(".")[0])

        asyncio.run(main())
    """
    ours = type(tideloop.Queue()).__module__.partition(".")[0]
    assert program(source, "-m", "tideloop", "--names", "-c") == ["1", ours]
    assert program(source, "-m", "tideloop", "-c") == ["1", "asyncio"]


def test_what_was_made_before_works_beside_what_is_made_after():
    """Stock objects, stock functions and stock subclasses, used with native ones in one program."""
    source = """
        import asyncio
        from asyncio import Condition, Event, Lock, Queue, Semaphore, gather, open_connection, start_server, wait_for

        class Mine(asyncio.Queue):
            def _put(self, item):
                super()._put(item * 2)

        lock, event, queue, semaphore, mine = Lock(), Event(), Queue(1), Semaphore(1), Mine()
        stock = gather, open_connection, start_server, wait_for

        import tideloop
        tideloop.install(names=True)

        async def main():
            condition = Condition()  # a stock one, which makes its lock itself
            with_lock = asyncio.Condition(asyncio.Lock())
            order = []

            async def worker(name):
                async with lock, semaphore, asyncio.Lock():
                    await queue.put(name)
                await event.wait()
                await asyncio.sleep(0)
                order.append(name)
                async with condition:
                    condition.notify_all()
                async with with_lock:
                    with_lock.notify_all()

            async def waiter(one):
                async with one:
                    await one.wait_for(lambda: len(order) == 3)

            waiters = [asyncio.ensure_future(waiter(one)) for one in (condition, with_lock)]
            workers = [asyncio.create_task(worker(name)) for name in "abc"]
            got = [await wait_for(asyncio.wait_for(queue.get(), 10), 10) for _ in range(3)]
            event.set()
            await gather(asyncio.gather(*workers), *waiters)
            mine.put_nowait(21)
            print("".join(got), "".join(order), await asyncio.wait_for(mine.get(), 10))

            async def echo(reader, writer):
                writer.write(await reader.readline())
                await writer.drain()
                writer.close()
                await writer.wait_closed()

            for serve in start_server, asyncio.start_server:
                async with await serve(echo, "127.0.0.1", 0) as server:
                    port = server.sockets[0].getsockname()[1]
                    for connect in open_connection, asyncio.open_connection:
                        reader, writer = await connect("127.0.0.1", port)
                        writer.write(b"line\\n")
                        print((await reader.readline()).decode().strip())
                        writer.close()
                        await writer.wait_closed()

        asyncio.run(main())
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            queue, event, lock, semaphore = asyncio.Queue(1), asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(1)
            mine = Mine()
            runner.run(main())
    """
    assert program(source) == 2 * ["abc", "abc", "42", "line", "line", "line", "line"]
