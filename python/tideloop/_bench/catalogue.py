"""Which workloads there are: whatever files lie below `workloads/`."""

from __future__ import annotations

import importlib
import pkgutil
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from tideloop._bench import workloads
from tideloop._bench.peers import Peer
from tideloop._bench.workload import Requests, Served, Started, Workload

__all__ = ["Entry", "Unknown", "all_entries", "broken", "load", "select"]

#: What a process has open beside the connections of its workload.
DESCRIPTORS_BESIDE = 100


class Unknown(Exception):
    """A name that is no workload's and no folder's; the text lists those that are."""


@dataclass(frozen=True)
class Entry:
    """A workload and where it stands."""

    name: str
    folder: str
    workload: Workload
    module: str

    def why_missing(self) -> str | None:
        """Say why it cannot be measured here at all, or None if it can."""
        missing = [name for name in self.workload.requires if find_spec(name) is None]
        if missing:
            return f"it needs {', '.join(missing)} (pip install {' '.join(missing)})"
        wanted, limit = self.workload.descriptors + DESCRIPTORS_BESIDE, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if self.workload.descriptors and limit != resource.RLIM_INFINITY and limit < wanted:
            return f"it needs {wanted:,} descriptors, and the limit here is {limit:,} (ulimit -Hn)"
        if isinstance(self.workload, Requests) and self.workload.service:
            return self.workload.service.missing()
        return None

    def why_not_on(self, peer: Peer) -> str | None:
        """Say why it cannot or need not be measured on this peer, or None if it can."""
        lacking = sorted(peer.lacks & set(self.workload.needs))
        if lacking:
            return f"it has no {', '.join(lacking)}"
        if peer.floor and not (isinstance(self.workload, Served) and self.workload.floor):
            return "it only echoes over TCP"
        if peer.names != "asyncio" and not self.workload.names:
            return "the program takes no names from asyncio: the same as without"
        if isinstance(self.workload, Started) and self.workload.command(peer) is None:
            return "there is nothing of this kind to start"
        return None


def load(module: str) -> Workload:
    """Import one workload's module, and nothing of the others, and return the workload."""
    workload: Workload = importlib.import_module(module).WORKLOAD
    return workload


def all_entries() -> dict[str, Entry]:
    """Return every workload by its name, folder by folder."""
    return _found()[0]


def broken() -> dict[str, str]:
    """Return the files that are no workloads, and why."""
    return _found()[1]


@cache
def _found() -> tuple[dict[str, Entry], dict[str, str]]:
    entries: dict[str, Entry] = {}
    wrong: dict[str, str] = {}
    for folder, file, module in _modules(wrong):
        if file in entries:
            wrong[f"{folder}/{file}"] = f"another workload is called so, in {entries[file].folder}"
            continue
        try:
            workload = load(module)
            if not isinstance(workload, Workload):
                raise TypeError(f"WORKLOAD is {workload!r}")
            entries[file] = Entry(file, folder, workload, module)
        except Exception as error:
            wrong[file] = f"{type(error).__name__}: {error}"
    return entries, wrong


def _modules(wrong: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield folder, file and module of what may be workloads."""
    for folder in pkgutil.iter_modules(workloads.__path__):
        package = f"{workloads.__name__}.{folder.name}"
        if not folder.ispkg:
            wrong[folder.name] = "it lies in none of the folders"
            continue
        try:
            places = importlib.import_module(package).__path__
        except Exception as error:
            wrong[folder.name] = f"{type(error).__name__}: {error}"
            continue
        for file in pkgutil.iter_modules(places):
            yield folder.name, file.name, f"{package}.{file.name}"


def select(names: list[str]) -> list[Entry]:
    """Return the workloads of these names, a folder's name meaning all in it; all for no names. Unknown if none is."""
    entries = all_entries()
    folders = sorted({entry.folder for entry in entries.values()})
    chosen: dict[str, Entry] = {}
    for name in names or folders:
        if name in entries:
            chosen[name] = entries[name]
        elif name in folders:
            chosen |= {entry.name: entry for entry in entries.values() if entry.folder == name}
        elif name in broken():
            raise Unknown(f"{name} is no workload: {broken()[name]}")
        else:
            raise Unknown(f"no workload {name!r}: there are {', '.join([*folders, *entries])}")
    return list(chosen.values())
