"""TIDELOOP_DEADLOCKS: detection from the start, in a program that knows nothing of it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading, time
import tideloop
from tideloop.sync import Lock

signal.alarm(30)  # one that waits for ever ends, too
lock = Lock()

def undo():
    while "1 waiting" not in repr(lock):
        time.sleep(0.001)
    time.sleep(0.1)
    sys.stdin.readline()  # until it is told to
    lock.release()

with lock:
    if sys.argv[1] == "undo":
        threading.Thread(target=undo).start()
    lock.acquire()
print("done")
"""


def start(value, *args):
    environment = {**os.environ, "TIDELOOP_DEADLOCKS": value}
    command = [sys.executable, "-c", PROGRAM, *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run(value, *args):
    with start(value, *args) as program:
        stdout, stderr = program.communicate("\n")
    return subprocess.CompletedProcess(program.args, program.returncode, stdout, stderr)


def test_a_deadlock_is_printed_to_stderr_by_a_program_that_does_not_log():
    with start("1", "undo") as program:
        said = program.stderr.readline()
        program.stdin.write("\n")
        program.stdin.close()
        said += program.stderr.read()
        assert (program.wait(), program.stdout.read()) == (0, "done\n")
    assert said.startswith("Deadlock: one waits for itself.\nthread 'MainThread'\n    holds <locked tideloop.sync.Lock")


def test_victim_ends_the_call_with_an_error():
    done = run("victim", "wait")
    assert done.returncode == 1
    assert "tideloop.observe.DeadlockError: Deadlock: one waits for itself." in done.stderr


@pytest.mark.parametrize("value", ["", "0"])
def test_empty_and_0_mean_off(value):
    done = run(value, "undo")
    assert (done.returncode, done.stderr) == (0, "")
