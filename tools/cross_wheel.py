"""Look into a wheel for another machine: is it for that machine, and would its extension load there?

What its name promises is compared with what the extension asks of the C library: the youngest version of a symbol, for
musl every symbol, which musl's own loader looks up. (Symbols of Python are the interpreter's: they are not there yet.)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cross_arm64
from cross_debian import CACHE, CannotBeHad, unpack

MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
# The promise of manylinux2014 (PEP 599), and the libraries of it that a Rust program has use for.
GLIBC_MAX = (2, 17)
LIBRARIES = re.compile(r"libc\.so\.6|libm\.so\.6|libdl\.so\.2|libpthread\.so\.0|librt\.so\.1|ld-linux-[\w-]+\.so\.[12]")


def main() -> None:
    wheel, target = sys.argv[1:]
    try:
        print(examine(Path(wheel), target))
    except (WrongWheel, CannotBeHad) as exc:
        sys.exit(f"{Path(wheel).name}: {exc}")


class WrongWheel(Exception):
    """Says what the wheel would fail with."""


def examine(wheel: Path, target: str) -> str:
    """A sentence on what the wheel needs; raises WrongWheel where that is more than `target` has."""
    architecture, *_, libc = target.split("-")
    kind = "musllinux_1_2" if libc == "musl" else "manylinux_2_17"
    if f"{kind}_{architecture}" not in wheel.name:
        raise WrongWheel(f"its name does not say {kind}_{architecture}")
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".so"))
            extension = Path(archive.extract(name, scratch))
        read = subprocess.run(
            ["readelf", "--wide", "--file-header", "--dynamic", "--version-info", str(extension)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        if f"Machine: {MACHINES[architecture]}" not in re.sub(r" +", " ", read):
            raise WrongWheel(f"the extension is not for {architecture}")
        needed = re.findall(r"\(NEEDED\) +Shared library: \[(.*)\]", read)
        return musl(extension, architecture, needed) if libc == "musl" else glibc(read, needed)


def glibc(read: str, needed: list[str]) -> str:
    foreign = [name for name in needed if not LIBRARIES.fullmatch(name)]
    versions = {(int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", read)}
    if foreign or not versions or max(versions) > GLIBC_MAX:
        raise WrongWheel(f"needs {needed}, and symbols of glibc {sorted(versions)}")
    return "glibc {}.{} and {}".format(*max(versions), ", ".join(needed))


def musl(extension: Path, architecture: str, needed: list[str]) -> str:
    """Have musl's loader resolve everything, for arm64 under emulation."""
    if needed != ["libc.so"]:
        raise WrongWheel(f"needs {needed} instead of musl's libc.so alone")
    folder = CACHE / f"musl-{architecture}"
    unpack(folder, [], alone=[f"musl:{DEBIAN_NAMES[architecture]}"])
    loader = [str(folder / "lib" / f"ld-musl-{architecture}.so.1"), "--list", str(extension)]
    before = cross_arm64.emulator() if architecture == "aarch64" else []
    done = subprocess.run([*before, *loader], capture_output=True, text=True)
    symbols = re.findall(r"^Error relocating .*: (\S+): symbol not found$", done.stderr, re.MULTILINE)
    foreign = [symbol for symbol in symbols if not symbol.startswith(("Py", "_Py"))]
    if foreign or not symbols:
        raise WrongWheel(f"musl's loader does not find {foreign or done.stderr}")
    return f"musl alone; {len(symbols)} symbols of Python are left to the interpreter"


if __name__ == "__main__":
    main()
