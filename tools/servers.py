"""Find the servers that tests/integration speaks to, and install from Debian's packages what is missing.

    python3 tools/servers.py        installs what is missing and prints where each program is

Looked at are PATH, Debian's folders of PostgreSQL's versions, and build/servers. As root, `apt-get install` brings what
is missing, without a service started or a cluster made. Others get the same packages unpacked below build/servers, with
apt's lists and cache in there as well: nothing outside the checkout is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / "build" / "servers"
# What apt calls the package of a program that we start.
PACKAGES = {"postgres": "postgresql", "initdb": "postgresql", "redis-server": "redis-server"}
POLICY = Path("/usr/sbin/policy-rc.d")
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")
APT_SECONDS_MAX = 300


class CannotBeInstalled(Exception):
    """Why the servers cannot be had here, in a sentence."""


def find(program: str) -> Path | None:
    """Where a server's program is, the newest version first; None when it is not there."""
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    places += [Path("/usr/sbin"), *_versions(Path("/")), UNPACKED / "usr/bin", *_versions(UNPACKED)]
    for place in places:
        if os.access(place / program, os.X_OK):
            return (place / program).absolute()
    return None


def _versions(root: Path) -> list[Path]:
    found = (root / "usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.parent.name)], reverse=True)


def environment() -> dict[str, str]:
    """The environment for the programs: unpacked ones need the libraries that were unpacked with them."""
    libraries = sorted(str(path) for path in UNPACKED.glob("usr/lib/*-linux-gnu"))
    old = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": ":".join([*libraries, *([old] if old else [])])} if libraries else {}


def ensure() -> dict[str, Path]:
    """Every program by its name; installs what is missing. Raises CannotBeInstalled."""
    missing = sorted({package for program, package in PACKAGES.items() if find(program) is None})
    if missing:
        if shutil.which("apt-get") is None:
            raise CannotBeInstalled(f"{' and '.join(missing)}: not installed, and there is no apt-get")
        print(f"installing {' and '.join(missing)}", flush=True)
        if os.geteuid() == 0:
            _install(missing)
        else:
            _unpack(missing)
    found = {program: find(program) for program in PACKAGES}
    lacking = [program for program, path in found.items() if path is None]
    if lacking:
        raise CannotBeInstalled(f"{' and '.join(lacking)}: not in the packages {' and '.join(missing)}")
    return {program: path for program, path in found.items() if path is not None}


def _apt(*arguments: str, folder: Path | None = None) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=APT_SECONDS_MAX
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CannotBeInstalled(f"{' '.join(arguments)}: {exc}") from exc
    if done.returncode:
        raise CannotBeInstalled(f"{' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def _install(packages: list[str]) -> None:
    # Where one of many sources fails, what is known of the others may do: the installation tells.
    with contextlib.suppress(CannotBeInstalled):
        _apt("apt-get", "update", "-qq")
    with _nothing_started():
        _apt("apt-get", "install", "-qq", "-y", "--no-install-recommends", "--no-upgrade", *packages)


@contextlib.contextmanager
def _nothing_started() -> Iterator[None]:
    """Packages of servers start them and PostgreSQL's makes a database: not here, if nobody has decided otherwise."""
    made = []
    for path, text in ((POLICY, "#!/bin/sh\nexit 101\n"), (CLUSTERS, "create_main_cluster = false\n")):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if path is POLICY else 0o644)
            made.append(path)
    try:
        yield
    finally:
        if POLICY in made:
            POLICY.unlink()


def _unpack(packages: list[str]) -> None:
    """The packages and what they need beyond what is installed, unpacked below build/servers."""
    state, cache, archives = UNPACKED / "apt/lists", UNPACKED / "apt/cache", UNPACKED / "apt/archives"
    for folder in (state / "partial", cache, archives):
        folder.mkdir(parents=True, exist_ok=True)
    own = ["-o", f"Dir::State::lists={state}", "-o", f"Dir::Cache={cache}"]
    _apt("apt-get", *own, "update", "-qq")
    plan = _apt("apt-get", *own, "install", "--simulate", "-y", "--no-install-recommends", "--no-upgrade", *packages)
    names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    _apt("apt-get", *own, "download", "-qq", *names, folder=archives)
    for archive in archives.glob("*.deb"):
        _apt("dpkg", "--extract", str(archive), str(UNPACKED))


if __name__ == "__main__":
    try:
        for name, where in ensure().items():
            print(f"{name}\t{where}")
    except CannotBeInstalled as exc:
        sys.exit(f"!!! {exc}")
