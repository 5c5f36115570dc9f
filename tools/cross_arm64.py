"""Python on arm64 Linux, emulated: Debian's own, unpacked in a folder and run by qemu, with a wheel and our tests.

It takes neither root nor a kernel's help. What a program starts is started on this machine: /bin/echo is, while
sys.executable, which is arm64's, is not; tests that start a Python are out of reach.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cross_debian import CACHE, unpack, version
from pythons import ROOT

TARGET = "aarch64-unknown-linux-gnu"
FOLDER = CACHE / "arm64"
SITE = ROOT / "build" / "arm64-site"
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
ENVIRONMENT = {"PYTHONPATH": str(SITE), "PYTHONDONTWRITEBYTECODE": "1", "TIDELOOP_REQUIRED": "1"}
# What differs between processors: the counter of ticks, the kernel's calls, the layout of what it fills in. (Not the
# order of memory, which stays the real machine's: interleavings are loom's matter.)
TESTS = """
    contract/test_call_soon.py contract/test_futures.py contract/test_tasks.py contract/test_timers.py
    contract/test_queues.py contract/test_locks.py contract/test_streams.py contract/test_tcp_transport.py
    contract/test_udp.py contract/test_threads_and_loops.py
""".split()
# Tests run on asyncio too, which is not what is asked here; those of forked children start a Python; a hundred thousand
# of anything take half a minute; and what an idle machine does in time, or in between, an emulated one does not.
NOT_RUN = "not (asyncio or fork or child or hundred_thousand or idle_machine or order_of_their_deadlines)"


def emulator() -> list[str]:
    """Begins the command line of an arm64 program."""
    qemu = CACHE / "qemu"
    unpack(qemu, [], alone=["qemu-user-static"])
    return [str(qemu / "usr" / "bin" / "qemu-aarch64-static")]


def python_version() -> str:
    """Of Debian's Python: the one that can be emulated."""
    return ".".join(version("python3").split(".")[:2])


def python() -> list[str]:
    """Begins the command line of the emulated Python."""
    name = f"python{python_version()}"
    unpack(FOLDER, [f"{name}:arm64"], without=frozenset())
    return [*emulator(), "-L", str(FOLDER), str(FOLDER / "usr" / "bin" / name)]


def install(wheel: Path) -> None:
    """Put the wheel, and what the tests need, where the emulated Python looks for it."""
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-deps", "--upgrade"]
    pip += ["--target", str(SITE), "--implementation", "cp", "--python-version", python_version()]
    pip += ["--only-binary", ":all:", *(word for name in PLATFORMS for word in ("--platform", name))]
    subprocess.run([*pip, "-r", str(ROOT / "tests" / "requirements-test.txt"), str(wheel)], check=True)


def tests(paths: list[str], options: list[str]) -> list[str]:
    """The command line that runs tests on what was installed; by default those that a processor can make fail."""
    chosen = paths or [*(f"tests/{name}" for name in TESTS), "-k", NOT_RUN]
    return [*python(), "-m", "pytest", "-q", "--timeout", "120", *chosen, *options]
