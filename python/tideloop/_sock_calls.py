"""The sock_* coroutines: system calls on the caller's own non-blocking sockets.

Each tries its call, and waits for the descriptor only where the call would block. The call is made by the coroutine
itself, never by the callback that says "ready": a cancelled sock_recv() has taken no data, a cancelled sock_accept()
no connection.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ._resolver import Resolver

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["SockCalls", "check_no_ssl_socket"]

_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class SockCalls(Resolver):
    """Mixin: sock_recv and its relatives."""

    __slots__ = ()

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        """Receive at most *nbytes* bytes from a connected socket; empty at its end.

        Raises OSError as ``socket.recv`` does, TypeError for an SSLSocket, in debug mode ValueError for a blocking
        socket. Counterpart: :meth:`asyncio.loop.sock_recv`.
        """
        self._check_sock(sock)
        while True:
            try:
                return sock.recv(nbytes)
            except _WOULD_BLOCK:
                await self._wait_readable(sock)

    async def sock_recv_into(self, sock: socket.socket, buf: WriteableBuffer) -> int:
        """Receive into the writable buffer *buf*; return the number of bytes, 0 at the end.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_recv_into`.
        """
        self._check_sock(sock)
        while True:
            try:
                return sock.recv_into(buf)
            except _WOULD_BLOCK:
                await self._wait_readable(sock)

    async def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> tuple[bytes, Any]:
        """Receive one datagram of at most *bufsize* bytes; return it and its sender's address.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_recvfrom`.
        """
        self._check_sock(sock)
        while True:
            try:
                return sock.recvfrom(bufsize)
            except _WOULD_BLOCK:
                await self._wait_readable(sock)

    async def sock_recvfrom_into(self, sock: socket.socket, buf: WriteableBuffer, nbytes: int = 0) -> tuple[int, Any]:
        """Receive one datagram into *buf*, at most *nbytes* of it (0: as much as fits); return size and sender.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_recvfrom_into`.
        """
        self._check_sock(sock)
        while True:
            try:
                return sock.recvfrom_into(buf, nbytes)
            except _WOULD_BLOCK:
                await self._wait_readable(sock)

    async def sock_sendall(self, sock: socket.socket, data: ReadableBuffer) -> None:
        """Send all of *data* on a connected socket; after an error nobody knows how much of it was sent.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_sendall`.
        """
        self._check_sock(sock)
        with memoryview(data) as given, given.cast("B") as view:
            sent = 0
            while True:
                with suppress(*_WOULD_BLOCK):
                    sent += sock.send(view[sent:])
                if sent == len(view):
                    return
                await self._wait_writable(sock)

    async def sock_sendto(self, sock: socket.socket, data: ReadableBuffer, address: Any) -> int:
        """Send *data* as one datagram to *address*; return its size in bytes.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_sendto`.
        """
        self._check_sock(sock)
        while True:
            try:
                return sock.sendto(data, address)
            except _WOULD_BLOCK:
                await self._wait_writable(sock)

    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection on a listening socket; return a non-blocking socket and the peer's address.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_accept`.
        """
        self._check_sock(sock)
        while True:
            try:
                connection, address = sock.accept()
            except _WOULD_BLOCK:
                await self._wait_readable(sock)
            else:
                connection.setblocking(False)
                return connection, address

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect *sock* to *address*; a host name in it is looked up first.

        Raises as sock_recv(). Counterpart: :meth:`asyncio.loop.sock_connect`.
        """
        self._check_sock(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            resolved = await self._resolve_address(address, family=sock.family, type=sock.type, proto=sock.proto)
            address = resolved[0][4]
        try:
            sock.connect(address)
        except _WOULD_BLOCK:
            # Interrupted or not, the connection is being made in the background: writable means it is decided.
            await self._wait_writable(sock)
            errno = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if errno != 0:
                raise OSError(errno, f"Connect call failed {address}") from None

    def _check_sock(self, sock: socket.socket) -> None:
        check_no_ssl_socket(sock)
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")

    async def _wait_readable(self, sock: socket.socket) -> None:
        await self._wait_ready(sock, self._add_reader, self._remove_reader)

    async def _wait_writable(self, sock: socket.socket) -> None:
        await self._wait_ready(sock, self._add_writer, self._remove_writer)

    async def _wait_ready(
        self, sock: socket.socket, add: Callable[..., asyncio.Handle], remove: Callable[[int], bool]
    ) -> None:
        """Wait until *sock* is ready; whoever comes last for a descriptor has its registration, as on asyncio."""
        fd = sock.fileno()
        self._attach_transport_check(fd)
        ready: asyncio.Future[None] = self.create_future()
        watch = add(fd, _set_ready, ready)
        try:
            await ready
        finally:
            # The registration goes before anybody can close the descriptor and the kernel give its number to another.
            # A cancelled handle says that it has gone already, or belongs to somebody else by now.
            if not watch.cancelled() and not self.is_closed():
                remove(fd)


def check_no_ssl_socket(sock: socket.socket) -> None:
    """Raise TypeError for an ssl.SSLSocket: it does its own waiting."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")


def _set_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
