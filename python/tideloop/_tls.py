"""TLS: what puts it between a transport and a protocol, from the caller's own ``ssl.SSLContext``."""

from __future__ import annotations

import asyncio
from asyncio import constants
from asyncio.streams import StreamReaderProtocol
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native
from ._sock_calls import SockCalls

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

    from ._server import Server

__all__ = ["Tls"]


class Tls(SockCalls):
    """Mixin: start_tls, and what the other mixins make TLS transports with."""

    __slots__ = ()

    async def start_tls(  # type: ignore[override]
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BaseProtocol,
        sslcontext: SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport:
        """Go over to TLS on a connection that is in use; return the transport that *protocol* is to use from now on.

        Raises TypeError for what is no SSLContext or no transport that can carry TLS, ValueError for a time-out that
        is not positive, ssl.SSLError or OSError if the handshake fails; the connection is closed then.
        Counterpart: :meth:`asyncio.loop.start_tls`.
        """
        import ssl

        if not isinstance(sslcontext, ssl.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        waiter: asyncio.Future[None] = self.create_future()
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        tls = self._tls_protocol(protocol, sslcontext, waiter, server_side, server_hostname, timeouts, False)
        if server_side:
            _move_what_was_read(protocol, tls)
        # Nothing may arrive before the handshake has begun.
        transport.pause_reading()
        transport.set_protocol(tls)
        begins = self.call_soon(tls.connection_made, transport)
        resumes = self.call_soon(transport.resume_reading)
        app_transport = tls._app_transport
        try:
            await waiter
        except BaseException:
            transport.close()
            begins.cancel()
            resumes.cancel()
            del waiter, tls  # the exception's traceback leads back to this frame
            raise
        _let_reader_pause(protocol, transport, app_transport)
        return app_transport

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: SSLContext | None,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Server | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport:
        """TLS over a connected stream socket. *waiter* is told when the handshake is done, or why it failed."""
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        tls = self._tls_protocol(protocol, sslcontext, waiter, server_side, server_hostname, timeouts)
        app_transport = tls._app_transport
        self._make_socket_transport(rawsock, tls, extra=extra, server=server)
        return app_transport

    def _tls_server_factory(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sslcontext: SSLContext,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
    ) -> Callable[[], asyncio.BaseProtocol]:
        """A protocol factory for a listener: each connection begins with a handshake."""

        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)

        def accept() -> asyncio.BaseProtocol:
            protocol = protocol_factory()
            waiter = None
            if self.get_debug():
                waiter = self.create_future()
                waiter.add_done_callback(lambda waiter: self._report_failed_handshake(waiter, protocol))
            return self._tls_protocol(protocol, sslcontext, waiter, True, None, timeouts)

        return accept

    def _tls_protocol(
        self,
        protocol: asyncio.BaseProtocol,
        sslcontext: SSLContext | None,
        waiter: asyncio.Future[None] | None,
        server_side: bool,
        server_hostname: str | None,
        timeouts: tuple[float | None, float | None],
        call_connection_made: bool = True,
    ) -> _native.TlsProtocol:
        handshake = _positive("ssl_handshake_timeout", timeouts[0], constants.SSL_HANDSHAKE_TIMEOUT)
        shutdown = _positive("ssl_shutdown_timeout", timeouts[1], constants.SSL_SHUTDOWN_TIMEOUT)
        context = sslcontext or _default_context(server_side, server_hostname)
        return _native.TlsProtocol(
            self, protocol, context, waiter, server_side, server_hostname, call_connection_made, handshake, shutdown
        )

    def _report_failed_handshake(self, waiter: asyncio.Future[None], protocol: asyncio.BaseProtocol) -> None:
        error = None if waiter.cancelled() else waiter.exception()
        if error is not None:
            message = "Error on transport creation for incoming connection"
            self.call_exception_handler({"message": message, "exception": error, "protocol": protocol})

    if TYPE_CHECKING:

        def _make_socket_transport(
            self,
            sock: socket.socket,
            protocol: asyncio.BaseProtocol,
            waiter: asyncio.Future[None] | None = None,
            *,
            extra: dict[str, Any] | None = None,
            server: Server | None = None,
        ) -> asyncio.Transport: ...


def _positive(name: str, seconds: float | None, default: float) -> float:
    if seconds is None:
        return default
    if seconds <= 0:
        raise ValueError(f"{name} should be a positive number, got {seconds}")
    return seconds


def _default_context(server_side: bool, server_hostname: str | None) -> SSLContext:
    import ssl

    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    context = ssl.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context


def _let_reader_pause(protocol: asyncio.BaseProtocol, before: asyncio.Transport, now: asyncio.Transport) -> None:
    """A reader that is full pauses the transport that it knows: that is another one now. (cpython #152431)"""
    reader = _reader_of(protocol)
    if reader is not None and reader._transport is before:
        reader._transport = now


def _reader_of(protocol: asyncio.BaseProtocol) -> Any:
    return getattr(protocol, "_stream_reader", None) if isinstance(protocol, StreamReaderProtocol) else None


def _move_what_was_read(protocol: asyncio.BaseProtocol, tls: _native.TlsProtocol) -> None:
    """A client that says "start TLS" may send the beginning of its handshake in the same breath. (cpython #142352)"""
    reader = _reader_of(protocol)
    if reader is not None and reader._buffer:
        tls._feed(reader._buffer)
        reader._buffer.clear()
