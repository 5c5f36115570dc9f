"""Where an item could get lost, or be had twice: every way for a wait to end other than by what was waited for."""

import asyncio
import gc
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tideloop import sync
from worlds import SECONDS_MAX, Tasks, asyncio_worlds, in_threads, new_loop, pause, run, until, worlds

CLASSES = (sync.Queue, sync.LifoQueue, sync.PriorityQueue)
each_class = pytest.mark.parametrize("cls", CLASSES)


def is_at_rest(q):
    """Nobody waits."""
    return "0 getting, 0 putting" in repr(q)


async def call(method, *args):
    """Await what a method returns in a task."""
    return await method(*args)


@worlds
@each_class
def test_an_item_given_to_a_getter_that_is_cancelled_is_there_again(world, cls):
    async def main():
        q = cls()
        async with Tasks() as tasks:
            getter = tasks.start(lambda: q.get())
            await until(lambda: "1 getting" in repr(q))
            q.put_nowait(1)  # given to the getter, which has not looked yet
            q.put_nowait(2)
            assert q.qsize() == 1
            getter.cancel()
            await until(lambda: getter.is_done)
            if getter.was_cancelled:
                assert sorted([q.get_nowait(), q.get_nowait()]) == [1, 2]
            else:
                assert (getter.value, q.get_nowait()) == (1, 2)
        assert q.empty()
        assert is_at_rest(q)

    run(world, main)


@asyncio_worlds
def test_an_item_that_comes_back_is_at_the_front(world):
    async def main():
        for cls, expected in ((sync.Queue, [1, 2]), (sync.LifoQueue, [1, 2]), (sync.PriorityQueue, [1, 2])):
            q = cls()
            getter = asyncio.ensure_future(q.get())
            await asyncio.sleep(0)
            q.put_nowait(1)
            q.put_nowait(2)
            getter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await getter
            assert [q.get_nowait(), q.get_nowait()] == expected

    run(world, main)


@asyncio_worlds
def test_an_item_given_to_a_getter_that_is_cancelled_goes_to_the_next_getter(world):
    async def main():
        q = sync.Queue()
        first, second = asyncio.ensure_future(q.get()), asyncio.ensure_future(q.get())
        await asyncio.sleep(0)
        q.put_nowait(1)
        first.cancel()
        assert await asyncio.wait_for(second, SECONDS_MAX) == 1
        assert first.cancelled()

    run(world, main)


@asyncio_worlds
@each_class
def test_a_put_that_was_cancelled_after_room_came_has_put_nothing(world, cls):
    async def main():
        q = cls(1)
        q.put_nowait(1)
        first, second = asyncio.ensure_future(q.put(2)), asyncio.ensure_future(q.put(3))
        await asyncio.sleep(0)
        assert q.get_nowait() == 1  # the room is kept for the first
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(second, SECONDS_MAX)
        assert q.get_nowait() == 3
        assert q.empty()
        q.put_nowait(4)
        assert is_at_rest(q)

    run(world, main)


@worlds
def test_a_timeout_that_races_with_an_item_has_it_or_leaves_it(world):
    async def main():
        q, got = sync.Queue(), []

        async def get():
            try:
                got.append(await q.get(timeout=0.001))
            except sync.Empty:
                got.append(None)

        def put():
            for item in range(200):
                time.sleep(0.001)
                q.put(item)

        producer = threading.Thread(target=put)
        producer.start()
        while len([item for item in got if item is not None]) < 200:
            await get()
        producer.join()
        assert [item for item in got if item is not None] == list(range(200))

    run(world, main)


def test_threads_that_time_out_while_items_come_lose_none():
    q, items = sync.Queue(2), 2000

    def put():
        item = 0
        while item < items:
            try:
                q.put(item, timeout=random.random() / 2000)
            except sync.Full:
                continue
            item += 1
        q.shutdown()

    def get():
        got = []
        while True:
            try:
                got.append(q.get(timeout=random.random() / 2000))
            except sync.Empty:
                continue
            except sync.ShutDown:
                return got

    _, *got = in_threads(put, get, get)
    assert sorted(got[0] + got[1]) == list(range(items))
    assert is_at_rest(q)


