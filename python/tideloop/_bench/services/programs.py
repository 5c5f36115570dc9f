"""Server programs on free loopback ports: made in a folder of their own, and run by somebody who is not root."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["HOST", "STOP_SECONDS_MAX", "Program", "ask", "find", "give", "running", "unprivileged", "version"]

HOST = "127.0.0.1"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
ASK_SECONDS_MAX = 5.0
# How long it is left alone before it is asked again whether it answers.
PAUSE_SECONDS = 0.02
# A port that was free may be taken before the server listens on it.
ATTEMPTS = 5
# No server needs to be root, and PostgreSQL refuses to be.
USERS = ("postgres", "nobody")


class Program:
    """One server process. Its subclasses say how it is made, and ask whether it answers."""

    #: The signal that ends it at once, its connections cut.
    CRASH = signal.SIGKILL

    def __init__(self, folder: Path, user: dict[str, Any], programs: dict[str, str]) -> None:
        """`user` is what unprivileged() returned; `programs` are the paths of what it runs, by their names."""
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
        """Return the program and its arguments."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Ask whether it serves already."""
        raise NotImplementedError

    def start(self, kinds: Sequence[str]) -> None:
        """Start on free ports, one for each kind; where they are known already, on those. Return when it answers."""
        again = bool(self.ports)
        for _ in range(1 if again else ATTEMPTS):
            if not again:
                self.ports = dict(zip(kinds, _free_ports(len(kinds)), strict=True))
            self._spawn()
            if _wait(self.answers, self._alive):
                return
            self.kill(signal.SIGKILL)
        raise RuntimeError(f"{self.command()} does not answer:\n{self.log.read_text(errors='replace')[-3000:]}")

    def restart(self) -> None:
        """Kill it as a crash would, and start it anew on its ports."""
        self.kill(self.CRASH)
        self.start(tuple(self.ports))

    def kill(self, number: signal.Signals) -> None:
        """Send the signal and wait for the end, which SIGKILL brings if nothing else does."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user
            )

    def _alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@contextlib.contextmanager
def running(kind: type[Program], folder: Path, names: Sequence[str]) -> Iterator[Program]:
    """A server of this kind that answers on one TCP port; `names` are the programs that it runs."""
    user = unprivileged()
    if user:
        _let_through(folder)
    server = kind(folder, user, {name: str(find(name)) for name in names})
    try:
        server.prepare()
        server.start(("tcp",))
        yield server
    finally:
        server.kill(server.CRASH)


def find(program: str) -> Path | None:
    """Where a server's program is, the newest version first; None when it is not there."""
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    # Debian keeps what users do not call out of PATH, PostgreSQL's programs by version.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for place in [*places, Path("/usr/sbin"), *versions]:
        if os.access(place / program, os.X_OK):
            return (place / program).absolute()
    return None


def version(program: str) -> str | None:
    """What a server's program says of its version; None when it says nothing."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(find(program)), "--version"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ASK_SECONDS_MAX)
        return done.stdout.strip() or None
    return None


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.parent.name)]


def unprivileged() -> dict[str, Any]:
    """What makes subprocess start a program as somebody else than root; nothing when we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError(f"as root there must be one of the users {USERS}, to run the servers")


def _let_through(folder: Path) -> None:
    """Let others reach what is theirs in the folder, without seeing what else there is."""
    for each in (folder, *folder.parents):
        if each == Path(tempfile.gettempdir()) or each.stat().st_uid != os.geteuid():
            break
        each.chmod(each.stat().st_mode | 0o011)


def give(path: Path, user: dict[str, Any]) -> None:
    """Let nobody but the server's user read the file."""
    path.chmod(0o600)
    if user:
        os.chown(path, user["user"], user["group"])


def ask(port: int, hello: bytes) -> bytes:
    """What a server on a loopback port says first; nothing when it does not."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), ASK_SECONDS_MAX) as sock:
        sock.sendall(hello)
        return sock.recv(1024)
    return b""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [sock.getsockname()[1] for sock in sockets]


def _wait(condition: Callable[[], bool], going: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS_MAX
    while going() and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(PAUSE_SECONDS)
    return False
