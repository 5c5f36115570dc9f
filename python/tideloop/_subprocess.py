"""The transport of a child process: its pipes, its signals, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import warnings
from asyncio.log import logger
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from ._child import Child, close_pipes

if TYPE_CHECKING:
    from ._children import Children

__all__ = ["SubprocessTransport"]

_POPEN = subprocess.Popen

# What asyncio reports of a child that somebody else has waited for.
_STATUS_UNKNOWN = 255


class SubprocessTransport(asyncio.SubprocessTransport):
    """A child process and its pipes. Counterpart: asyncio's transport of subprocess_exec().

    It is made while the program is started elsewhere; :meth:`_started` or :meth:`_not_started` tells how that went,
    whoever waits for it by then. The protocol hears of nothing before its connection_made(), and of connection_lost()
    when the process has ended and every pipe is closed.
    """

    _extra: dict[str, Any]

    def __init__(
        self,
        loop: Children,
        protocol: asyncio.SubprocessProtocol,
        waiter: asyncio.Future[None],
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(extra)
        self._loop: Children | None = loop
        self._protocol: Any = protocol
        self._waiter = waiter
        self._closed = False
        self._finished = False
        self._proc: Any = None
        self._pid: int | None = None
        self._pidfd = -1
        self._returncode: int | None = None
        self._ended = False  # or never begun: nothing is left to wait for
        self._exit_waiters: set[asyncio.Future[int | None]] = set()
        # Calls to the protocol that wait for its connection_made(); None after that.
        self._pending_calls: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = []
        self._pipes: dict[int, WritePipeProtocol | None] = {}

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._closed:
            info.append("closed")
        if self._pid is not None:
            info.append(f"pid={self._pid}")
        if self._returncode is not None:
            info.append(f"returncode={self._returncode}")
        else:
            info.append("not started" if self._pid is None else "running")
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            if (pipe := self._pipes.get(fd)) is not None:
                info.append(f"{name}={pipe.pipe}")
        return f"<{' '.join(info)}>"

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not self._closed:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self.close()

    # The program is started.

    def _start(self, args: Any, stdin: Any, stdout: Any, stderr: Any, **options: Any) -> None:
        """Check and prepare everything, and have the program started."""
        assert self._loop is not None
        self._pipes = {fd: None for fd, what in enumerate((stdin, stdout, stderr)) if what == subprocess.PIPE}
        options.update(stdin=stdin, stdout=stdout, stderr=stderr, universal_newlines=False)
        try:
            if subprocess.Popen is _POPEN:
                self._proc = Child(self, args, **options)
            else:
                # Somebody has put another class in its place, and wants it used.
                self._proc = subprocess.Popen(args, **options)
                self._started(self._proc.pid, self._loop._open_pidfd(self._proc.pid))
        except BaseException:
            self._closed = self._ended = True
            raise

    def _spawn(self, *command: Any) -> None:
        assert self._loop is not None
        self._loop._spawn_child(self, command)

    def _spawn_by_call(self, call: Callable[[], Any]) -> None:
        assert self._loop is not None
        self._loop._spawn_child_by_call(self, call)

    def _started(self, pid: int, pidfd: int) -> None:
        """The program runs."""
        loop = self._loop
        assert loop is not None
        if isinstance(self._proc, Child):
            self._proc.started(pid)
        self._pid, self._pidfd = pid, pidfd
        self._extra["subprocess"] = self._proc
        loop._watch_child(self, pid, pidfd)
        if loop.get_debug():
            args = self._proc.args
            logger.debug("process %r created: pid %s", args if isinstance(args, bytes | str) else args[0], pid)
        if self._closed:
            # Nobody wants it any more.
            close_pipes(self._proc)
            self._kill()
        elif self._pipes:
            loop.create_task(self._connect_pipes(loop, [self._proc.stdin, self._proc.stdout, self._proc.stderr]))
        else:
            self._connected()

    def _not_started(self, error: BaseException) -> None:
        """There is no process."""
        self._closed = True
        close_pipes(self._proc)
        if not self._waiter.done():
            self._waiter.set_exception(error)
        self._end()
        self._release()

    async def _connect_pipes(self, loop: Children, files: list[IO[bytes] | None]) -> None:
        """Put transports on the parent's ends. The process may end, and the transport be closed, at any point."""
        try:
            for fd, file in enumerate(files):
                if file is None or self._closed:
                    continue
                protocol = ReadPipeProtocol(self, fd) if fd else WritePipeProtocol(self, fd)
                connect: Any = loop.connect_read_pipe if fd else loop.connect_write_pipe
                files[fd] = None
                _, self._pipes[fd] = await connect(lambda protocol=protocol: protocol, file)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if not self._waiter.done():
                self._waiter.set_exception(error)
            self.close()
        else:
            if not self._closed:
                self._connected()
                return
        finally:
            for file in files:
                if file is not None and self._closed:
                    file.close()
        # Closed meanwhile, by whoever was to wait for it.
        for pipe in self._pipes.values():
            if pipe is not None:
                pipe.pipe.close()

    def _connected(self) -> None:
        """Everything is there: the protocol hears of it, then of what has happened meanwhile."""
        assert self._loop is not None and self._pending_calls is not None
        self._loop.call_soon(self._protocol.connection_made, self)
        for callback, args in self._pending_calls:
            self._loop.call_soon(callback, *args)
        self._pending_calls = None
        if not self._waiter.done():
            self._waiter.set_result(None)

    # What the user may ask.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closed

    def get_pid(self) -> int | None:  # type: ignore[override]
        return self._pid

    def get_returncode(self) -> int | None:
        return self._returncode

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        pipe = self._pipes.get(fd)
        return None if pipe is None else pipe.pipe

    def send_signal(self, signal: int) -> None:
        """Raises ProcessLookupError when the transport has finished; a process that has just ended is left alone."""
        if self._proc is None or self._pid is None:
            raise ProcessLookupError
        if self._returncode is not None:
            return
        with suppress(ProcessLookupError):
            if self._pidfd != -1:
                # Even where somebody else has waited for it, nobody else is hit.
                _signal_by_pidfd(self._pidfd, signal)
            else:
                os.kill(self._pid, signal)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes, and kill the process if it runs."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            for pipe in self._pipes.values():
                if pipe is not None:
                    pipe.pipe.close()
        if self._pid is not None and self._returncode is None and self._proc.poll() is None:
            if self._loop is not None and self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            self._kill()

    def _kill(self) -> None:
        # It may be gone already, or run with another user's rights.
        with suppress(ProcessLookupError, PermissionError):
            self._proc.kill()

    # What happens to the process.

    def _call(self, callback: Callable[..., object], *args: Any) -> None:
        if self._pending_calls is not None:
            self._pending_calls.append((callback, args))
        else:
            assert self._loop is not None
            self._loop.call_soon(callback, *args)

    def _pipe_data_received(self, fd: int, data: bytes) -> None:
        if not self._finished:
            self._call(self._protocol.pipe_data_received, fd, data)

    def _pipe_connection_lost(self, fd: int, error: Exception | None) -> None:
        if self._finished:
            return  # closed before the protocol had heard of the process
        self._call(self._protocol.pipe_connection_lost, fd, error)
        self._try_finish()

    def _reap(self) -> None:
        """The process has ended: take its status, so that the kernel can forget it."""
        try:
            with self._proc._waitpid_lock:
                pid, status = os.waitpid(self._pid or 0, os.WNOHANG)
        except ChildProcessError:
            self._process_exited(self._status_of_others())
        else:
            if pid != 0:
                self._process_exited(os.waitstatus_to_exitcode(status))

    def _status_of_others(self) -> int:
        """The exit code of a process that somebody else has waited for."""
        if self._proc.returncode is not None:
            code: int = self._proc.returncode  # by means of the Popen object
            return code
        logger.warning(
            "child process pid %d exit status already read:  will report returncode %d", self._pid, _STATUS_UNKNOWN
        )
        return _STATUS_UNKNOWN

    def _process_exited(self, returncode: int) -> None:
        assert self._loop is not None
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._returncode, self._pidfd = returncode, -1
        if self._proc.returncode is None:
            self._proc.returncode = returncode
        self._call(self._protocol.process_exited)
        # First the loss, if all pipes are closed: who has waited then finds the transport finished.
        self._try_finish()
        self._end()

    async def _wait(self) -> int | None:
        """Wait for the end of the process; its return code."""
        if self._ended or self._loop is None:
            return self._returncode
        waiter: asyncio.Future[int | None] = self._loop.create_future()
        self._exit_waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._exit_waiters.discard(waiter)

    def _end(self) -> None:
        self._ended = True
        for waiter in self._exit_waiters:
            if not waiter.done():
                waiter.set_result(self._returncode)

    def _try_finish(self) -> None:
        if self._returncode is None or self._finished:
            return
        if self._closed and self._pending_calls is not None:
            # The protocol has never heard of the process, and will not.
            self._finished = True
            self._release()
        elif all(pipe is not None and pipe.disconnected for pipe in self._pipes.values()):
            self._finished = True
            self._call(self._call_connection_lost, None)

    def _call_connection_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._release()

    def _release(self) -> None:
        self._loop = self._proc = self._protocol = None


class WritePipeProtocol(asyncio.BaseProtocol):
    """Between the transport of a process and that of its standard input."""

    pipe: Any = None
    disconnected = False

    def __init__(self, process: SubprocessTransport, fd: int) -> None:
        self.process: SubprocessTransport | None = process
        self.fd = fd

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fd} pipe={self.pipe!r}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pipe = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.disconnected = True
        process, self.process = self.process, None
        if process is not None:
            process._pipe_connection_lost(self.fd, exc)

    def pause_writing(self) -> None:
        if self.process is not None:
            self.process._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self.process is not None:
            self.process._protocol.resume_writing()


class ReadPipeProtocol(WritePipeProtocol, asyncio.Protocol):
    """The same for what the process writes."""

    def data_received(self, data: bytes) -> None:
        if self.process is not None:
            self.process._pipe_data_received(self.fd, data)


def _signal_by_pidfd(pidfd: int, number: int) -> None:
    signal.pidfd_send_signal(pidfd, number)
