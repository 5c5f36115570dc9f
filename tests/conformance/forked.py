"""run_stdlib.py of the shared directory, but each test's process is forked from one that has imported everything.

    python build/conformance/suite-3.13/forked.py OPTIONS OF RUN_STDLIB…

To start a Python and import asyncio's tests takes longer than most of the tests do, of which there are a thousand. What
is run, in a process and with a time limit of its own, what counts as passed and what is written stay run_stdlib.py's.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import types
from typing import Any

import run_stdlib

# How run_stdlib.py starts a test, but for the Python before it and the test's name behind it.
START = ["-W", "ignore", "-m", "unittest", "-q"]

# For each line, a JSON list of a test's name and where its output goes, it forks a child and answers with the child's
# number and, when that has ended, its exit status. A child goes on as `python -m unittest` does, to the interpreter's
# own end.
NURSERY = """
import gc, json, os, sys, unittest, stdlib_cases
gc.collect()
gc.freeze()
answers = os.fdopen(os.dup(1), "w")
for line in iter(sys.stdin.readline, ""):
    test, *outputs = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(child, file=answers, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
else:
    sys.exit()
answers.close()
for number, path in enumerate([os.devnull, *outputs]):
    fd = os.open(path, os.O_RDWR)
    os.dup2(fd, number)
    os.close(fd)
sys.argv = ["python -m unittest", "-q", test]
del answers, child, fd, line, number, outputs, path, test
unittest.main(module=None)
"""


class Nursery:
    """A process that forks for each test; one thread's."""

    def __init__(self, python: str, options: dict[str, Any]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        # Unbuffered: select() is to know of every answer that was not read.
        self.process = subprocess.Popen([python, "-W", "ignore", "-c", NURSERY], bufsize=0, **pipes, **options)

    def run(self, test: str, limit_s: float) -> subprocess.CompletedProcess[str]:
        """The result of `python -m unittest -q TEST`; TimeoutExpired where it took too long, and has been killed."""
        with tempfile.NamedTemporaryFile() as output, tempfile.NamedTemporaryFile() as errors:
            self.process.stdin.write(json.dumps([test, output.name, errors.name]).encode() + b"\n")
            child = int(self.process.stdout.readline())
            in_time, _, _ = select.select([self.process.stdout], [], [], limit_s)
            if not in_time:
                os.kill(child, signal.SIGKILL)
            status = int(self.process.stdout.readline())
            if not in_time:
                raise subprocess.TimeoutExpired(test, limit_s)
            texts = [file.read().decode(errors="replace") for file in (output, errors)]
            return subprocess.CompletedProcess(test, status, *texts)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Nurseries:
    """What run_stdlib.py calls in place of subprocess.run()."""

    def __init__(self) -> None:
        self.mine = threading.local()
        self.all: list[Nursery] = []

    def run(self, command: list[str], timeout: float | None = None, **options: Any) -> Any:
        python, *start, test = command
        if start != START or timeout is None:
            return subprocess.run(command, timeout=timeout, **options)
        if not hasattr(self.mine, "nursery"):
            kept = {name: options[name] for name in ("env", "cwd")}
            self.mine.nursery = Nursery(python, kept)
            self.all.append(self.mine.nursery)
        return self.mine.nursery.run(test, timeout)

    def close(self) -> None:
        for nursery in self.all:
            nursery.close()


def main() -> None:
    nurseries = Nurseries()
    run_stdlib.subprocess = types.SimpleNamespace(run=nurseries.run, TimeoutExpired=subprocess.TimeoutExpired)
    try:
        run_stdlib.main()
    finally:
        nurseries.close()


if __name__ == "__main__":
    main()
