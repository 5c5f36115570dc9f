"""Find the Pythons that the foreign suites run on: 3.11 to 3.14, each with CPython's own asyncio tests.

    python3 tools/pythons.py        prints what there is, one line each

A Python counts only when it really starts and has the package test.test_asyncio (Debian's has not). Looked at are the
names python3.N on PATH, the folder of pyenv's versions, and for 3.14, as root, the Debian folder that python314.sh of
the shared directory makes. Others can be named: TIDELOOP_PYTHONS=/path/one:/path/two.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TIDELOOP_SHARED", ROOT.parent / "shared")).resolve()
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PROBE = """
import sys, sysconfig, test.test_asyncio.test_tasks
assert not sysconfig.get_config_var("Py_GIL_DISABLED")
print("%d.%d" % sys.version_info[:2])
"""


@dataclass(frozen=True)
class Python:
    """One interpreter: `build` is given to maturin, `run` begins a command line in the checkout's root."""

    version: str
    build: str
    run: tuple[str, ...]
    root: str  # what the checkout is called where `run` runs

    def venv(self) -> str:
        """The folder of its virtual environment, relative to the checkout."""
        return f".venv-{self.version}"

    def in_venv(self) -> list[str]:
        return [*self.run[:-1], f"{self.root}/{self.venv()}/bin/python"]


@dataclass(frozen=True)
class Installed:
    """A Python that has Tideloop and what the tests need: `command` starts it, `root` is the checkout as it sees it."""

    version: str
    command: list[str]
    root: str

    def inside(self, path: Path) -> str:
        """What this Python calls a path below the checkout."""
        return f"{self.root}/{path.relative_to(ROOT)}"


def in_its_venv(version: str | None, python: str | None) -> Installed:
    """The virtual environment of the version that find() finds, or an interpreter that is named."""
    if python is not None:
        asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        return Installed(found, [str(Path(python).absolute())], str(ROOT))
    for candidate in find()[0]:
        if candidate.version == version:
            return Installed(candidate.version, candidate.in_venv(), candidate.root)
    sys.exit(f"no Python {version} with CPython's tests was found; see tools/pythons.py")


def find() -> tuple[list[Python], list[str]]:
    """The Pythons found, and a sentence for each version that is missing."""
    found: dict[str, Python] = {}
    for path in candidates():
        version = probe([path])
        if version in VERSIONS and version not in found:
            found[version] = Python(version, path, (path,), str(ROOT))
    missing = []
    for version in VERSIONS:
        if version in found:
            continue
        if version == "3.14":
            python, why = in_folder()
            if python is not None:
                found[version] = python
                continue
        else:
            why = "no such interpreter with the package test.test_asyncio on PATH or under pyenv"
        missing.append(f"Python {version}: {why}")
    return [found[v] for v in VERSIONS if v in found], missing


def can_be_had(sentence: str) -> bool:
    """Whether the missing Python of find()'s sentence could be there, on a machine such as this: as root, with apt.

    Debian 12 has 3.11 and its tests as packages, and python314.sh makes a 3.14; 3.12 and 3.13 come only with pyenv.
    """
    return os.geteuid() == 0 and shutil.which("apt-get") is not None and ("3.11" in sentence or "3.14" in sentence)


def candidates() -> list[str]:
    """Executables that may be what we look for, the most wanted first."""
    named = [p for p in os.environ.get("TIDELOOP_PYTHONS", "").split(os.pathsep) if p]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = [str(p) for v in VERSIONS for p in sorted(pyenv.glob(f"{v}.*/bin/python"), key=_patch, reverse=True)]
    on_path = [
        str(Path(folder) / f"python{version}")
        for version in VERSIONS
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if os.access(Path(folder) / f"python{version}", os.X_OK)
    ]
    return list(dict.fromkeys([*named, *kept, *on_path]))


def _patch(path: Path) -> int:
    last = path.parent.parent.name.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def probe(command: list[str]) -> str | None:
    """The version of a Python that has what is needed, else None."""
    try:
        done = subprocess.run([*command, "-W", "ignore", "-c", PROBE], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def in_folder() -> tuple[Python | None, str]:
    """Python 3.14 in a Debian folder of its own, entered with chroot: that takes root, and Debian's mirror once."""
    script = SHARED / "python314.sh"
    if not script.exists():
        return None, f"none on PATH, and {script} is not there"
    if os.geteuid() != 0:
        return None, f"none on PATH, and {script.name} needs root"
    if shutil.which("bash") is None or shutil.which("unshare") is None:
        return None, f"none on PATH, and {script.name} needs bash and unshare"
    done = subprocess.run(["bash", str(script), "python"], capture_output=True, text=True)
    if done.returncode:
        return None, f"{script.name} failed: {(done.stderr or done.stdout).strip()[-300:]}"
    run = ("bash", str(script), "run", str(ROOT), "python3.14")
    if probe(list(run)) != "3.14":
        return None, f"{script.name} made a Python without the package test.test_asyncio"
    return Python("3.14", from_outside(done.stdout.strip().splitlines()[-1]), run, "/project"), ""


def from_outside(entry: str) -> str:
    """An executable that maturin takes for a Python out here.

    maturin hands what sys.executable says on to PyO3, and in the folder that is a path which does not exist outside;
    so the interpreter is given the name of this script as its own.
    """
    folder, script = entry.removesuffix(".exe"), ROOT / "build" / "python3.14"
    script.parent.mkdir(exist_ok=True)
    inner = 'exec -a "$0" python3.14 "$@"'
    script.write_text(f"#!/bin/sh\nexec chroot '{folder}' bash -c '{inner}' '{script}' \"$@\"\n")
    script.chmod(0o755)
    return str(script)


def main() -> None:
    found, missing = find()
    for python in found:
        print(f"{python.version}  {' '.join(python.run)}")
    for line in missing:
        print(f"!!! missing: {line}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
