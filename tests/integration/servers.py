"""The servers that the tests speak to: started on free loopback ports, stopped whatever becomes of the tests.

They are children of a supervisor, a process of its own that runs this file: it lives as long as the pipe to its
standard input is open, so they end with the tests, however those end, and their files with them. A restart in the
middle of a test changes nothing about the children of the process that tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
PASSWORD = "a secret of no worth"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
# A port that was free may be taken before the server listens on it.
ATTEMPTS = 5
# Neither server needs to be root, and PostgreSQL refuses to be.
USERS = ("postgres", "nobody")


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


class Server:
    """One server process. Its subclasses say how it is made, and ask whether it answers."""

    def __init__(self, folder: Path, user: dict[str, Any], programs: dict[str, str]) -> None:
        self.folder = folder / type(self).__name__.lower()
        self.folder.mkdir(mode=0o700)
        self.user = user
        self.programs = programs
        self.log = self.folder / "log"
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None
        if user:
            os.chown(self.folder, user["user"], user["group"])

    def prepare(self) -> None:
        """Make what the server needs once."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self, kinds: tuple[str, ...]) -> None:
        """Start on free ports, one for each kind; where they are known already, on those."""
        again = bool(self.ports)
        for _ in range(1 if again else ATTEMPTS):
            if not again:
                self.ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
            self.spawn()
            if wait(self.answers, START_SECONDS_MAX, self.alive):
                return
            self.kill(signal.SIGKILL)
        raise RuntimeError(f"{self.command()} does not answer:\n{self.log.read_text(errors='replace')[-3000:]}")

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user
            )

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.kill(self.CRASH)
        self.start(tuple(self.ports))

    CRASH = signal.SIGKILL


class Postgres(Server):
    # An immediate shutdown: every connection is cut, the next start replays the log. After SIGKILL, children that are
    # still there would keep the next one from starting.
    CRASH = signal.SIGQUIT

    def prepare(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        give(secret, self.user)
        subprocess.run(
            [
                *(self.programs["initdb"], "--pgdata", str(self.folder / "data"), "--username", "tideloop"),
                *("--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", str(secret)),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            check=True,
            **self.user,
        )

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(self.folder / "server.crt"),
            "ssl_key_file": str(self.folder / "server.key"),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self.programs["postgres"], "-D", str(self.folder / "data"), "-p", str(self.ports["tcp"]), *options]

    def answers(self) -> bool:
        # A server that is not ready refuses by a message that begins with E; one that is asks for the password.
        user = b"user\0tideloop\0database\0postgres\0\0"
        hello = (8 + len(user)).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + user
        return ask(self.ports["tcp"], hello)[:1] == b"R"


class Redis(Server):
    def command(self) -> list[str]:
        options = {
            "bind": HOST,
            "port": str(self.ports["tcp"]),
            "tls-port": str(self.ports["tls"]),
            "tls-cert-file": str(self.folder / "server.crt"),
            "tls-key-file": str(self.folder / "server.key"),
            "tls-ca-cert-file": str(self.folder / "ca.crt"),
            "tls-auth-clients": "no",
            "unixsocket": str(self.folder / "socket"),
            # Only root may reach it through the folder otherwise, or who it runs as.
            "unixsocketperm": "777",
            "dir": str(self.folder),
            "save": "",
        }
        return [
            self.programs["redis-server"],
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]

    def answers(self) -> bool:
        return ask(self.ports["tcp"], b"PING\r\n") == b"+PONG\r\n"


def give(path: Path, user: dict[str, Any]) -> None:
    """Let nobody but the server's user read the file."""
    path.chmod(0o600)
    if user:
        os.chown(path, user["user"], user["group"])


def ask(port: int, hello: bytes) -> bytes:
    """What a server on a loopback port says first; nothing when it does not."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5) as sock:
        sock.sendall(hello)
        return sock.recv(1024)
    return b""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]


def wait(condition: Callable[[], bool], seconds: float, going: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while going() and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def unprivileged() -> dict[str, Any]:
    """What makes subprocess start a program as somebody else than root; nothing when we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"as root there must be one of the users {USERS}, to run the servers")


def supervise(folder: Path) -> None:
    words = json.loads(sys.stdin.readline())
    user = unprivileged()
    if user:
        folder.chmod(0o711)
    servers: dict[str, Server] = {}
    try:
        for kind, ports in ((Postgres, ("tcp",)), (Redis, ("tcp", "tls"))):
            server = kind(folder, user, words["programs"])
            servers[kind.__name__.lower()] = server
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
