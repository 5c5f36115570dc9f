"""A subprocess.Popen whose program is started on another thread.

Popen itself checks every argument, makes the pipes and undoes them when something is wrong, here and now; only the last
step, running the program, is put off. So each Python version's own arguments and messages hold, and what the loop calls
'subprocess' in a transport's extra info is a real Popen.
"""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from . import _native

__all__ = ["Child", "Owner", "close_pipes"]


class _Arguments(NamedTuple):
    """What Popen hands to the method that runs the program, by asyncio's oldest version to its newest."""

    args: Any
    executable: Any
    preexec_fn: Callable[[], Any] | None
    close_fds: bool
    pass_fds: Iterable[int]
    cwd: Any
    env: Any
    startupinfo: Any
    creationflags: int
    shell: bool
    p2cread: int
    p2cwrite: int
    c2pread: int
    c2pwrite: int
    errread: int
    errwrite: int
    restore_signals: bool
    gid: int | None
    gids: list[int] | None
    uid: int | None
    umask: int
    start_new_session: bool
    process_group: int


class Owner(Protocol):
    """Who has the program started, and is told when it was."""

    def _spawn(self, *command: Any) -> None:
        """Start natively: the arguments of `_native.Spawner.submit`."""

    def _spawn_by_call(self, call: Callable[[], Any]) -> None:
        """Start by `call()`, off the loop's thread, and tell of its outcome."""


class Child(subprocess.Popen[bytes]):
    """A child process that is being started for *owner*; `pid` is None until it was."""

    def __init__(self, owner: Owner, args: Any, **options: Any) -> None:
        self._owner: Owner | None = owner
        self._program: Any = None
        self._directory: Any = None
        super().__init__(args, **options)

    def started(self, pid: int) -> None:
        """The program runs."""
        self.pid = pid
        self._child_created = True
        self._owner = None

    def ended(self, returncode: int) -> None:
        """Somebody has waited for it."""
        if self.returncode is None:
            self.returncode = returncode

    def failure(self, stage: str, number: int) -> OSError:
        """What Popen would have raised."""
        filename = {"program": self._program, "directory": self._directory}.get(stage)
        if filename is None:
            return OSError(number, os.strerror(number))
        return OSError(number, os.strerror(number), filename)

    def _execute_child(self, *arguments: Any) -> None:
        """Called by Popen at the end of its initialization."""
        owner, self._owner = self._owner, None
        assert owner is not None
        if not _is_native(arguments):
            # For what needs Python in the child, or the forked child's own memory.
            run = contextvars.copy_context().run
            owner._spawn_by_call(lambda: run(super(Child, self)._execute_child, *arguments))  # type: ignore[misc]
            return
        given = _Arguments(*arguments)
        args, program = _program(given)
        self._program, self._directory = program, given.cwd
        sys.audit("subprocess.Popen", program, args, given.cwd, given.env)
        owner._spawn(
            _candidates(os.fsencode(program), given.env),
            [os.fsencode(arg) for arg in args],
            None if given.env is None else _environment(given.env),
            None if given.cwd is None else os.fsencode(given.cwd),
            (given.p2cread, given.c2pwrite, given.errwrite),
            sorted({int(fd) for fd in given.pass_fds}),
            (bool(given.close_fds), bool(given.restore_signals), bool(given.start_new_session)),
            given.umask,
            given.process_group,
        )
        # The child gets duplicates.
        self._close_pipe_fds(*arguments[10:16])  # type: ignore[attr-defined]


def close_pipes(process: subprocess.Popen[bytes]) -> None:
    """Close the parent's ends of the pipes."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _is_native(arguments: tuple[Any, ...]) -> bool:
    """Whether the program can be started without fork() and Python in the child."""
    if not _native.Spawner.supported or len(arguments) != len(_Arguments._fields):
        return False
    given = _Arguments(*arguments)
    # With another user's rights the child must not share the parent's memory, not for a moment.
    rights = (given.uid, given.gid, given.gids)
    return given.preexec_fn is None and rights == (None, None, None) and getattr(subprocess, "_USE_VFORK", True)


def _program(given: _Arguments) -> tuple[list[Any], Any]:
    """The arguments with the program's name first, and the program."""
    args = given.args
    if isinstance(args, os.PathLike) and given.shell:
        raise TypeError("path-like args is not allowed when shell is true")
    args = [args] if isinstance(args, str | bytes | os.PathLike) else list(args)
    if given.shell:
        args = [given.executable or "/bin/sh", "-c", *args]
    return args, args[0] if given.executable is None else given.executable


def _candidates(program: bytes, env: Any) -> list[bytes]:
    """Where the program may be: a name without a slash is looked for in PATH."""
    if b"/" in program:
        return [program]
    return [os.path.join(os.fsencode(folder), program) for folder in os.get_exec_path(env)]


def _environment(env: Any) -> list[bytes]:
    pairs = [(os.fsencode(name), os.fsencode(value)) for name, value in env.items()]
    if any(b"=" in name for name, _ in pairs):
        raise ValueError("illegal environment variable name")
    return [name + b"=" + value for name, value in pairs]
