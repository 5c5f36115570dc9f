"""What a measurement depends on and a reader has to know: versions, kernel, processors, and where what runs."""

from __future__ import annotations

import datetime
import os
import platform
import ssl
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tideloop._bench.peers import Peer
from tideloop._bench.workload import Requests, Workload

__all__ = ["Placement", "describe", "load", "placement", "version"]


@dataclass(frozen=True)
class Placement:
    """Which processor does what."""

    peer: int
    """That of the workers and servers, which are measured."""
    load: int
    """That of loads, services and the laboratory itself; the same one if there is no other."""
    sharing: str | None
    """What the two share that disturbs figures of servers and clients; None if they are cores of their own."""


def placement() -> Placement:
    """Choose among the processors that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        return Placement(usable[0], usable[0], "server and client share one processor")
    siblings = _numbers(_read(f"/sys/devices/system/cpu/cpu{usable[0]}/topology/thread_siblings_list"))
    apart = [number for number in usable[1:] if number not in siblings]
    if apart:
        return Placement(usable[0], apart[-1], None)
    return Placement(usable[0], usable[-1], "server and client share one core, a thread of it each")


def describe(peers: Iterable[Peer], workloads: Iterable[Workload], where: Placement) -> dict[str, Any]:
    """Return what there is to know, as a JSON object; None for what cannot be found out here."""
    workloads = list(workloads)
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "tideloop": version("tideloop"),
        "python": platform.python_version(),
        "python_executable": sys.executable,
        "python_optimised": "--enable-optimizations" in arguments,
        "peers": {peer.name: version(peer.distribution) for peer in peers if peer.distribution},
        "libraries": {name: version(name) for name in sorted({name for each in workloads for name in each.requires})},
        "services": _services(workloads),
        "openssl": ssl.OPENSSL_VERSION,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "processors": os.cpu_count(),
        "processors_usable": len(os.sched_getaffinity(0)),
        "processor_of_peers": where.peer,
        "processor_of_load": where.load,
        "sharing": where.sharing,
        "governor": _read(f"/sys/devices/system/cpu/cpu{where.peer}/cpufreq/scaling_governor"),
    }


def _services(workloads: Iterable[Workload]) -> dict[str, str | None]:
    """Return the versions of what clients talk to, where it is there and has one."""
    used = {each.service for each in workloads if isinstance(each, Requests) and each.service}
    versions = {each.name: each.version() for each in used if each.missing() is None}
    return {name: version for name, version in sorted(versions.items()) if version}


def load() -> list[float]:
    """Return the system's load over 1, 5 and 15 minutes."""
    return list(os.getloadavg())


def version(distribution: str | None) -> str | None:
    """Return the version of an installed distribution, or of the one that has the module of this name."""
    for name in filter(None, [distribution, *_distributions().get(distribution or "", ())]):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _distributions() -> dict[str, list[str]]:
    return {module: list(names) for module, names in metadata.packages_distributions().items()}


def _cpu_model() -> str | None:
    lines = (_read("/proc/cpuinfo") or "").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or None)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _numbers(text: str | None) -> set[int]:
    """Return the numbers of a list as the kernel writes it: "0,4" or "0-1"."""
    found: set[int] = set()
    for part in filter(None, (text or "").split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def one_line(environment: dict[str, Any]) -> str:
    """Return the most important of what `describe` returned, for below a table or a picture."""
    peers = {name: version for name, version in environment["peers"].items() if name != "tideloop+"}
    versions = {"Python": environment["python"]} | peers | environment["libraries"]
    named = [f"{name} {version}" for name, version in versions.items() if version]
    cpu = f"{environment['processors_usable']} × {environment['cpu'] or 'processors'}"
    return " · ".join([*named, environment["kernel"], cpu])
