"""Files over sockets: sendfile() over a transport, sock_sendfile() over a plain socket.

The kernel copies from the file to the socket where it can: one system call takes as much as the socket has room for,
and the loop tells when there is room again. Where it cannot (TLS, a file that is only in memory) the file is read in a
thread of the default executor and written.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import socket
import sys
from asyncio import constants
from collections.abc import Awaitable
from typing import IO, Any, Protocol

from . import _native
from ._sock_calls import SockCalls

__all__ = ["Sendfile"]

# One system call sends at most this much, about 0.4 ms of copying: then others have their turn.
SEND_BYTES_PER_CALL_MAX = 1024 * 1024

# From 3.14 on, where the file stands does not matter with offset 0 either, and it is set also where nothing was sent.
_SEEKS_ALWAYS = sys.version_info >= (3, 14)

_MODES = constants._SendfileMode


class _Receiver(Protocol):
    """The socket that a file goes to."""

    def fileno(self) -> int: ...
    def wait(self) -> Awaitable[None]: ...


class Sendfile(SockCalls):
    """Mixin: sendfile and sock_sendfile."""

    __slots__ = ()

    async def sendfile(
        self,
        transport: asyncio.WriteTransport,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool = True,
    ) -> int:
        """Send *file*, open in binary mode, over *transport*; return the number of bytes sent.

        From byte *offset* on, *count* bytes or (None) all to the end. Meanwhile nothing is received, and write() is
        a RuntimeError where the kernel copies. The file's position is behind the last byte sent, also after an
        error. With *fallback* false only the kernel may copy.
        Raises RuntimeError where the transport closes or cannot send files at all, SendfileNotAvailableError or
        RuntimeError where the kernel cannot and *fallback* is false, ConnectionError if the connection is lost.
        Counterpart: :meth:`asyncio.loop.sendfile`.
        """
        if transport.is_closing():
            raise RuntimeError("Transport is closing")
        mode = getattr(transport, "_sendfile_compatible", _MODES.UNSUPPORTED)
        if mode is _MODES.UNSUPPORTED:
            raise RuntimeError(f"sendfile is not supported for transport {transport!r}")
        if mode is _MODES.TRY_NATIVE:
            try:
                return await self._sendfile_native(transport, file, offset, count)
            except asyncio.SendfileNotAvailableError:
                if not fallback:
                    raise
        if not fallback:
            raise RuntimeError(f"fallback is disabled and native sendfile is not supported for transport {transport!r}")
        return await self._sendfile_fallback(transport, file, offset, count)

    async def sock_sendfile(
        self,
        sock: socket.socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int:
        """Send *file*, open in binary mode, over the connected stream socket *sock*; return the bytes sent.

        *offset*, *count* and the file's position as for sendfile().
        Raises ValueError for a file in text mode, a socket of another kind, and in debug mode a blocking one;
        TypeError for an SSLSocket; SendfileNotAvailableError where the kernel cannot and *fallback* is false.
        Counterpart: :meth:`asyncio.loop.sock_sendfile`.
        """
        self._check_sock(sock)
        _check_file(sock.type, file, offset, count)
        try:
            return await self._sock_sendfile_native(sock, file, offset, count)
        except asyncio.SendfileNotAvailableError:
            if not fallback:
                raise
        return await self._sock_sendfile_fallback(sock, file, offset, count)

    # The names of the four below are asyncio's: CPython's tests put their own in the place of the first.

    async def _sendfile_native(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        if not isinstance(transport, _native.SocketTransport):
            raise asyncio.SendfileNotAvailableError(f"the kernel cannot send files over {transport!r}")
        reading = transport.is_reading()
        transport.pause_reading()
        written = transport._make_empty_waiter()
        try:
            await written
            receiver = _TransportReceiver(transport)
            _check_file(socket.SOCK_STREAM, file, offset, count)
            return await _send_by_kernel(receiver, file, offset, count)
        finally:
            transport._reset_empty_waiter()
            if reading:
                transport.resume_reading()

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        return await _send_by_kernel(_SocketReceiver(self, sock), file, offset, count)

    async def _sendfile_fallback(self, transport: Any, file: Any, offset: int, count: int | None) -> int:
        writer = _FallbackProtocol(self, transport)
        sent = 0
        _seek(file, offset)
        try:
            buffer = bytearray(_block_bytes(count))
            while room := _room(buffer, sent, count):
                read = await self.run_in_executor(None, file.readinto, room)
                if not read:
                    break
                await writer.drain()
                transport.write(room[:read])
                sent += read
            return sent
        finally:
            _set_position(file, offset, sent)
            writer.restore()

    async def _sock_sendfile_fallback(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        sent = 0
        _seek(file, offset)
        try:
            buffer = bytearray(_block_bytes(count))
            while room := _room(buffer, sent, count):
                read = await self.run_in_executor(None, file.readinto, room)
                if not read:
                    break
                await self.sock_sendall(sock, room[:read])
                sent += read
            return sent
        finally:
            _set_position(file, offset, sent)


class _SocketReceiver:
    """A socket of the caller's."""

    def __init__(self, loop: SockCalls, sock: socket.socket) -> None:
        self._loop, self._sock = loop, sock

    def fileno(self) -> int:
        return self._sock.fileno()

    def wait(self) -> Awaitable[None]:
        return self._loop._wait_writable(self._sock)


