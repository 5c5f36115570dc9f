"""What the tests of thread pools share."""

import asyncio
import subprocess
import sys
import time

import pytest

from tideloop import _thread_deadlines


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def program(source, *, timeout=30):
    """Run a program of its own; what came of it."""
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=timeout)


def nothing_is_over():
    """A block in which no call's time is over: what is submitted in it can begin, however long that takes."""
    return _thread_deadlines._watch._changed


async def cancel_once_begun(task, begun):
    """Cancel a task whose function, in another thread, sets *begun*; when that is so, and not before."""
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
