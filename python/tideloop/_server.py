"""What create_server() returns: the listening sockets, and the connections that came through them."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["Server"]


class Server(asyncio.Server):
    """A server that listens on one or more sockets; made by ``loop.create_server()``.

    The stdlib's own class does the bookkeeping (sockets, close, start_serving, serve_forever, wait_closed), so that
    each follows the rule of the running Python version; the loop does the listening (``_start_serving``), and
    what is here makes the connections known on every version: 3.11 and 3.12 only count them.

    Counterpart: :class:`asyncio.Server`.
    """

    # Weak, so that a transport which nobody refers to any more is still found out and reported.
    _clients: weakref.WeakSet[asyncio.Transport]
    _active_count: int

    # The stdlib's: None once closed, and once the waiters of wait_closed() have been woken.
    _sockets: list[socket.socket] | None
    _waiters: list[asyncio.Future[None]] | None
    _wakeup: Callable[[], None]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._clients = weakref.WeakSet()
        self._active_count = 0

    def close_clients(self) -> None:
        """Close every connection, each after it has sent what it still holds.

        Counterpart: :meth:`asyncio.Server.close_clients` (3.13).
        """
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """Drop every connection at once, with what it still holds.

        Counterpart: :meth:`asyncio.Server.abort_clients` (3.13).
        """
        for transport in list(self._clients):
            transport.abort()

    def _attach(self, transport: asyncio.Transport | None = None) -> None:
        """Called by each new connection; below 3.13 the stdlib calls it without an argument."""
        self._active_count += 1
        if transport is not None:
            self._clients.add(transport)

    def _detach(self, transport: asyncio.Transport | None = None) -> None:
        """Called by each connection when it has ended."""
        self._active_count -= 1
        if transport is not None:
            self._clients.discard(transport)
        # A transport that was forgotten and collected is in the count for ever, but no more among the clients.
        last = self._active_count == 0 or (transport is not None and not self._clients)
        if last and self._sockets is None and self._waiters is not None:
            self._wakeup()
