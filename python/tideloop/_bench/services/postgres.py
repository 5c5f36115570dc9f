"""PostgreSQL, its database made anew, and nothing written to disk before it has to be."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tideloop._bench.services.programs import HOST, Program, ask, find, running, version
from tideloop._bench.workload import Service

__all__ = ["DATABASE", "SERVICE", "USER", "Postgres", "connect"]

PROGRAMS = ("postgres", "initdb")
USER = "tideloop"
DATABASE = "postgres"


class Postgres(Program):
    """A server that is given `postgres` and `initdb` among its programs, on the port "tcp"."""

    # An immediate shutdown: every connection is cut, the next start replays the log. After SIGKILL, children that are
    # still there would keep the next one from starting.
    CRASH = signal.SIGQUIT

    def authentication(self) -> list[str]:
        """Return the options of initdb that say whom the server believes."""
        return ["--auth", "trust"]

    def settings(self) -> dict[str, str]:
        """Return its settings by their names."""
        return {
            "listen_addresses": HOST,
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            # What it does of its own accord would be seen in the measurements.
            "autovacuum": "off",
            "checkpoint_timeout": "1d",
        }

    def prepare(self) -> None:
        """Make the database."""
        subprocess.run(
            [
                *(self.programs["initdb"], "--pgdata", str(self.folder / "data"), "--username", USER),
                *self.authentication(),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            **self.user,
        )

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        options = [part for name, value in self.settings().items() for part in ("-c", f"{name}={value}")]
        return [self.programs["postgres"], "-D", str(self.folder / "data"), "-p", str(self.ports["tcp"]), *options]

    def answers(self) -> bool:
        """Ask whether it serves already."""
        # One that is not ready refuses by a message that begins with E; one that is lets us in, or asks who we are.
        names = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
        hello = (8 + len(names)).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + names
        return ask(self.ports["tcp"], hello)[:1] == b"R"


@contextlib.contextmanager
def start(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a server that believes everybody; its host and port."""
    with running(Postgres, folder, PROGRAMS) as server:
        yield HOST, server.ports["tcp"]


async def connect(address: tuple[str, int]) -> Any:
    """Return a connection of asyncpg's, which is not imported before."""
    import asyncpg

    host, port = address
    return await asyncpg.connect(host=host, port=port, user=USER, database=DATABASE, ssl=False)


def missing() -> str | None:
    """Say what is not installed."""
    lacking = [name for name in PROGRAMS if find(name) is None]
    return f"PostgreSQL's {' and '.join(lacking)} not found" if lacking else None


SERVICE = Service("postgres", start, missing, lambda: version("postgres"))
