"""Child processes: starting them off the loop's thread, watching them by pidfd."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from asyncio.log import logger
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from . import _native
from ._child import close_pipes
from ._lifecycle import Lifecycle
from ._pipes import Pipes
from ._subprocess import SubprocessTransport

__all__ = ["Children"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# Whether the end of a child is learned from a descriptor; else from a thread that waits for it.
USES_PIDFD = hasattr(os, "pidfd_open")


class Children(Pipes, Lifecycle):
    """Mixin: subprocess_exec and subprocess_shell."""

    __slots__ = ()

    _spawner: _native.Spawner | None
    _spawner_process: int  # whose it is: a forked child needs one of its own
    _starting: dict[int, SubprocessTransport]  # by the spawner's number
    _watched: dict[int, SubprocessTransport]  # by pidfd

    def __init__(self) -> None:
        super().__init__()
        self._spawner = None
        self._spawner_process = -1
        self._starting = {}
        self._watched = {}

    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _P],
        program: Any,
        *args: Any,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = False,
        bufsize: int = 0,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _P]:
        """Run *program* with *args*; return (transport, protocol). *kwargs* are those of subprocess.Popen.

        Neither a program that is slow to load nor the size of this process holds up the loop, except with
        *preexec_fn*, *user*, *group* or *extra_groups*, for which the process is forked.
        Raises OSError (FileNotFoundError, PermissionError …) if the program cannot be run, ValueError for what
        cannot be had of a loop: text mode, buffers, a zero in an argument.
        Counterpart: :meth:`asyncio.loop.subprocess_exec`.
        """
        _check_options(universal_newlines, bufsize, text, encoding, errors)
        if shell:
            raise ValueError("shell must be False")
        what = f"execute program {program!r}" if self.get_debug() else ""
        options = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "shell": False, **kwargs}
        return await self._run_program(protocol_factory, (program, *args), what, options)

    async def subprocess_shell(
        self,
        protocol_factory: Callable[[], _P],
        cmd: bytes | str,
        *,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        universal_newlines: bool = False,
        shell: bool = True,
        bufsize: int = 0,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _P]:
        """Run the shell command *cmd*; the rest as for subprocess_exec().

        Counterpart: :meth:`asyncio.loop.subprocess_shell`.
        """
        if not isinstance(cmd, bytes | str):
            raise ValueError("cmd must be a string")
        if not shell and not universal_newlines:
            raise ValueError("shell must be True")
        _check_options(universal_newlines, bufsize, text, encoding, errors)
        what = f"run shell command {cmd!r}" if self.get_debug() else ""
        options = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "shell": True, **kwargs}
        return await self._run_program(protocol_factory, cmd, what, options)

    async def _run_program(
        self, protocol_factory: Callable[[], _P], args: Any, what: str, options: dict[str, Any]
    ) -> tuple[asyncio.SubprocessTransport, _P]:
        protocol = protocol_factory()
        if what:
            pipes = " ".join(f"{name}={_shown(options[name])}" for name in ("stdin", "stdout", "stderr"))
            logger.debug("%s %s", what, pipes)
        transport = await self._make_subprocess_transport(protocol, args, **options)
        if what:
            logger.info("%s: %r", what, transport)
        return transport, protocol

    async def _make_subprocess_transport(
        self, protocol: Any, args: Any, extra: dict[str, Any] | None = None, **options: Any
    ) -> SubprocessTransport:
        waiter: asyncio.Future[None] = self.create_future()
        transport = SubprocessTransport(self, protocol, waiter, extra)
        transport._start(args, bufsize=0, **options)
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except GeneratorExit:
            transport.close()  # its loop has gone: nothing can be waited for
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport

    def close(self) -> None:
        """Close the loop; children go on, unwatched. Counterpart: :meth:`asyncio.loop.close`."""
        was_closed = self.is_closed()
        super().close()
        if was_closed:
            return
        spawner, self._spawner = self._spawner, None
        if spawner is not None and self._spawner_process == os.getpid():
            spawner.close()
        for transport in self._starting.values():
            close_pipes(transport._proc)
        self._starting.clear()
        watched, self._watched = self._watched, {}
        for pidfd, transport in watched.items():
            transport._pidfd = -1
            os.close(pidfd)

    # Starting.

    def _spawn_child(self, transport: SubprocessTransport, command: tuple[Any, ...]) -> None:
        if self._spawner is None or self._spawner_process != os.getpid():
            self._spawner, self._spawner_process = _native.Spawner(), os.getpid()
            self._add_reader(self._spawner.fileno(), self._children_started)
        self._starting[self._spawner.submit(*command)] = transport

    def _children_started(self) -> None:
        assert self._spawner is not None
        for number, pid, pidfd, stage, error in self._spawner.take():
            # At once: of a callback that a closing loop drops, a child would be left.
            transport = self._starting.pop(number)
            if stage is None:
                transport._started(pid, pidfd)
            else:
                transport._not_started(transport._proc.failure(stage, error))

    def _spawn_child_by_call(self, transport: SubprocessTransport, call: Callable[[], Any]) -> None:
        """Have `call()` start the process, which then is the transport's Popen object's."""

        def start() -> None:
            try:
                call()
            except BaseException as failure:
                tell = partial(transport._not_started, failure)
            else:
                tell = partial(self._child_started_by_call, transport)
            with suppress(RuntimeError):  # the loop was closed
                self.call_soon_threadsafe(tell)

        _native.Spawner.call(start)

    def _child_started_by_call(self, transport: SubprocessTransport) -> None:
        pid = transport._proc.pid
        transport._started(pid, self._open_pidfd(pid))

    # Watching.

    def _open_pidfd(self, pid: int) -> int:
        if USES_PIDFD:
            with suppress(OSError):
                return os.pidfd_open(pid)
        return -1

    def _watch_child(self, transport: SubprocessTransport, pid: int, pidfd: int) -> None:
        """Have transport._reap() called when the process has ended."""
        if pidfd != -1 and USES_PIDFD:
            self._watched[pidfd] = transport
            self._add_reader(pidfd, self._child_ended, pidfd)
            return
        if pidfd != -1:
            transport._pidfd = -1
            os.close(pidfd)
        name = f"tideloop-wait-{pid}"
        threading.Thread(target=_wait_for, args=(self, transport, pid), name=name, daemon=True).start()

    def _child_ended(self, pidfd: int) -> None:
        transport = self._watched.pop(pidfd)
        self._remove_reader(pidfd)
        os.close(pidfd)
        transport._reap()


def _wait_for(loop: Children, transport: SubprocessTransport, pid: int) -> None:
    """On a thread: wait for the end of a process, and leave it to the loop to take its status."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with suppress(RuntimeError):  # the loop was closed
        loop.call_soon_threadsafe(transport._reap)


def _check_options(
    universal_newlines: bool, bufsize: int, text: bool | None, encoding: str | None, errors: str | None
) -> None:
    if universal_newlines:
        raise ValueError("universal_newlines must be False")
    if bufsize != 0:
        raise ValueError("bufsize must be 0")
    if text:
        raise ValueError("text must be False")
    if encoding is not None:
        raise ValueError("encoding must be None")
    if errors is not None:
        raise ValueError("errors must be None")


def _shown(what: Any) -> str:
    return {subprocess.PIPE: "<pipe>", subprocess.STDOUT: "<stdout>", None: "inherited"}.get(what) or repr(what)
