"""Count the instructions of workloads with callgrind: per operation, and the same in every run.

Each row runs in two sizes, three times, and what counts is the difference between the least of either: everything that
happens once drops out. One process runs all rows, for it takes ten seconds to start. The environment, the hash seed and
the collector are fixed; what the loop decides by time is made to come out the same by the workloads.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKLOADS = HERE / "workloads.py"
SECONDS_MAX = 500
# In front of valgrind. A program finds the kernel's vDSO by this call, or else by its auxiliary vector. valgrind takes
# the vDSO away and says so in the vector, but knows nothing of the call (Linux 6.4): the program jumps into the void.
PR_GET_AUXV = 0x41555856
WITHOUT_VDSO = f"""
import os, sys
sys.path.insert(0, {str(HERE.parent)!r})
from injection import inject
inject(("prctl", {PR_GET_AUXV}, {errno.EINVAL}))
os.execvp(sys.argv[1], sys.argv[1:])
"""
CALLGRIND = ("valgrind", "--tool=callgrind", "--quiet", "--zero-before=getpgrp", "--dump-before=getppid")


class CannotMeasure(Exception):
    """There is no count, and the sentence says why."""


def instructions(workloads: Path = WORKLOADS, packages: Sequence[Path] = ()) -> dict[str, float]:
    """Instructions per operation of each row; `packages` are folders to import from before all others."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WITHOUT_VDSO, *CALLGRIND, f"--callgrind-out-file={folder}/counts"]
        command += [sys.executable, str(HERE / "sections.py"), str(workloads)]
        # Nothing of the caller's: even the length of a variable moves what lies on the stack.
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        env["PYTHONPATH"] = os.pathsep.join(map(str, packages))
        try:
            done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired as error:
            raise CannotMeasure(f"the workloads did not end within {SECONDS_MAX} s") from error
        if done.returncode:
            raise CannotMeasure(f"the workloads ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        counts = written(Path(folder))
    rows = json.loads(done.stdout)
    expected = sum(len(operations) for _, operations in rows)
    if len(counts) != expected:
        raise CannotMeasure(f"callgrind saw {len(counts)} sections of {expected}: does it know libc's symbols?")
    rest = iter(counts)
    return {row: per_operation([(size, next(rest)) for size in operations]) for row, operations in rows}


def per_operation(sections: list[tuple[int, int]]) -> float:
    """Of sections of two sizes, (operations, instructions): what each operation more takes."""
    small, large = (min(size for size, _ in sections), max(size for size, _ in sections))
    least = {size: min(count for other, count in sections if other == size) for size in (small, large)}
    return round((least[large] - least[small]) / (large - small), 1)


def written(folder: Path) -> list[int]:
    """The counts that callgrind wrote, in order: one file each, with a number for an ending; the last is the rest."""
    files = sorted(folder.glob("counts.*"), key=lambda file: int(file.suffix[1:]))
    return [int(re.search(r"^totals: (\d+)", file.read_text(), re.MULTILINE)[1]) for file in files]
