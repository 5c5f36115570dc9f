"""The end of a program with a thread pool, Ctrl+C in every wait, and forks: each in a process of its own."""

import re
import signal
import subprocess
import sys
import time

import pytest
from thread_support import program, wait_until

HEADER = """
import concurrent.futures, os, signal, sys, threading, time
from tideloop.threads import ThreadPool, current_token
"""
# What a program may take to end once it has been told to, on a busy machine; the work that it must not wait for is
# sixty times as long.
SOON_S = 5.0
LONG_S = 300


def test_the_end_of_a_program_waits_for_all_that_was_submitted():
    done = program(
        HEADER
        + """
pool = ThreadPool(2)
for n in range(10):
    pool.submit(lambda n=n: (time.sleep(0.01), sys.stdout.write(f"{n}\\n")))
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(map(int, done.stdout.split())) == list(range(10))


@pytest.mark.parametrize("work", [f"time.sleep({LONG_S})", "exec('while True: pass')", "[0 for _ in iter(int, 1)]"])
def test_a_daemon_pool_does_not_hold_the_end(work):
    start = time.monotonic()
    done = program(
        HEADER
        + f"""
pool = ThreadPool(3, daemon=True)
begun = threading.Event()
def work():
    begun.set()
    {work}
for _ in range(5):
    pool.submit(work)
begun.wait()
assert all(thread.daemon for thread in pool._threads)
print("end")
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert time.monotonic() - start < SOON_S


def test_exceptions_that_nobody_has_looked_at_are_logged_once_at_the_end_of_a_program():
    done = program(
        HEADER
        + """
def fails(what): raise LookupError(what)
pool = ThreadPool(1)
unseen = pool.submit(fails, "unseen")
seen = pool.submit(fails, "seen")
seen.exception()
good = [pool.submit(int) for _ in range(3)]
begun = pool.map(lambda n: 1 // n, [1, 0, 0])
next(begun)
class Own(type(unseen)): pass
own = Own()
own.set_exception(LookupError("own"))
"""
    )
    assert done.returncode == 0
    assert sorted(re.findall(r"^LookupError: \w+$", done.stderr, re.MULTILINE)) == [
        "LookupError: own",
        "LookupError: unseen",
    ]
    assert done.stderr.count("was never retrieved: <") == 2, done.stderr
    assert "in fails" in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_daemon_pool_that_adds_callbacks_does_not_hold_the_end():
    done = program(
        HEADER
        + """
pool = ThreadPool(2, daemon=True)
begun = threading.Event()
def forever(future):
    begun.set()
    while True: pass
release = threading.Event()
for _ in range(2):
    pool.submit(release.wait).add_done_callback(forever)
release.set()
begun.wait()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_submitting_after_the_end_is_refused_in_the_stdlibs_words():
    done = program(
        HEADER
        + """
import atexit
@atexit.register
def late():
    try:
        pool.submit(int)
    except RuntimeError as error:
        print(error)
pool = ThreadPool(1)
print(pool.submit(int).result())
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0\ncannot schedule new futures after interpreter shutdown\n"


WAITS = {
    "result": "pool.submit(work).result()",
    "result with a limit": "pool.submit(work).result(1000)",
    "exception": "pool.submit(work).exception()",
    "map": "list(pool.map(lambda n: work(), range(4)))",
    "as_completed": "next(concurrent.futures.as_completed([pool.submit(work)]))",
    "shutdown": "pool.submit(work); pool.shutdown()",
    "with": """
with pool:
    pool.submit(work)
""",
    "with and result": """
with pool:
    pool.submit(work).result()
""",
    "the end of the program": "pool.submit(work)",
    "run": """
import tideloop
async def main():
    await pool.run(work)
tideloop.run(main())
""",
    "to_thread": """
import tideloop
async def main():
    await tideloop.to_thread(work)
tideloop.run(main())
""",
}
for runner in ("tideloop", "asyncio"):
    WAITS[f"run and with on {runner}"] = f"""
import {runner}
async def main():
    with pool:
        await pool.run(work)
{runner}.run(main())
"""
    WAITS[f"run and with in a child task on {runner}"] = f"""
import {runner}, asyncio
async def child():
    with pool:
        pool.submit(work)
        await asyncio.sleep({LONG_S})
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
{runner}.run(main())
"""


def wait_until_asleep(pid):
    """Until the main thread of a program has come to its wait: it sleeps, and has not run for a tenth of a second."""

    def now():
        with open(f"/proc/{pid}/task/{pid}/status") as status:
            return re.findall(r"^(?:State|\w*ctxt_switches):\s*(\w+)", status.read(), re.MULTILINE)

    def sleeps_on():
        before = now()
        time.sleep(0.1)
        return before[0] == "S" and now() == before

    wait_until(sleeps_on)


@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_ends_the_wait_and_the_program_at_once_with_one_traceback(wait):
    source = (
        HEADER
        + f"""
pool = ThreadPool(2)
def work():
    # In one piece: two threads may print it at once.
    print("begun\\n", end="", flush=True)
    time.sleep({LONG_S})
{WAITS[wait]}
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout.readline() == "begun\n"
            wait_until_asleep(process.pid)
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=SOON_S)
        finally:
            process.kill()
    assert time.monotonic() - start < SOON_S
    assert len(re.findall(r"^KeyboardInterrupt\b", stderr, re.MULTILINE)) == 1, stderr
    # asyncio raises it while a task's cancellation is on its way, which its traceback tells too.
    assert stderr.count("Traceback") == 1 + stderr.count("During handling of the above exception"), stderr
    assert stderr.count("During handling") == wait.startswith(("run", "to_thread")), stderr


@pytest.mark.parametrize("runner", ["tideloop", "asyncio"])
def test_a_task_that_is_cancelled_waits_at_the_end_of_a_with_block_also_after_an_interrupt(runner):
    done = program(
        HEADER
        + f"""
import {runner}, asyncio
async def hold(work):
    with ThreadPool(1) as pool:
        await pool.run(work)
async def cancel_at_the_with_block():
    begun, release = threading.Event(), threading.Event()
    def work():
        begun.set()
        release.wait(20)
    task = asyncio.ensure_future(hold(work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    threading.Timer(0.05, release.set).start()
    await asyncio.wait([task])
    print(release.is_set(), task.cancelled())
async def main():
    await cancel_at_the_with_block()
    try:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
    await cancel_at_the_with_block()
{runner}.run(main())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n" * 2, "")


def test_a_handler_runs_while_the_main_thread_waits():
    done = program(
        HEADER
        + """
pool = ThreadPool(1)
heard = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: heard.set())
def work():
    os.kill(os.getpid(), signal.SIGUSR1)
    return heard.wait(10)
print(pool.submit(work).result())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from 3.12 on
pool = ThreadPool(2)
release = threading.Event()
"""


def test_a_pool_begins_anew_in_the_child_of_a_fork():
    done = program(
        HEADER
        + FORK
        + """
running = [pool.submit(release.wait, 10) for _ in range(2)]
queued = pool.submit(int)
while pool.statistics().running < 2: time.sleep(0.001)
pid = os.fork()
if pid == 0:
    assert queued.cancelled()
    for future in running:
        assert "left behind in the parent" in str(future.exception(1)), future
    assert pool.submit(pow, 2, 3).result(10) == 8
    assert list(pool.map(abs, range(5))) == list(range(5))
    pool.shutdown()
    os._exit(7)
release.set()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert [future.result(10) for future in [*running, queued]] == [True, True, 0]
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_call_may_fork():
    done = program(
        HEADER
        + FORK
        + """
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(pool.submit(pow, 2, 3).result(10))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print([pool.submit(fork).result(20) for _ in range(3)])
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[8, 8, 8]\n", "")


def test_the_childs_end_does_not_wait_for_the_parents_threads():
    done = program(
        HEADER
        + FORK
        + """
pool.submit(release.wait, 10)
pid = os.fork()
if pid == 0:
    sys.exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
release.set()
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_the_package_does_not_import_what_only_pools_need():
    done = program("import tideloop, sys; print([m for m in sys.modules if 'concurrent.futures.thread' in m])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_names_of_the_module_come_when_somebody_asks():
    done = program(
        "import tideloop; print(tideloop.threads.ThreadPool.__name__, 'ThreadPool' in dir(tideloop.threads))"
    )
    assert (done.stdout, done.stderr) == ("ThreadPool True\n", "")
