"""TIDELOOP_DEADLOCKS: detection from the start, in a program that knows nothing of it."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
import tideloop
from tideloop.sync import Lock

lock = Lock()
with lock:
    if sys.argv[1] == "undo":
        threading.Thread(target=lambda: (time.sleep(0.1), lock.release())).start()
    lock.acquire()
print("done")
"""


def run(value, *args):
    environment = {**os.environ, "TIDELOOP_DEADLOCKS": value}
    command = [sys.executable, "-c", PROGRAM, *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_a_deadlock_is_printed_to_stderr_by_a_program_that_does_not_log():
    done = run("1", "undo")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.startswith(
        "Deadlock: one waits for itself.\nthread 'MainThread'\n    holds <locked tideloop.sync.Lock"
    )


def test_victim_ends_the_call_with_an_error():
    done = run("victim", "wait")
    assert done.returncode == 1
    assert "tideloop.observe.DeadlockError: Deadlock: one waits for itself." in done.stderr


@pytest.mark.parametrize("value", ["", "0"])
def test_empty_and_0_mean_off(value):
    done = run(value, "undo")
    assert (done.returncode, done.stderr) == (0, "")
