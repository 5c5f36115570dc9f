"""A thread or a task that ends while it holds a lock is reported, with where it took it."""

import asyncio
import subprocess
import sys
import threading

import pytest
from observe.watched import watching

import tideloop
from tideloop.sync import Lock, RLock


def reports_of(records):
    return [record.getMessage() for record in records if record.name == "tideloop"]


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_a_thread_that_ends_holding_a_lock_is_reported(kind, exception_reports):
    locks = [kind()]
    with watching():
        thread = threading.Thread(target=lambda: locks[0].acquire(), name="the taker")
        thread.start()
        thread.join()
        [text] = reports_of(exception_reports)
        assert "Thread 'the taker' has ended and still holds:" in text
        assert f"taken at {__file__}:" in text
        locks.clear()  # what is known of a lock dies with it


@pytest.mark.parametrize("run", [tideloop.run, asyncio.run], ids=["tideloop", "asyncio"])
def test_a_task_that_ends_holding_a_lock_is_reported(run, exception_reports):
    lock = Lock()

    async def takes():
        await lock.acquire()

    async def main():
        await asyncio.create_task(takes(), name="the taker")
        await asyncio.sleep(0)
        lock.release()

    with watching():
        run(main())
        [text] = reports_of(exception_reports)
        assert "Task 'the taker' has ended and still holds:" in text
        assert "in test_a_task_that_ends_holding_a_lock_is_reported.<locals>.takes" in text


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_a_task_that_is_cancelled_or_fails_holding_a_lock_is_reported(ending, exception_reports):
    lock = Lock()

    async def takes():
        await lock.acquire()
        if ending == "failed":
            raise ValueError
        await asyncio.sleep(10)

    async def main():
        task = asyncio.create_task(takes())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or isinstance(task.exception(), ValueError)
        lock.release()

    with watching():
        tideloop.run(main())
        assert len(reports_of(exception_reports)) == 1


def test_what_was_handed_to_another_one_is_no_news():
    lock = Lock()

    async def takes():
        async with lock:
            pass
        await asyncio.create_task(lock.acquire())

    async def main():
        await asyncio.create_task(takes())
        lock.release()

    with watching():
        tideloop.run(main())


def test_the_holder_that_has_ended_closes_no_cycle(exception_reports):
    lock = Lock()
    with watching() as found:
        thread = threading.Thread(target=lambda: lock.acquire())
        thread.start()
        thread.join()
        assert lock.acquire(timeout=0.01) is False
        threading.Timer(0.02, lock.release).start()
        assert lock.acquire()
        lock.release()
        assert not found


def test_off_nothing_is_said():
    lock = Lock()
    thread = threading.Thread(target=lambda: lock.acquire())
    thread.start()
    thread.join()
    assert lock.locked()


def test_a_task_of_trio_that_ends_holding_a_lock_is_reported(exception_reports):
    trio = pytest.importorskip("trio", reason="the test is about its tasks")
    locks = [Lock(), Lock()]

    async def takes(lock):
        await lock.acquire()

    async def main():
        async with trio.open_nursery() as nursery:
            for index, lock in enumerate(locks):
                nursery.start_soon(takes, lock, name=f"taker {index}")
        for lock in locks:
            lock.release()

    with watching():
        trio.run(main)
        texts = reports_of(exception_reports)
        assert len(texts) == 2
        assert all(f"Task 'taker {index}' has ended and still holds:" in "".join(texts) for index in (0, 1))


@pytest.mark.parametrize("worker", ["", "threading.Thread(target=lock.acquire, daemon=True).start()"])
def test_the_main_thread_too(worker):
    program = f"""
import threading
from tideloop import observe
from tideloop.sync import Lock
observe.deadlocks()
lock = Lock()
lock.acquire()
{worker}
print("main ends")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "main ends\n")
    assert done.stderr.startswith("Thread 'MainThread' has ended and still holds:\n    <locked tideloop.sync.Lock")
    assert "taken at <string>:7, in <module>" in done.stderr


def test_it_is_said_before_anybody_waits_for_threads_that_never_end():
    program = """
import concurrent.futures, threading
from tideloop import observe
from tideloop.sync import Lock
observe.deadlocks()
lock = Lock()
lock.acquire()
threading.Thread(target=lock.acquire).start()
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as child:
        assert "'MainThread' has ended and still holds" in child.stderr.readline()
        assert child.poll() is None
        child.kill()
