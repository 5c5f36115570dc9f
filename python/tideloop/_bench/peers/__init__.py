"""The event loops that are measured, one file each: `PEER = Peer(...)`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["DEFAULT", "OURS", "TRAITS", "Peer", "all_peers", "find", "why_missing"]

#: What a workload may need and a peer may lack, beyond callbacks, tasks, timers and TCP.
TRAITS = ("tls", "unix", "udp", "sock", "subprocess", "pipes", "sendfile", "start_tls", "threads", "dns")

#: What `--peers` is by default; OURS are always there, first to last the columns that they take.
DEFAULT = ("asyncio", "uvloop", "rloop", "zuvloop")
OURS = ("tideloop", "tideloop+")


@dataclass(frozen=True)
class Peer:
    """An event loop, and how a program comes by it."""

    name: str
    """On the command line."""
    title: str
    """In tables and plots."""
    module: str
    """The module that has `new_event_loop`; importable, or the peer is missing."""
    names: str = "asyncio"
    """The module that the program imports as asyncio."""
    lacks: frozenset[str] = frozenset()
    """Which TRAITS it does not offer."""
    python: tuple[int, int] = (3, 11)
    """The first version of Python that it runs on."""
    floor: bool = False
    """True: no event loop, but the least that the kernel asks for: `module` has a class EchoFloor, whose instance
    listens on 127.0.0.1 at its attribute `port` and echoes over TCP in `serve()`, which ends with the process."""
    distribution: str | None = None
    """What it is called where packages are installed from, if not like its module; None for what comes with Python."""

    @property
    def ours(self) -> bool:
        """Whether this is Tideloop, in one way or another."""
        return self.name in OURS

    @property
    def loop(self) -> str:
        """An expression for source text after `import MODULE`: a new event loop of this peer's."""
        return f"{self.module}.new_event_loop()"

    def new_event_loop(self) -> Any:
        """Import the module and return a new event loop."""
        return importlib.import_module(self.module).new_event_loop()

    def asyncio(self) -> Any:
        """Import and return the module that the program uses as asyncio."""
        return importlib.import_module(self.names)


@cache
def all_peers() -> dict[str, Peer]:
    """Return every peer by its name, in the order of DEFAULT and OURS."""
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found = {module.PEER.name: module.PEER for module in modules}
    known = [*DEFAULT, *OURS]
    ends = len(known)  # a file that somebody added stands behind those
    return dict(sorted(found.items(), key=lambda item: known.index(item[0]) if item[0] in known else ends))


def find(name: str) -> Peer:
    """Return the peer of this name. KeyError, with all names, if there is none."""
    peers = all_peers()
    if name not in peers:
        raise KeyError(f"no peer {name!r}: there are {', '.join(peers)}")
    return peers[name]


def why_missing(peer: Peer) -> str | None:
    """Say why the peer cannot run here, or None if it can."""
    if sys.version_info < peer.python:
        return "it needs Python {}.{}".format(*peer.python)
    top = peer.module.partition(".")[0]
    if find_spec(top) is None:
        return f"it is not installed (pip install {peer.distribution or top})"
    return None
