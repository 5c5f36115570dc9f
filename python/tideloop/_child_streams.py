"""Child processes whose standard streams are Tideloop's readers and writers."""

from __future__ import annotations

import asyncio
import asyncio.subprocess
from asyncio.subprocess import SubprocessStreamProtocol as _Protocol
from os import PathLike
from typing import IO, TYPE_CHECKING, Any

from .streams import StreamReader, StreamWriter

__all__ = ["Process", "SubprocessStreamProtocol", "create_subprocess_exec", "create_subprocess_shell"]

if TYPE_CHECKING:

    class Process(asyncio.subprocess.Process):
        """asyncio's, with streams of ours."""

        stdin: StreamWriter | None
        stdout: StreamReader | None
        stderr: StreamReader | None
else:
    from asyncio.subprocess import Process

_File = int | IO[Any] | None
_Word = str | bytes | PathLike[str] | PathLike[bytes]

#: How many bytes a line of a child's output may have, by default.
_LIMIT = 2**16


class SubprocessStreamProtocol(_Protocol):
    """What stands between a child process's transport and its streams.

    Counterpart: :class:`asyncio.subprocess.SubprocessStreamProtocol`.
    """

    stdin: StreamWriter | None
    stdout: StreamReader | None
    stderr: StreamReader | None
    _limit: int
    _loop: asyncio.AbstractEventLoop
    _pipe_fds: list[int]

    def connection_made(self, transport: Any) -> None:
        """Make the streams, each for a pipe that there is."""
        self._transport = transport
        self.stdout = self._reader(1)
        self.stderr = self._reader(2)
        stdin = transport.get_pipe_transport(0)
        if stdin is not None:
            self.stdin = StreamWriter(stdin, protocol=self, reader=None, loop=self._loop)

    def _reader(self, fd: int) -> StreamReader | None:
        pipe = self._transport.get_pipe_transport(fd)
        if pipe is None:
            return None
        reader = StreamReader(limit=self._limit, loop=self._loop)
        reader.set_transport(pipe)
        self._pipe_fds.append(fd)
        return reader


async def create_subprocess_shell(
    cmd: str | bytes, stdin: _File = None, stdout: _File = None, stderr: _File = None, limit: int = _LIMIT, **kwds: Any
) -> Process:
    """Start the shell with the command *cmd* and return its :class:`asyncio.subprocess.Process`.

    *stdin*, *stdout*, *stderr*: PIPE, DEVNULL, STDOUT, a file or a descriptor, None to share ours. *limit*: bytes that
    a reader buffers. *kwds*: as for :class:`subprocess.Popen`. Raises OSError, ValueError.
    Counterpart: :func:`asyncio.create_subprocess_shell`.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_shell(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop), cmd, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


async def create_subprocess_exec(
    program: _Word,
    *args: _Word,
    stdin: _File = None,
    stdout: _File = None,
    stderr: _File = None,
    limit: int = _LIMIT,
    **kwds: Any,
) -> Process:
    """Start *program* with the arguments *args* and return its :class:`asyncio.subprocess.Process`.

    *stdin*, *stdout*, *stderr*: PIPE, DEVNULL, STDOUT, a file or a descriptor, None to share ours. *limit*: bytes that
    a reader buffers. *kwds*: as for :class:`subprocess.Popen`. Raises OSError, ValueError.
    Counterpart: :func:`asyncio.create_subprocess_exec`.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=limit, loop=loop),
        program,
        *args,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        **kwds,
    )
    return Process(transport, protocol, loop)
