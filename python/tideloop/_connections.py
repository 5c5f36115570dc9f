"""Connections over TCP: from a host name to a transport."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.log import logger
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import _native
from ._happy_eyeballs import connect_first, interleave_families
from ._server import Server
from ._sock_calls import check_no_ssl_socket
from ._tls import Tls

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["BINDS_AS_313", "Connections", "bind_error", "check_tls_timeouts"]

_AddrInfo = tuple[Any, Any, int, str, Any]  # family, type, protocol, canonical name, address
_P = TypeVar("_P", bound=asyncio.BaseProtocol)

# From 3.13 on, an address that this machine does not have is passed over as long as another one can be bound, and
# errors of bind() are quoted with their number.
BINDS_AS_313 = sys.version_info >= (3, 13)


class Connections(Tls):
    """Mixin: create_connection, connect_accepted_socket, and what puts a transport on a socket."""

    __slots__ = ()

    async def create_connection(
        self,
        protocol_factory: Callable[[], _P],
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: bool | SSLContext | None = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect to *host*:*port*, or take over the connected stream socket *sock*; return (transport, protocol).

        *happy_eyeballs_delay*: seconds before the next address is tried beside one that has not answered.
        *all_errors*: raise an ExceptionGroup of what every address failed with (asyncio: 3.12 and later).
        Raises ValueError for arguments that contradict each other, OSError if no address can be connected,
        socket.gaierror if the name is unknown. Counterpart: :meth:`asyncio.loop.create_connection`.
        """
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if server_hostname is None and ssl:
            # An empty name, given on purpose, switches the check of the name off.
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        check_tls_timeouts(bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        if sock is not None:
            check_no_ssl_socket(sock)
        if happy_eyeballs_delay is not None and interleave is None:
            interleave = 1

        if host is not None or port is not None:
            if sock is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            infos = await self._resolve_or_fail((host, port), family, proto, flags)
            local_infos = None
            if local_addr is not None:
                local_infos = await self._resolve_or_fail(local_addr, family, proto, flags)
            if interleave:
                infos = interleave_families(infos, interleave)
            sock = await self._connect_any(infos, local_infos, happy_eyeballs_delay, all_errors)
        elif sock is None:
            raise ValueError("host and port was not specified and no sock specified")
        elif sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")

        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        transport, protocol = await self._take_socket(sock, protocol_factory, ssl, server_hostname, False, timeouts)
        if self.get_debug():
            connected = transport.get_extra_info("socket")
            logger.debug("%r connected to %s:%r: (%r, %r)", connected, host, port, transport, protocol)
        return transport, protocol

    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _P],
        sock: socket.socket,
        *,
        ssl: bool | SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Serve a connection that was accepted elsewhere; return (transport, protocol). The transport owns *sock*.

        Raises ValueError unless *sock* is a stream socket.
        Counterpart: :meth:`asyncio.loop.connect_accepted_socket`.
        """
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        check_tls_timeouts(bool(ssl), ssl_handshake_timeout, ssl_shutdown_timeout)
        check_no_ssl_socket(sock)
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        transport, protocol = await self._take_socket(sock, protocol_factory, ssl, "", True, timeouts)
        if self.get_debug():
            accepted = transport.get_extra_info("socket")
            logger.debug("%r handled: (%r, %r)", accepted, transport, protocol)
        return transport, protocol

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Server | None = None,
    ) -> asyncio.Transport:
        self._attach_transport_check(sock.fileno())
        return _native.SocketTransport(self, sock, protocol, waiter, extra, server)

    async def _take_socket(
        self,
        sock: socket.socket,
        protocol_factory: Callable[[], _P],
        ssl: bool | SSLContext | None,
        server_hostname: str | None,
        server_side: bool,
        ssl_timeouts: tuple[float | None, float | None],
    ) -> tuple[asyncio.Transport, _P]:
        """Put a transport on a connected socket and wait for connection_made(). From here on the socket is ours."""
        try:
            sock.setblocking(False)
            protocol = protocol_factory()
            connected: asyncio.Future[None] = self.create_future()
            if ssl:
                transport = self._make_ssl_transport(
                    sock,
                    protocol,
                    None if isinstance(ssl, bool) else ssl,
                    connected,
                    server_side=server_side,
                    server_hostname=server_hostname,
                    ssl_handshake_timeout=ssl_timeouts[0],
                    ssl_shutdown_timeout=ssl_timeouts[1],
                )
            else:
                transport = self._make_socket_transport(sock, protocol, connected)
        except BaseException:
            sock.close()
            raise
        try:
            await connected
        except BaseException:
            transport.close()
            del connected  # the exception's traceback leads back to this frame
            raise
        return transport, protocol

    # Connecting.

    async def _resolve_or_fail(self, address: Any, family: int, proto: int, flags: int) -> list[_AddrInfo]:
        infos = await self._resolve_address(address, family=family, proto=proto, flags=flags)
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return infos

    async def _connect_any(
        self,
        infos: list[_AddrInfo],
        local_infos: list[_AddrInfo] | None,
        delay: float | None,
        all_errors: bool,
    ) -> socket.socket:
        """A socket connected to the first of *infos* that answers."""
        failures: list[list[OSError]] = []
        attempts = [partial(self._connect_one, failures, info, local_infos) for info in infos]
        try:
            if delay is not None:
                sock = await connect_first(self, attempts, delay)
                if sock is not None:
                    return sock
            else:
                for attempt in attempts:
                    try:
                        return await attempt()
                    except OSError:
                        continue
            raise _connection_error([failure for one in failures for failure in one], all_errors)
        finally:
            failures.clear()  # the exceptions' tracebacks lead back to this frame

    async def _connect_one(
        self, failures: list[list[OSError]], info: _AddrInfo, local_infos: list[_AddrInfo] | None
    ) -> socket.socket:
        """One attempt. Its socket has one owner, this coroutine, until it is connected, and is closed here if not."""
        mine: list[OSError] = []
        failures.append(mine)
        family, kind, proto, _, address = info
        sock = None
        try:
            sock = socket.socket(family, kind, proto)
            sock.setblocking(False)
            if local_infos is not None:
                _bind_local(sock, local_infos, mine)
            await self.sock_connect(sock, address)
            return sock
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, OSError):
                mine.append(error)
            raise
        finally:
            del failures, mine  # the exceptions' tracebacks lead back to this frame


def check_tls_timeouts(tls: bool, handshake: float | None, shutdown: float | None) -> None:
    if handshake is not None and not tls:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown is not None and not tls:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")


def bind_error(error: OSError, address: Any) -> OSError:
    reason = str(error) if BINDS_AS_313 else str(error.strerror)
    return OSError(error.errno, f"error while attempting to bind on address {address!r}: {reason.lower()}")


def _bind_local(sock: socket.socket, local_infos: list[_AddrInfo], failures: list[OSError]) -> None:
    """Bind to the first local address that works, of those in the socket's family."""
    for family, _, _, _, address in local_infos:
        if family != sock.family:
            continue
        try:
            sock.bind(address)
        except OSError as error:
            failures.append(bind_error(error, address))
        else:
            return
    if failures:
        raise failures.pop()
    raise OSError(f"no matching local address with family={sock.family!r} found")


def _connection_error(failures: list[OSError], all_errors: bool) -> Exception:
    """One exception for all that went wrong: the only one, the one that all say, or a summary."""
    if all_errors:
        return ExceptionGroup("create_connection failed", failures)
    if not failures:
        return TimeoutError("create_connection failed")
    if len({str(failure) for failure in failures}) == 1:
        return failures[0]
    return OSError("Multiple exceptions: {}".format(", ".join(map(str, failures))))
