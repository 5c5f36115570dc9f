"""Debian's packages for this machine and for arm64, unpacked into a folder: nothing is installed, no root is needed.

What a program lacks at run time comes along: packages are followed through their dependencies, up to those that every
machine with a C compiler has. The package lists are kept apart from the machine's own, for two architectures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tideloop-cross"
# Whoever can compile at all has these; the names are those of Debian's relations, some of them virtual.
ON_THE_MACHINE = frozenset("libc6 libc-dev libgcc-s1 libstdc++6 gcc binutils".split())
LISTS_AGE_MAX_S = 86_400
SETTINGS = """
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; "arm64"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State::Lists "{0}/lists";
Dir::Cache "{0}/cache";
"""


class CannotBeHad(Exception):
    """Says what is not there, and why."""


def ensure_lists() -> dict[str, str]:
    """Fetch the package lists once a day at most; what apt's programs need in their environment to read them."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and os.uname().machine == "x86_64"):
        raise CannotBeHad("packages for other machines come from Debian's, on Debian for x86-64")
    apt = CACHE / "apt"
    env = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}
    listed = CACHE / "apt" / "listed"
    if not (listed.exists() and listed.stat().st_mtime > time.time() - LISTS_AGE_MAX_S):
        for folder in ("lists/partial", "cache/archives/partial"):
            (apt / folder).mkdir(parents=True, exist_ok=True)
        (apt / "apt.conf").write_text(SETTINGS.format(apt))
        run(["apt-get", "update", "-qq"], env)
        listed.touch()
    return env


def unpack(
    root: Path, names: list[str], *, alone: Sequence[str] = (), without: frozenset[str] = ON_THE_MACHINE
) -> None:
    """Unpack packages into `root`, once: `names` with what they depend on, up to `without`, and those of `alone`.

    The folder appears only when it is complete.
    """
    stamp, wanted = root / ".packages", " ".join([*names, *alone])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    env = ensure_lists()
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        folder, made = Path(scratch) / "packages", Path(scratch) / "root"
        folder.mkdir()
        made.mkdir()
        followed = closure(names, without, env) if names else []
        run(["apt-get", "download", "-qq", *followed, *alone], env, folder)
        for package in sorted(folder.iterdir()):
            run(["dpkg-deb", "--extract", str(package), str(made)], env)
        (made / ".packages").write_text(wanted)
        made.rename(root)


def closure(names: list[str], without: frozenset[str], env: dict[str, str]) -> list[str]:
    """The packages and all that they depend on; nothing for virtual packages, nor for those named in `without`."""
    graph: dict[str, list[str]] = {}
    for line in run(["apt-cache", "depends", "--recurse", "--important", *names], env).splitlines():
        if not line.startswith(" "):
            needed = graph.setdefault(line, [])
        elif match := re.fullmatch(r" [ |](?:Pre)?Depends: ([^<>]+)", line):
            needed.append(match[1])
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name.partition(":")[0] not in without:
            found[name] = None
            waiting += graph.get(name, [])
    return list(found)


def version(name: str) -> str:
    """The version of a package that would be unpacked."""
    shown = run(["apt-cache", "show", "--no-all-versions", name], ensure_lists())
    match = re.search(r"^Version: (?:\d+:)?(.*)$", shown, re.MULTILINE)
    if match is None:
        raise CannotBeHad(f"Debian's packages have no {name}")
    return match[1]


def run(command: list[str], env: dict[str, str], cwd: Path | None = None) -> str:
    """What a command prints; its failure is told with its last words."""
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise CannotBeHad(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout
