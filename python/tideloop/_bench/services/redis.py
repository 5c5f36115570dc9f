"""Redis, without a copy on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tideloop._bench.services.programs import HOST, Program, ask, find, running, version
from tideloop._bench.workload import Service

__all__ = ["SERVICE", "Redis"]


class Redis(Program):
    """A server that is given `redis-server` among its programs, on the port "tcp"."""

    def options(self) -> dict[str, str]:
        """Return its settings by their names."""
        return {"bind": HOST, "port": str(self.ports["tcp"]), "dir": str(self.folder), "save": "", "appendonly": "no"}

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        words = (part for name, value in self.options().items() for part in (f"--{name}", value))
        return [self.programs["redis-server"], *words]

    def answers(self) -> bool:
        """Ask whether it serves already."""
        return ask(self.ports["tcp"], b"PING\r\n") == b"+PONG\r\n"


@contextlib.contextmanager
def start(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a server; its host and port."""
    with running(Redis, folder, ["redis-server"]) as server:
        yield HOST, server.ports["tcp"]


def missing() -> str | None:
    """Say what is not installed."""
    return None if find("redis-server") else "redis-server is not installed"


SERVICE = Service("redis", start, missing, lambda: version("redis-server"))
