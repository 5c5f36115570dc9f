"""Connections and servers over Unix sockets: from a path, or an abstract name, to a transport."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from asyncio.log import logger
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ._connections import check_tls_timeouts
from ._listening import Listening
from ._server import Server
from ._sock_calls import check_no_ssl_socket

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["UnixSockets", "remove_stale_socket"]

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# asyncio removes a server's socket file from 3.13 on; before, it has no such argument and leaves the file.
_CLEANUP_DEFAULT = sys.version_info >= (3, 13)


class UnixSockets(Listening):
    """Mixin: create_unix_connection and create_unix_server."""

    __slots__ = ()

    # a listening socket whose file is to be removed → the file's device and inode
    _socket_files: dict[socket.socket, tuple[int, int]]

    def __init__(self) -> None:
        super().__init__()
        self._socket_files = {}

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _P],
        path: _Path | None = None,
        *,
        ssl: bool | SSLContext | None = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect to the Unix socket *path*, or take over the connected one *sock*; return (transport, protocol).

        A *path* that begins with a zero byte is an abstract name. The timeouts are in seconds.
        Raises ValueError for arguments that contradict each other, OSError if nobody listens.
        Counterpart: :meth:`asyncio.loop.create_unix_connection`.
        """
        if ssl and server_hostname is None:
            raise ValueError("you have to pass server_hostname when using ssl")
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        check_tls_timeouts(bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = await self._connect_unix(os.fspath(path))
        elif sock is None:
            raise ValueError("no path and sock were specified")
        else:
            _check_unix_stream(sock)
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._take_socket(sock, protocol_factory, ssl, server_hostname, False, timeouts)

    async def create_unix_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: _Path | None = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        cleanup_socket: bool = _CLEANUP_DEFAULT,
    ) -> Server:
        """Listen on the Unix socket *path*, after removing a stale one from there, or on the bound *sock*.

        A *path* that begins with a zero byte is an abstract name. *cleanup_socket*: remove the file when the server
        closes, unless another one has taken its place; by default as the running asyncio, which does so from 3.13 on
        (and has the argument only there). The timeouts are in seconds.
        Raises ValueError for arguments that contradict each other, OSError if the path cannot be bound.
        Counterpart: :meth:`asyncio.loop.create_unix_server`.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        check_tls_timeouts(bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if path is not None:
            if sock is not None:
                raise ValueError("path and sock can not be specified at the same time")
            sock = _bind_unix(os.fspath(path))
        elif sock is None:
            raise ValueError("path was not specified, and no sock specified")
        else:
            _check_unix_stream(sock)
        if cleanup_socket:
            self._note_socket_file(sock)
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._serve([sock], protocol_factory, ssl, backlog, timeouts, start_serving)

    async def _connect_unix(self, path: str | bytes) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self.sock_connect(sock, path)
        except BaseException:
            sock.close()
            raise
        return sock

    def _note_socket_file(self, sock: socket.socket) -> None:
        path = sock.getsockname()
        if path and not _is_abstract(path):
            with suppress(FileNotFoundError):
                self._socket_files[sock] = _identity(path)

    def _stop_serving(self, sock: socket.socket) -> None:
        ours = self._socket_files.pop(sock, None)
        if ours is None:
            super()._stop_serving(sock)
            return
        path = sock.getsockname()
        super()._stop_serving(sock)
        try:
            if _identity(path) == ours:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("Unable to clean up listening UNIX socket %r: %r", path, error)


def remove_stale_socket(path: str | bytes) -> None:
    """Remove what an earlier program has left at *path*, if it is a socket; what hinders is logged."""
    if _is_abstract(path):
        return
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        # The directory may let one make sockets, and not look at them.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, error)


def _bind_unix(path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_stale_socket(path)
        sock.bind(path)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def _check_unix_stream(sock: socket.socket) -> None:
    check_no_ssl_socket(sock)
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")


def _is_abstract(path: Any) -> bool:
    return path[:1] in ("\0", b"\0")


def _identity(path: str | bytes) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino
