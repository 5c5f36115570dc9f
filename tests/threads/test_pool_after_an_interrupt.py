"""A program that has handled Ctrl+C and goes on: what it gives to threads from then on is done."""

import signal
import subprocess
import sys

import pytest
from thread_support import program

import tideloop
from tideloop import _executors

HEADER = """
import asyncio, sys, time
import tideloop
from tideloop.threads import ThreadPool

async def interrupted():
    raise KeyboardInterrupt

def write():
    time.sleep(0.1)
    print("written", flush=True)

async def begin_writing():
    for _ in range(2):  # the second one is queued
        asyncio.get_running_loop().run_in_executor(None, write)
"""


@pytest.mark.parametrize("runner", ["tideloop.Runner()", "asyncio.Runner(loop_factory=tideloop.new_event_loop)"])
def test_a_loop_that_begins_while_an_interrupt_is_handled_does_its_work(runner):
    done = program(
        HEADER
        + f"""
try:
    with {runner} as runner:
        runner.run(interrupted())
except KeyboardInterrupt:
    with {runner} as runner:
        runner.get_loop().set_default_executor(ThreadPool(1))
        runner.run(begin_writing())
    print("end", flush=True)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "written\nwritten\nend\n"


def test_a_second_interrupt_ends_the_loop_that_handles_the_first_one():
    done = program(
        HEADER
        + """
import threading
go_on = threading.Event()

def write():
    go_on.wait(20)
    print("written", flush=True)

async def begin_and_end():
    await begin_writing()
    raise KeyboardInterrupt

try:
    tideloop.run(interrupted())
except KeyboardInterrupt:
    try:
        with tideloop.Runner() as runner:
            runner.get_loop().set_default_executor(ThreadPool(1))
            runner.run(begin_and_end())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        go_on.set()
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "interrupted"
    assert done.stdout.count("written") <= 1


def test_a_closed_loop_does_not_hold_the_interrupt():
    loop = tideloop.new_event_loop()
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as interrupt:
        loop.run_until_complete(tideloop.sleep(0))
        assert loop._interrupt_before is interrupt
        assert _executors.interrupt_being_handled() is interrupt
    loop.close()
    assert loop._interrupt_before is None


def test_an_interrupt_at_the_prompt_does_not_drop_what_is_submitted_later():
    lines = """
import time
from tideloop.threads import ThreadPool
pool = ThreadPool(1)
raise KeyboardInterrupt
_ = pool.submit(time.sleep, 0.1)
_ = pool.submit(print, "saved", flush=True)
exit()
"""
    command = [sys.executable, "-q", "-i"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=30)
    assert done.stdout == "saved\n"
    # Python 3.14 remembers the interrupt and says so in its exit status, whatever came after.
    assert done.returncode in (0, -signal.SIGINT), done.stderr
    assert "KeyboardInterrupt" in done.stderr


INTERRUPTED_START = """
import threading
from tideloop.threads import ThreadPool
usual = threading.Thread.start
go_on = threading.Event()

def start(self):
    if {begins}:
        usual(self)
        if {runs}:
            begun.wait(20)
    raise KeyboardInterrupt

pool = ThreadPool(2)
if {busy}:
    pool.submit(go_on.wait, 20)
begun = threading.Event()
threading.Thread.start = start
try:
    pool.submit(begun.set)
except KeyboardInterrupt:
    print("interrupted")
threading.Thread.start = usual
go_on.set()
print(pool.submit(int).result(20), pool.submit(int).result(20))
pool.shutdown()
print(pool.statistics().workers, sum(thread.name.startswith("ThreadPool") for thread in threading.enumerate()))
"""


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(("begins", "runs"), [(False, False), (True, False), (True, True)])
def test_an_interrupt_while_a_worker_starts_is_told_and_the_pool_goes_on(busy, begins, runs):
    done = program(INTERRUPTED_START.format(busy=busy, begins=begins, runs=runs))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "interrupted\n0 0\n0 0\n"
