"""The file of recorded counts: for each environment its rows, and the commit that was checked out then.

An environment is what a count depends on beside our own sources: processor, Python, compiler, libc and valgrind.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).resolve().with_name("baseline.json")
# What the counts are made of. A change of workloads is one of counts, too.
SOURCES = ("crates", "python", "Cargo.toml", "Cargo.lock", "tests/instructions/workloads.py")
VALGRINDS_CHOICES = ("avx2", "avx")


@dataclass(frozen=True)
class Entry:
    """The counts of one environment."""

    commit: str
    #: Whether there were changes that this commit has not: the counts are those of the commit that brings the entry.
    uncommitted: bool
    rows: dict[str, float] = field(default_factory=dict)


Baseline = dict[str, Entry]


def parse(text: str) -> Baseline:
    return {environment: Entry(**entry) for environment, entry in json.loads(text).items()}


def read(file: Path = FILE) -> Baseline:
    return parse(file.read_text()) if file.exists() else {}


def write(baseline: Baseline, file: Path = FILE) -> None:
    """One row a line, so that a change of the file shows what has grown."""
    table = {environment: vars(entry) for environment, entry in sorted(baseline.items())}
    file.write_text(json.dumps(table, indent=1) + "\n")


def environment() -> str:
    """This one, in words."""
    python = f"CPython {' '.join(sys.version.split())}"
    libc = " ".join(platform.libc_ver())
    return ", ".join([processor(), python, first_line("rustc"), libc, first_line("valgrind")])


def first_line(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def processor() -> str:
    """The architecture, and the widest instructions that valgrind offers to libc's choice of a memcpy."""
    try:
        flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text()))
    except OSError:
        flags = set()
    return " ".join([platform.machine(), *[flag for flag in VALGRINDS_CHOICES if flag in flags][:1]])
