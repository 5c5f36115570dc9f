"""Datagram endpoints: UDP, Unix datagram sockets, and whatever socket a program brings."""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native
from ._connections import Connections
from ._listening import set_reuse_port
from ._unix import remove_stale_socket

__all__ = ["DatagramTransport", "Datagrams"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_Family = tuple[int, int]  # family and protocol
_Pair = tuple[Any, Any]  # local and remote address, each None where there is none

# How asyncio calls what it wanted; 3.11 and 3.12 refuse raw sockets, too, which are understood here on every version.
_WANTED = "A datagram socket" if sys.version_info >= (3, 13) else "A UDP Socket"


class DatagramTransport(asyncio.Transport, asyncio.DatagramTransport):
    """What the native transports say that they are: asyncio's own are both, too, and are tested for either."""


class Datagrams(Connections):
    """Mixin: create_datagram_endpoint."""

    __slots__ = ()

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], _P],
        local_addr: tuple[str, int] | str | None = None,
        remote_addr: tuple[str, int] | str | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
    ) -> tuple[asyncio.DatagramTransport, _P]:
        """Make a datagram endpoint; return (transport, protocol).

        *local_addr* is bound to and *remote_addr* connected to, or with *allow_broadcast* only sent to: (host, port),
        or for AF_UNIX a path or abstract name. Or *sock* is taken over as it is. *reuse_address*, which would let
        anybody on the machine take the port over, is refused; it is there for programs that say False.
        Raises ValueError for arguments that contradict each other, TypeError for addresses of another form, OSError if
        no address can be used. Counterpart: :meth:`asyncio.loop.create_datagram_endpoint`.
        """
        if reuse_address:
            raise ValueError("reuse_address=True is not supported: others could take the port over")
        if reuse_address is not None:
            warnings.warn("The *reuse_address* parameter has no effect", DeprecationWarning, stacklevel=2)
        remote = None
        if sock is None:
            pairs = await self._address_pairs(local_addr, remote_addr, family, proto, flags)
            sock, remote = await self._bind_first(pairs, bool(reuse_port), bool(allow_broadcast))
        else:
            if sock.type == socket.SOCK_STREAM:
                raise ValueError(f"{_WANTED} was expected, got {sock!r}")
            _refuse_modifiers(
                local_addr=local_addr,
                remote_addr=remote_addr,
                family=family,
                proto=proto,
                flags=flags,
                reuse_port=reuse_port,
                allow_broadcast=allow_broadcast,
            )
            sock.setblocking(False)
        transport, protocol = await self._take_datagram_socket(sock, protocol_factory, remote)
        if self.get_debug():
            where = f"local_addr={local_addr!r} remote_addr={remote_addr!r}"
            logger.info("Datagram endpoint %s created: (%r, %r)", where, transport, protocol)
        return transport, protocol

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        self._attach_transport_check(sock.fileno())
        return _native.DatagramTransport(self, sock, protocol, address, waiter, extra)

    async def _take_datagram_socket(
        self, sock: socket.socket, protocol_factory: Callable[[], _P], remote: Any
    ) -> tuple[asyncio.DatagramTransport, _P]:
        """Put a transport on a socket and wait for connection_made(). From here on the socket is ours."""
        try:
            protocol = protocol_factory()
            connected: asyncio.Future[None] = self.create_future()
            transport = self._make_datagram_transport(sock, protocol, remote, connected)
        except BaseException:
            sock.close()
            raise
        try:
            await connected
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _address_pairs(
        self, local: Any, remote: Any, family: int, proto: int, flags: int
    ) -> list[tuple[_Family, _Pair]]:
        """What could be bound and connected to, the first choice first."""
        if not (local or remote):
            if family == 0:
                raise ValueError("unexpected address family")
            return [((family, proto), (None, None))]
        if family == socket.AF_UNIX:
            for path in (local, remote):
                if path is not None and not isinstance(path, str):
                    raise TypeError("string is expected")
            if local:
                remove_stale_socket(local)
            return [((family, proto), (local or None, remote or None))]
        found: list[dict[_Family, Any]] = []
        for address in (local, remote):
            if address is not None:
                found.append(await self._resolve_datagram(address, family, proto, flags))
            else:
                found.append({})
        at, to = found
        pairs = [
            (key, (at.get(key), to.get(key)))
            for key in {**at, **to}
            if not ((local and key not in at) or (remote and key not in to))
        ]
        if not pairs:
            raise ValueError("can not get address information")
        return pairs

    async def _resolve_datagram(self, address: Any, family: int, proto: int, flags: int) -> dict[_Family, Any]:
        if not (isinstance(address, tuple) and len(address) == 2):
            raise TypeError("2-tuple is expected")
        infos = await self._resolve_address(address, family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags)
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return {(info[0], info[2]): info[4] for info in infos}

    async def _bind_first(
        self, pairs: list[tuple[_Family, _Pair]], reuse_port: bool, allow_broadcast: bool
    ) -> tuple[socket.socket, Any]:
        """A socket on the first pair that works, and the address that it may send to, if that is given."""
        first: OSError | None = None
        try:
            for (family, proto), (local, remote) in pairs:
                sock = None
                try:
                    sock = socket.socket(family, socket.SOCK_DGRAM, proto)
                    if reuse_port:
                        set_reuse_port(sock)
                    if allow_broadcast:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    sock.setblocking(False)
                    if local is not None:
                        sock.bind(local)
                    if remote is not None and not allow_broadcast:
                        await self.sock_connect(sock, remote)
                    return sock, remote
                except BaseException as error:
                    if sock is not None:
                        sock.close()
                    if not isinstance(error, OSError):
                        raise
                    first = first or error
            raise first or OSError("no address")
        finally:
            del first  # its traceback leads back to this frame


def _refuse_modifiers(**options: Any) -> None:
    problems = ", ".join(f"{name}={value}" for name, value in options.items() if value)
    if problems:
        raise ValueError(f"socket modifier keyword arguments can not be used when sock is specified. ({problems})")
