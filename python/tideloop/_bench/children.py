"""The laboratory's side of its processes: start, ask, stop. `start.py` is the other side."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Child", "Failed", "Lacking"]

START = Path(__file__).with_name("start.py")
START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
READ_BYTES = 1 << 20
TAIL_BYTES = 2000


class Failed(Exception):
    """A process gave a wrong answer, crashed or hung; the text says which, in one line if it can."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Lacking(Failed):
    """The peer does not implement what the workload asks for."""


class Child:
    """A process that answers each command with one line; `ready` is the first, unasked."""

    def __init__(
        self, role: str, processors: Sequence[int], *, tideloop: bool, graceful: bool = False, **specification: Any
    ) -> None:
        """Start `tideloop._bench.ROLE` on these processors, all for none. `graceful`: give it time to clean up."""
        self.graceful = graceful
        specification |= {"processors": list(processors), "tideloop": tideloop, "parent": os.getpid()}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by stop()
        self._buffer = b""
        # Isolation from the folder of the script (-P): it has modules that are called like the standard library's.
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(START), role, json.dumps(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl+C reaches the laboratory alone, which then ends the others in order
        )

    def ready(self, limit_s: float = START_LIMIT_S) -> dict[str, Any]:
        """Wait for the first line and return it. Failed if the process does not come up."""
        return self.answer(limit_s)

    def ask(self, limit_s: float, **command: Any) -> dict[str, Any]:
        """Send a command and return the answer. Failed if there is none in time."""
        self.tell(**command)
        return self.answer(limit_s)

    def tell(self, **command: Any) -> None:
        """Send a command, and leave the answer for later."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is said by what follows
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Return the answer to what was told. Failed if there is none in time."""
        line = self._line(time.monotonic() + limit_s)
        if line is None:
            raise Failed(f"no answer for {limit_s:.0f} s: it hangs", self.tail())
        if not line:
            self.process.wait(STOP_LIMIT_S)
            self.raise_if_ended()
        answer: dict[str, Any] = json.loads(line)
        if "lacking" in answer:
            raise Lacking(answer["lacking"], self.tail())
        if "error" in answer:
            raise Failed(answer["error"], self.tail())
        return answer

    def _line(self, deadline: float) -> bytes | None:
        """Return the next line; empty if the process has ended, None if it is too late."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while b"\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                return None
            data = os.read(fd, READ_BYTES)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def raise_if_ended(self) -> None:
        """Raise Failed, with the reason, if the process is no longer there."""
        status = self.process.poll()
        if status is not None:
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            raise Failed(f"it crashed: {how}", self.tail())

    def tail(self) -> str:
        """Return the end of what it wrote to standard error."""
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - TAIL_BYTES))
        return self._errors.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """End it, and whatever it has started, and wait for that."""
        if self._errors.closed:
            return
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.graceful:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self._errors.close()