@asyncio_worlds
@pytest.mark.parametrize("given", [True, False])
def test_a_loop_that_is_closed_while_its_task_waits_keeps_nothing_from_others(world, given):
    q = sync.Queue()
    loop = new_loop(world)
    getter = loop.create_task(call(q.get))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert "1 getting" in repr(q)
    if given:
        q.put(1)  # given to a loop that does not run, and never will again
    loop.close()
    if not given:
        q.put(1)
    getter._log_destroy_pending = False
    del getter, loop
    gc.collect()
    assert q.get(timeout=SECONDS_MAX) == 1
    assert q.empty()


@asyncio_worlds
def test_a_putter_whose_loop_is_closed_has_put_nothing_and_keeps_no_room(world):
    q = sync.Queue(1)
    q.put(1)
    loop = new_loop(world)
    putter = loop.create_task(call(q.put, 2))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert q.get() == 1
    q.put(3, timeout=SECONDS_MAX)
    putter._log_destroy_pending = False
    del putter, loop
    gc.collect()
    assert q.get(timeout=SECONDS_MAX) == 3
    assert q.empty()


@worlds
def test_a_coroutine_that_is_thrown_away_while_it_waits_leaves(world):
    async def main():
        q = sync.Queue()

        async def wait():
            await q.get()

        if world == "trio":
            pytest.skip("trio's tasks cannot be stepped by hand")
        coroutine = wait()
        coroutine.send(None)
        assert "1 getting" in repr(q)
        coroutine.close()
        assert is_at_rest(q)
        q.put_nowait(1)
        assert q.get_nowait() == 1

    run(world, main)


def test_a_finalizer_may_use_the_queue_whose_item_it_belongs_to():
    q, log = sync.Queue(), []

    class Item:
        def __del__(self):
            q.put("from the finalizer")
            log.append(q.qsize())

    q.put(Item())
    q.get()
    assert log == [1]
    q.put(Item())
    assert q.get_nowait() == "from the finalizer"
    q.get_nowait()
    assert log == [1, 1]


def test_a_finalizer_runs_while_the_queue_drops_all_and_may_use_it():
    q, log = sync.Queue(), []

    class Item:
        def __del__(self):
            log.append((q.qsize(), q.is_shutdown))

    for _ in range(3):
        q.put(Item())
    q.shutdown(immediate=True)
    assert log == [(0, True)] * 3


def test_a_signal_handler_may_use_the_queue_that_its_thread_waits_for():
    q = sync.Queue()
    before = signal.signal(signal.SIGUSR1, lambda *_: q.put("from the handler"))
    try:
        timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
        timer.start()
        assert q.get(timeout=SECONDS_MAX) == "from the handler"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_that_raises_ends_the_wait_and_leaves_nobody_waiting():
    q = sync.Queue()

    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
        with pytest.raises(Stop):
            timer.start()  # in here, since it may be over before the wait begins
            q.get()
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert is_at_rest(q)
    q.put(1)
    assert q.get() == 1