class _TransportReceiver:
    """The socket of a transport, which may close at any time and its descriptor's number be somebody else's."""

    def __init__(self, transport: _native.SocketTransport) -> None:
        self._transport = transport

    def fileno(self) -> int:
        if self._transport.is_closing():
            raise ConnectionError("the transport was closed while a file was being sent")
        return self._transport._sock_fd

    def wait(self) -> Awaitable[None]:
        return self._transport._make_writable_waiter()


async def _send_by_kernel(receiver: _Receiver, file: Any, offset: int, count: int | None) -> int:
    file_fd, size = _regular_file(file)
    if not (size if count is None else count):
        return 0
    sent = 0
    try:
        while count is None or sent < count:
            wanted = SEND_BYTES_PER_CALL_MAX if count is None else min(count - sent, SEND_BYTES_PER_CALL_MAX)
            position = offset + sent
            fd = receiver.fileno()
            try:
                taken = os.sendfile(fd, file_fd, position, wanted)
            except (BlockingIOError, InterruptedError):
                await receiver.wait()
                continue
            except OSError as exc:
                if sent == 0:
                    # It may be the file, or the kernel, that cannot; if it is the socket, the fallback fails as well.
                    raise asyncio.SendfileNotAvailableError("os.sendfile call failed") from exc
                if exc.errno == errno.ENOTCONN:
                    raise ConnectionError("socket is not connected", errno.ENOTCONN) from exc
                raise
            if taken == 0:
                break
            sent += taken
            if sent == count:
                break
            if taken == wanted:
                await asyncio.sleep(0)
            elif position + taken < size:
                await receiver.wait()  # the socket is full
        return sent
    finally:
        if sent or _SEEKS_ALWAYS:
            os.lseek(file_fd, offset + sent, os.SEEK_SET)


def _regular_file(file: Any) -> tuple[int, int]:
    """The descriptor of a file that the kernel can send from, and its size in bytes."""
    try:
        fd = file.fileno()
        return fd, os.fstat(fd).st_size
    except (AttributeError, io.UnsupportedOperation, OSError):
        raise asyncio.SendfileNotAvailableError("not a regular file") from None


def _check_file(kind: int, file: Any, offset: Any, count: Any) -> None:
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    if kind != socket.SOCK_STREAM:
        raise ValueError("only SOCK_STREAM type sockets are supported")
    if count is not None:
        if not isinstance(count, int):
            raise TypeError(f"count must be a positive integer (got {count!r})")
        if count <= 0:
            raise ValueError(f"count must be a positive integer (got {count!r})")
    if not isinstance(offset, int):
        raise TypeError(f"offset must be a non-negative integer (got {offset!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")


def _block_bytes(count: int | None) -> int:
    largest: int = constants.SENDFILE_FALLBACK_READBUFFER_SIZE
    return min(count, largest) if count else largest


def _room(buffer: bytearray, sent: int, count: int | None) -> memoryview:
    """Where the next block is read to; empty when everything is sent."""
    return memoryview(buffer)[: len(buffer) if not count else min(count - sent, len(buffer))]


def _seek(file: Any, offset: int) -> None:
    """Go to where the fallback begins to read."""
    if hasattr(file, "seek") if _SEEKS_ALWAYS else offset:
        file.seek(offset)


def _set_position(file: Any, offset: int, sent: int) -> None:
    if sent > 0 and hasattr(file, "seek"):
        file.seek(offset + sent)


class _FallbackProtocol(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is read and written: it knows when the transport has room."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Any) -> None:
        self._loop, self._transport = loop, transport
        self._protocol = transport.get_protocol()
        self._resume_reading = transport.is_reading()
        self._was_paused = getattr(transport, "_protocol_paused", False)
        self._room: asyncio.Future[None] | None = loop.create_future() if self._was_paused else None
        transport.pause_reading()
        transport.set_protocol(self)

    async def drain(self) -> None:
        """Wait until the transport has room. Raises ConnectionError if the connection is lost."""
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        if self._room is not None:
            await self._room

    def restore(self) -> None:
        """Give the transport its own protocol back."""
        self._transport.set_protocol(self._protocol)
        if self._resume_reading:
            self._transport.resume_reading()
        paused, room = self._room is not None, self._room
        if room is not None and not room.cancel() and not room.cancelled():
            room.exception()  # nobody waited for it: whoever sends next learns that the connection is lost
        if self._was_paused and not paused:
            self._protocol.resume_writing()
        elif paused and not self._was_paused:
            self._protocol.pause_writing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        raise RuntimeError("Invalid state: connection should have been established already.")

    def data_received(self, data: bytes) -> None:
        raise RuntimeError("Invalid state: reading should be paused")

    def eof_received(self) -> bool | None:
        raise RuntimeError("Invalid state: reading should be paused")

    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_exception(exc or ConnectionError("Connection is closed by peer"))
        self._protocol.connection_lost(exc)
