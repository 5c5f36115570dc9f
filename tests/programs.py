"""A program run as a user would run it, spoken to line by line: no sleeping, no guessed port, a limit on every wait."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
WAIT_S = 30.0  # far above what anything here takes: only a hang meets it
COMMANDS = {"asyncio": [sys.executable], "tideloop": [sys.executable, "-m", "tideloop"]}


class Program:
    """A running example; `line()` waits for its next line of output, `end()` for its exit."""

    def __init__(self, loop_kind: str, *arguments: str | Path) -> None:
        name, *rest = (str(argument) for argument in arguments)
        self.command = [*COMMANDS[loop_kind], str(EXAMPLES / name), *rest]
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"}
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._rest = b""

    def line(self) -> str:
        """Return the next line of standard output, without its end."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + WAIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(deadline - time.monotonic()):
                    raise AssertionError(self._report("no line within the limit"))
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise AssertionError(self._report("the program ended"))
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def port(self) -> int:
        """Return the port from the first line, which ends with it."""
        return int(self.line().replace(":", " ").split()[-1])

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self, send: signal.Signals | None = None, status: int = 0) -> str:
        """Close its standard input, wait for its exit and return what it still printed.

        Raises AssertionError unless it ended with `status` and wrote nothing to standard error.
        """
        if send is not None:
            self.process.send_signal(send)
        output, errors = self.process.communicate(timeout=WAIT_S)
        output = self._rest + output
        assert self.process.returncode == status, f"{self.command}: {self.process.returncode}\n{errors.decode()}"
        assert errors == b"", errors.decode()
        return output.decode()

    def kill(self) -> None:
        """End it whatever it does, and close its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _report(self, what: str) -> str:
        self.process.kill()
        _, errors = self.process.communicate()
        return f"{' '.join(self.command)}: {what}\n{errors.decode()}"


Start = Callable[..., Program]
