"""A loop whose every task waits with nothing left that could wake one says so; where there is any doubt it does not.

Each program runs by itself: a test's own process has threads and signal handlers, which are doubt enough.
"""

import os
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import asyncio, os, signal, socket, sys, threading, time
import tideloop
from tideloop import observe
from tideloop.sync import Lock

found = []
observe.deadlocks(report=found.append)
"""
TAIL = """
try:
    print("result", tideloop.run(main()))
except observe.DeadlockError as error:
    assert error.deadlock is found[0]
    print("deadlock", *[member.name for member in found[0].members])
    print(error)
assert len(found) < 2, found
"""


def run(program, *, seconds=20):
    text = HEAD + textwrap.dedent(program) + TAIL
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONFAULTHANDLER"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_future_that_nobody_holds():
    said = run("""
        async def waits():
            await asyncio.get_running_loop().create_future()

        async def main():
            asyncio.current_task().set_name("main")
            await waits()
    """)
    assert said.startswith("deadlock main\nDeadlock: nothing can wake <EventLoop running=True")
    assert "task 'main'\n    waits for future: <Future pending" in said
    assert "at <string>:11, in waits\n" in said


def test_two_tasks_each_on_the_other_one_s_event():
    said = run("""
        async def body(mine, theirs):
            await theirs.wait()
            mine.set()

        async def main():
            asyncio.current_task().set_name("main")
            a, b = asyncio.Event(), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(body(a, b), name="first")
                group.create_task(body(b, a), name="second")
    """)
    assert said.startswith("deadlock first main second\n")
    assert "and its 3 tasks wait." in said


def test_two_tasks_that_await_each_other():
    # To cancel them would be a RecursionError, as it is in asyncio.
    said = run("""
        tasks = []

        def tell(deadlock):
            print("deadlock", *[member.name for member in deadlock.members], flush=True)
            os._exit(0)

        observe.deadlocks(report=tell)

        async def body(other):
            await asyncio.sleep(0)
            await tasks[other]

        async def main():
            asyncio.current_task().set_name("main")
            tasks.extend(asyncio.create_task(body(1 - index), name=f"T{index}") for index in range(2))
            await asyncio.wait(tasks)
    """)
    assert said == "deadlock T0 T1 main\n"


def test_a_thread_that_waits_for_a_lock_for_ever_is_no_hope():
    said = run("""
        lock = Lock()

        async def main():
            asyncio.current_task().set_name("main")
            await lock.acquire()
            threading.Thread(target=lock.acquire, daemon=True, name="T").start()
            await asyncio.Event().wait()
    """)
    assert said.startswith("deadlock main T\n")


def test_who_hangs_is_told_of_with_what_it_holds():
    said = run("""
        lock = Lock()

        def work():
            with lock:
                pass

        async def main():
            asyncio.current_task().set_name("main")
            async with lock:
                await asyncio.to_thread(work)
    """)
    story = said.splitlines()
    assert story[0].startswith("deadlock main ")
    assert "its only task waits, as does a thread" in story[1]
    assert [line.split(" at ")[0].strip() for line in story[2:6]] == [
        "task 'main'",
        "holds <locked tideloop.sync.Lock object",
        "taken",
        "waits for job: <tideloop._native.Job object",
    ]
    assert [line.split(" at ")[0].strip() for line in story[7:9]] == [
        "thread 'asyncio_0'",
        "waits for <locked tideloop.sync.Lock object",
    ]
    assert ", in work, for " in story[9]


@pytest.mark.parametrize(
    "hope",
    [
        "threading.Timer(0.3, loop.call_soon_threadsafe, [event.set]).start()",
        "threading.Thread(target=lambda: (time.sleep(0.3), loop.call_soon_threadsafe(event.set)), daemon=True).start()",
        "loop.call_later(0.3, event.set)",
        "loop.run_in_executor(None, time.sleep, 0.3).add_done_callback(lambda _: event.set())",
        "loop.add_signal_handler(signal.SIGUSR1, event.set); os.system(f'(sleep 0.3; kill -USR1 {os.getpid()}) &')",
        "signal.signal(signal.SIGALRM, lambda *_: loop.call_soon_threadsafe(event.set)); signal.alarm(1)",
        "reader, writer = os.pipe(); loop.add_reader(reader, lambda: (event.set(), loop.remove_reader(reader)));"
        "os.system(f'(sleep 0.3; echo >&{writer}) &') if os.set_inheritable(writer, True) is None else 0",
    ],
    ids=["timer thread", "thread", "timer", "executor", "signal", "plain signal", "descriptor"],
)
def test_where_something_can_wake_a_task_nothing_is_said(hope):
    said = run(f"""
        async def main():
            loop, event = asyncio.get_running_loop(), asyncio.Event()
            {hope}
            await event.wait()
            return "woken"
    """)
    assert said == "result woken\n"


def test_a_child_process_is_hope():
    said = run("""
        async def main():
            child = await asyncio.create_subprocess_exec("sleep", "0.3")
            return await child.wait()
    """)
    assert said == "result 0\n"


def test_a_connection_and_a_listener_are_hope():
    said = run("""
        async def serve(reader, writer):
            await asyncio.sleep(0.2)
            writer.write(b"x")
            writer.close()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                answer = await reader.read()
                writer.close()
                return answer
    """)
    assert said == "result b'x'\n"


def test_off_it_hangs_as_it_always_did():
    text = "import asyncio, tideloop\nasync def main(): await asyncio.Event().wait()\ntideloop.run(main())"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", text], timeout=1.5, check=False)


def test_a_task_that_awaits_the_holder_of_what_it_waits_for_is_found_without_a_hang():
    # The timer keeps the loop alive: it is a cycle, and no hang.
    said = run("""
        lock = Lock()

        async def takes():
            async with lock:
                pass

        async def main():
            asyncio.current_task().set_name("main")
            timer = asyncio.get_running_loop().call_later(1, lambda: lock.release())
            async with asyncio.timeout(None):
                await lock.acquire()
                await asyncio.create_task(takes(), name="inner")
            return [member.name for member in found[0].members]
    """)
    assert said == "result ['inner', 'main']\n"


def test_an_idle_pool_wakes_nobody():
    said = run("""
        async def main():
            asyncio.current_task().set_name("main")
            assert await asyncio.to_thread(int, "5") == 5
            await asyncio.Event().wait()
    """)
    assert said.startswith("deadlock main\n")


def test_a_handler_of_the_program_s_own_for_ctrl_c_is_doubt():
    assert (
        run("""
        async def main():
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(stop.set))
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
            await stop.wait()
            return "woken"
    """)
        == "result woken\n"
    )


def test_the_place_that_is_told_is_one_of_the_program_s_own():
    said = run("""
        async def waits():
            await asyncio.Event().wait()

        async def main():
            asyncio.current_task().set_name("main")
            await waits()
    """)
    assert "at <string>:11, in waits\n" in said
