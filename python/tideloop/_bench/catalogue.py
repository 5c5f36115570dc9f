"""Which workloads there are: whatever files lie below `workloads/`."""

from __future__ import annotations

import importlib
import pkgutil
import resource
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from tideloop._bench import workloads
from tideloop._bench.peers import Peer
from tideloop._bench.workload import Requests, Served, Started, Workload

__all__ = ["Entry", "Unknown", "all_entries", "load", "select"]

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


@cache
def all_entries() -> dict[str, Entry]:
    """Return every workload by its name, folder by folder."""
    found: dict[str, Entry] = {}
    for folder in pkgutil.iter_modules(workloads.__path__):
        package = importlib.import_module(f"{workloads.__name__}.{folder.name}")
        for file in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{file.name}"
            entry = Entry(file.name, folder.name, load(name), name)
            if file.name in found:
                raise ImportError(
                    f"two workloads are called {file.name}: in {found[file.name].folder} and {folder.name}"
                )
            found[file.name] = entry
    return found


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
        else:
            raise Unknown(f"no workload {name!r}: there are {', '.join([*folders, *entries])}")
    return list(chosen.values())