def program(text):
    """What a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_ctrl_c_ends_a_wait_at_once_and_the_queue_goes_on():
    out = program("""
        import os, signal, threading, time
        from tideloop.sync import Queue
        signal.signal(signal.SIGINT, signal.default_int_handler)
        q = Queue()
        def interrupt():
            while "1 getting" not in repr(q):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        began = time.monotonic()
        try:
            q.get()
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - began < 10)
        q.put(1)
        print(q.get(), q.qsize())
    """)
    assert out == ["interrupted", "True", "1", "0"]


def test_ctrl_c_between_wake_and_return_loses_no_item():
    """The interrupt and the item come together, many times: each item is got, or is still there."""
    out = program("""
        import os, signal, threading, time
        from tideloop.sync import Queue
        q, got, interrupts = Queue(), [], 0
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ROUNDS = 200
        turn = threading.Semaphore(0)
        me = threading.get_ident()
        def disturb():
            for item in range(ROUNDS):
                turn.acquire()
                time.sleep(0.0005)
                if item % 2:
                    signal.pthread_kill(me, signal.SIGINT)
                    q.put(item)
                else:
                    q.put(item)
                    signal.pthread_kill(me, signal.SIGINT)
        thread = threading.Thread(target=disturb)
        thread.start()
        lost = 0
        for item in range(ROUNDS):
            try:
                turn.release()
                # The value is kept by the list even where the interrupt comes after the call.
                got.extend(map(lambda _: q.get(), (0,)))
            except KeyboardInterrupt:
                interrupts += 1
            try:
                time.sleep(0.001)
            except KeyboardInterrupt:
                interrupts += 1
        while True:
            try:
                thread.join()
                break
            except KeyboardInterrupt:
                interrupts += 1
        rest = []
        while not q.empty():
            rest.append(q.get_nowait())
        print(q.qsize(), "0 getting" in repr(q), interrupts > 0, sorted(set(got + rest)) == sorted(got + rest))
        # What was returned just before an interrupt is in the interpreter's hands, as with queue.Queue.
        print(len(got) + len(rest) + interrupts >= ROUNDS)
    """)
    assert out == ["0", "True", "True", "True", "True"]


def test_the_child_of_a_fork_has_the_items_and_none_of_those_who_waited():
    out = program("""
        import os, threading, time, warnings
        warnings.simplefilter("ignore")
        from tideloop.sync import Queue
        q, full = Queue(), Queue(1)
        full.put("old")
        waiting = threading.Thread(target=q.get)
        putting = threading.Thread(target=full.put, args=["never in the child"])
        waiting.start(); putting.start()
        while "1 getting" not in repr(q) or "1 putting" not in repr(full):
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            q.put("mine")
            right = q.get(timeout=10) == "mine" and full.get() == "old"
            full.put("new", timeout=10)
            os._exit(0 if right and full.get() == "new" and full.empty() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        q.put("the parent's")
        waiting.join(10)
        print(full.get(timeout=10))
        putting.join(10)
        print(waiting.is_alive(), putting.is_alive(), full.qsize())
    """)
    assert out == ["0", "old", "False", "False", "1"]


def test_a_burst_of_wake_ups_is_one_call_into_a_foreign_loop():
    loop = asyncio.SelectorEventLoop()
    calls = []
    plain = loop.call_soon_threadsafe

    def counted(*args, **kwargs):
        calls.append(threading.get_ident())
        return plain(*args, **kwargs)

    loop.call_soon_threadsafe = counted
    q, got = sync.Queue(), []

    async def main():
        async def get():
            got.append(await q.get())

        async with Tasks() as tasks:
            for _ in range(100):
                tasks.start(get)
            await until(lambda: "100 getting" in repr(q))
            thread = threading.Thread(target=lambda: [q.put(item) for item in range(100)])
            thread.start()
            thread.join()  # the loop cannot run meanwhile

    loop.run_until_complete(main())
    loop.close()
    assert got == list(range(100))
    assert len(calls) == 1


@worlds
@each_class
def test_random_cancellation_and_timeouts_end_with_exact_counts(world, cls):
    chance = random.Random(7)
    q = cls(3)
    put, got = set(), []

    async def producer(first):
        for item in range(first, first + 150):
            with_timeout = chance.random() < 0.3
            try:
                await q.put(item, timeout=chance.random() / 1000 if with_timeout else None)
            except sync.Full:
                continue
            put.add(item)

    async def consumer():
        while True:
            with_timeout = chance.random() < 0.3
            try:
                item = await q.get(timeout=chance.random() / 1000 if with_timeout else None)
            except sync.Empty:
                continue
            got.append(item)

    async def main():
        async with Tasks() as tasks:
            producers = [tasks.start(producer, at * 1000) for at in range(4)]
            consumers = [tasks.start(consumer) for _ in range(3)]
            while not all(p.is_done for p in producers):
                await pause(chance.random() / 500)
                victim = chance.randrange(3)
                consumers[victim].cancel()
                consumers[victim] = tasks.start(consumer)
            await until(lambda: q.empty() and is_at_rest(q) is False)
            for c in consumers:
                c.cancel()
        while not q.empty():
            got.append(q.get_nowait())

    run(world, main)
    assert sorted(got) == sorted(put)
    assert is_at_rest(q)


def test_a_process_that_ends_while_threads_and_tasks_wait_ends_quietly():
    out = program("""
        import asyncio, threading, tideloop
        from tideloop.sync import Queue
        q = Queue()
        async def wait():
            await q.get()
        threading.Thread(target=q.get, daemon=True).start()
        threading.Thread(target=lambda: tideloop.run(wait()), daemon=True).start()
        while "2 getting" not in repr(q):
            pass
        print("over", flush=True)
    """)
    assert out == ["over"]
