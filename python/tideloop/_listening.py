"""Servers over TCP: from host names to listening sockets."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
from asyncio.log import logger
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from . import _native
from ._connections import BINDS_AS_313, Connections, bind_error, check_tls_timeouts
from ._server import Server
from ._sock_calls import check_no_ssl_socket

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Listening", "set_reuse_port"]

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_AddrInfo = tuple[Any, Any, int, str, Any]  # family, type, protocol, canonical name, address


class Listening(Connections):
    """Mixin: create_server."""

    __slots__ = ()

    # descriptor of a listening socket → what accepts on it
    _listeners: dict[int, _native.Listener]

    def __init__(self) -> None:
        super().__init__()
        self._listeners = {}

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Iterable[str] | None = None,
        port: int | None = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: SSLContext | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Server:
        """Listen on *port* of *host* (several hosts: each; None or "": every interface, IPv4 and IPv6), or on *sock*.

        *reuse_address* defaults to True. *keep_alive* is asyncio's from 3.13 on, and understood here on every version.
        Raises ValueError for arguments that contradict each other, OSError if an address cannot be bound.
        Counterpart: :meth:`asyncio.loop.create_server`.
        """
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        check_tls_timeouts(ssl is not None, ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock is not None:
            check_no_ssl_socket(sock)
        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            infos = await self._resolve_hosts(host, port, family, flags)
            options = _listening_options(reuse_address is None or reuse_address, bool(keep_alive))
            sockets = self._bind_all(infos, options, bool(reuse_port))
        elif sock is None:
            raise ValueError("Neither host/port nor sock were specified")
        elif sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        else:
            sockets = [sock]

        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        return await self._serve(sockets, protocol_factory, ssl, backlog, timeouts, start_serving)

    async def _serve(
        self,
        sockets: list[socket.socket],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        ssl: SSLContext | None,
        backlog: int,
        ssl_timeouts: tuple[float | None, float | None],
        start_serving: bool,
    ) -> Server:
        """A server on bound sockets. From here on they are its own."""
        for listening in sockets:
            listening.setblocking(False)
        server = Server(self, sockets, protocol_factory, ssl, backlog, *ssl_timeouts)
        if start_serving:
            try:
                await server.start_serving()
            except BaseException:
                server.close()
                raise
        if self.get_debug():
            logger.info("%r is serving", server)
        return server

    # What asyncio.Server calls to begin and end listening.

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: SSLContext | None = None,
        server: Server | None = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        if sslcontext is not None:
            protocol_factory = self._tls_server_factory(
                protocol_factory, sslcontext, ssl_handshake_timeout, ssl_shutdown_timeout
            )
        self._listeners[sock.fileno()] = _native.Listener(self, sock, protocol_factory, server, backlog)

    def _stop_serving(self, sock: socket.socket) -> None:
        listener = self._listeners.pop(sock.fileno(), None)
        if listener is not None:
            listener.close()
        sock.close()

    async def _resolve_hosts(
        self, host: str | Iterable[str] | None, port: int | None, family: int, flags: int
    ) -> list[_AddrInfo]:
        """The addresses of all hosts, each once."""
        hosts: list[Any]
        if host == "":
            hosts = [None]
        elif isinstance(host, str) or not isinstance(host, Iterable):
            hosts = [host]
        else:
            hosts = list(host)
        found = await asyncio.gather(*(self._resolve_address((one, port), family=family, flags=flags) for one in hosts))
        for one, infos in zip(hosts, found, strict=True):
            if not infos:
                raise OSError(f"getaddrinfo({one!r}) returned empty list")
        return list(dict.fromkeys(itertools.chain.from_iterable(found)))

    def _bind_all(
        self, infos: list[_AddrInfo], options: list[tuple[int, int]], reuse_port: bool
    ) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for family, kind, proto, _, address in infos:
                try:
                    sock = socket.socket(family, kind, proto)
                except OSError as error:
                    # asyncio takes that for a family which the kernel lacks, too, and serves nobody.
                    if error.errno in _OUT_OF_RESOURCES:
                        raise
                    # The kernel lacks this family.
                    if self.get_debug():
                        logger.warning(
                            "create_server() failed to create socket.socket(%r, %r, %r)",
                            family,
                            kind,
                            proto,
                            exc_info=True,
                        )
                    continue
                sockets.append(sock)
                for level_option in options:
                    sock.setsockopt(*level_option, True)
                if reuse_port and family in (socket.AF_INET, socket.AF_INET6):
                    set_reuse_port(sock)
                if family == socket.AF_INET6:
                    # IPv4 gets a socket of its own; a dual-stack one would take its port.
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
                skipped = _bind_listening(sock, address)
                if skipped is not None:
                    sockets.pop().close()
                    if self.get_debug():
                        logger.warning(skipped)
            if not sockets and BINDS_AS_313:
                raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        return sockets


def _listening_options(reuse_address: bool, keep_alive: bool) -> list[tuple[int, int]]:
    options = []
    if reuse_address:
        options.append((socket.SOL_SOCKET, socket.SO_REUSEADDR))
    if keep_alive:
        options.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    return options


def set_reuse_port(sock: socket.socket) -> None:
    option = getattr(socket, "SO_REUSEPORT", None)
    if option is None:
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    except OSError:
        raise ValueError(
            "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented."
        ) from None


def _bind_listening(sock: socket.socket, address: Any) -> str | None:
    """Bind, or raise; the reason as text if the address is one to pass over."""
    try:
        sock.bind(address)
    except OSError as error:
        failure = bind_error(error, address)
        if error.errno == errno.EADDRNOTAVAIL and BINDS_AS_313:
            return str(failure.strerror)
        raise failure from None
    return None
