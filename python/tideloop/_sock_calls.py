"""sock_connect(): the one of the sock_* methods that looks up names. The others are native."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import Any

from ._resolver import Resolver

__all__ = ["SockCalls", "check_no_ssl_socket"]

# asyncio takes such a connection for made, and its first read fails; a blocking connect() waits, and so does ours.
CONNECT_AGAIN_AFTER_S = 0.001
CONNECT_AGAIN_AFTER_S_MAX = 0.05


class SockCalls(Resolver):
    """Mixin: sock_connect."""

    __slots__ = ()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect *sock* to *address*; a host name in it is looked up first.

        Raises OSError as ``socket.connect`` does, TypeError for an SSLSocket, in debug mode ValueError for a blocking
        socket. Counterpart: :meth:`asyncio.loop.sock_connect`.
        """
        self._check_sock(sock)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            resolved = await self._resolve_address(address, family=sock.family, type=sock.type, proto=sock.proto)
            address = resolved[0][4]
        delay = CONNECT_AGAIN_AFTER_S
        while True:
            try:
                return sock.connect(address)
            except (BlockingIOError, InterruptedError) as exc:
                if exc.errno != errno.EAGAIN or sock.family != socket.AF_UNIX:
                    break
            # A Unix listener whose backlog is full: nothing has begun, and nobody tells when there is room.
            await asyncio.sleep(delay)
            delay = min(delay * 2, CONNECT_AGAIN_AFTER_S_MAX)
        # Interrupted or not, the connection is being made in the background.
        await self._sock_connected(sock, address)

    def _check_sock(self, sock: socket.socket) -> None:
        check_no_ssl_socket(sock)
        if self.get_debug() and sock.gettimeout() != 0:
            raise ValueError("the socket must be non-blocking")


def check_no_ssl_socket(sock: socket.socket) -> None:
    """Raise TypeError for an ssl.SSLSocket: it does its own waiting."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(sock, ssl.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")
