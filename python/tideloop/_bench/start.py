"""Where every process of the laboratory begins: python -P start.py ROLE SPECIFICATION, both from `children.py`.

Talks in JSON lines: commands on standard input, answers on what was standard output. What a workload prints goes to
standard error, which the laboratory shows when the process fails.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
import traceback
import types
from pathlib import Path

PR_SET_PDEATHSIG = 1
#: Above what any loop or workload reads at once.
SETTLED_BYTES = 4 << 20


def main() -> None:
    """Become a worker, a load or a service."""
    role, text = sys.argv[1:3]
    specification = json.loads(text)
    sys.argv[1:] = []
    _end_with_parent(specification["parent"])
    if specification["processors"]:
        os.sched_setaffinity(0, specification["processors"])
    _allow_many_descriptors()
    _settle_malloc()
    answers = open(os.dup(1), "w", buffering=1)  # noqa: SIM115, as long as the process
    os.dup2(2, 1)
    if not specification["tideloop"]:
        _stand_in_for_tideloop()

    def say(**message: object) -> None:
        answers.write(json.dumps(message) + "\n")

    try:
        importlib.import_module(f"tideloop._bench.{role}").main(specification, map(json.loads, sys.stdin), say)
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".rstrip(": ")
        say(**{"lacking" if isinstance(error, NotImplementedError) else "error": text})
        sys.stdout.flush()
        os._exit(1)  # a loop in trouble may not let itself be closed


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process when the laboratory ends, however it does: nothing may be left running."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _allow_many_descriptors() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settle_malloc() -> None:
    """Bring glibc's malloc to where it is in a process that has run for a while.

    It asks the kernel for each block above a threshold, which costs more than all else in receiving a short message
    into a buffer of 256 KiB, as asyncio does: 16 µs beside 1 µs. The threshold rises with the first such block that is
    freed, which in a server is when the first connection ends; but in a measurement none does.
    """
    bytes(SETTLED_BYTES)


def _stand_in_for_tideloop() -> None:
    """Let `tideloop._bench` be imported without Tideloop: it would cost memory, and asyncio would know of its tasks."""
    package = types.ModuleType("tideloop")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["tideloop"] = package


if __name__ == "__main__":
    main()
