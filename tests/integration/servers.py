"""The servers that the tests speak to: started on free loopback ports, stopped whatever becomes of the tests.

They are children of a supervisor, a process of its own that runs this file: it lives as long as the pipe to its
standard input is open, so they end with the tests, however those end, and their files with them. A restart in the
middle of a test changes nothing about the children of the process that tests. How each is made is the laboratory's:
`tideloop bench` measures with the same servers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tideloop._bench.services.postgres import Postgres
from tideloop._bench.services.programs import HOST, STOP_SECONDS_MAX, Program, give, unprivileged
from tideloop._bench.services.redis import Redis

__all__ = ["HOST", "PASSWORD", "Servers"]

PASSWORD = "a secret of no worth"


class Servers:
    """The supervisor as the tests see it; `addresses` is what it said when both servers answered."""

    def __init__(self, programs: dict[str, Path], environment: dict[str, str], certificates: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
            start_new_session=True,
        )
        words = {"programs": {name: str(path) for name, path in programs.items()}, "certificates": certificates}
        self.addresses: dict[str, Any] = self._ask(words)

    def restart(self, name: str) -> None:
        """Kill a server as a crash would and start it anew on its port; returns when it answers."""
        self._ask({"restart": name})

    def stop(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(2 * STOP_SECONDS_MAX + 10)

    def _ask(self, words: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the supervisor of the servers ended; what it said stands on standard error")
        result: dict[str, Any] = json.loads(answer)
        return result


class SecurePostgres(Postgres):
    """With passwords and TLS."""

    def authentication(self) -> list[str]:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        give(secret, self.user)
        return ["--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", str(secret)]

    def settings(self) -> dict[str, str]:
        certificate, key = (str(self.folder / name) for name in ("server.crt", "server.key"))
        return super().settings() | {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}


class SecureRedis(Redis):
    """With TLS and a Unix socket, too."""

    def options(self) -> dict[str, str]:
        return super().options() | {
            "tls-port": str(self.ports["tls"]),
            "tls-cert-file": str(self.folder / "server.crt"),
            "tls-key-file": str(self.folder / "server.key"),
            "tls-ca-cert-file": str(self.folder / "ca.crt"),
            "tls-auth-clients": "no",
            "unixsocket": str(self.folder / "socket"),
            # Only root may reach it through the folder otherwise, or who it runs as.
            "unixsocketperm": "777",
        }


# The name by which the tests know each, how it is made, and what it listens on.
KINDS: tuple[tuple[str, type[Program], tuple[str, ...]], ...] = (
    ("postgres", SecurePostgres, ("tcp",)),
    ("redis", SecureRedis, ("tcp", "tls")),
)


def supervise(folder: Path) -> None:
    words = json.loads(sys.stdin.readline())
    user = unprivileged()
    if user:
        folder.chmod(0o711)
    servers: dict[str, Program] = {}
    try:
        for kind_name, kind, ports in KINDS:
            server = servers[kind_name] = kind(folder, user, words["programs"])
            for name, text in words["certificates"].items():
                (server.folder / name).write_text(text)
                give(server.folder / name, user)
            server.prepare()
            server.start(ports)
        if user:
            # The folder of the sockets: clients run as root or as oneself.
            servers["redis"].folder.chmod(0o711)
            servers["postgres"].folder.chmod(0o711)
        say({name: {**server.ports, "folder": str(server.folder)} for name, server in servers.items()})
        for line in sys.stdin:
            servers[json.loads(line)["restart"]].restart()
            say({})
    finally:
        for server in servers.values():
            server.kill(server.CRASH)


def say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(tempfile.mkdtemp(prefix="tideloop-servers-"))
    try:
        supervise(folder)
    except BrokenPipeError:
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
