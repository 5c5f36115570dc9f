"""Streams: readers, writers, connections and servers under asyncio's names.

Corresponds to :mod:`asyncio.streams`.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import streams as _stdlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from . import _native

if TYPE_CHECKING:
    import ssl

    from _typeshed import ReadableBuffer

__all__ = ["StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection", "start_server"]

_DEFAULT_LIMIT = 2**16
"""Bytes: half of what a reader keeps before it pauses its transport, and the length of a line."""


class StreamReader(_native.StreamReader, _stdlib.StreamReader):
    """Bytes that arrive, for one task at a time to read.

    *limit*, in bytes, is how long a line may be, and half of what is read ahead before the transport is paused. *loop*
    is the event loop; by default the current one. Raises ValueError for a limit that is not positive.
    Corresponds to :class:`asyncio.StreamReader`; readuntil() takes several separators on every version.
    """

    if TYPE_CHECKING:  # the extension puts it in

        async def readuntil(self, separator: ReadableBuffer | tuple[ReadableBuffer, ...] = b"\n") -> bytes: ...


_native._register_stream_reader(StreamReader)


class StreamReaderProtocol(_native.StreamReaderProtocol, _stdlib.StreamReaderProtocol):
    """What stands between a transport and a reader; a server's also calls back for each connection.

    Counterpart: :class:`asyncio.StreamReaderProtocol`.
    """


class StreamWriter(_native.StreamWriter, _stdlib.StreamWriter):
    """Writes to a connection.

    Counterpart: :class:`asyncio.StreamWriter`.
    """

    async def start_tls(
        self,
        sslcontext: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        """Go over to TLS on this connection; a server's connection takes the server's side.

        Raises what :meth:`drain` and the loop's ``start_tls`` raise. Counterpart:
        :meth:`asyncio.StreamWriter.start_tls`.
        """
        protocol: Any = self._protocol
        server_side = protocol._client_connected_cb is not None
        await self.drain()
        self._transport = await self._loop.start_tls(
            self._transport,
            protocol,
            sslcontext,
            server_side=server_side,
            server_hostname=server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        if hasattr(protocol, "_replace_transport"):
            protocol._replace_transport(self._transport)
        else:
            protocol._replace_writer(self)


_native._register_stream_writer(StreamWriter)

_ClientConnected = Callable[[StreamReader, StreamWriter], Awaitable[None] | None]


async def _drain_of_others(writer: Any) -> None:
    """``drain()`` of a writer whose protocol is not ours."""
    if writer._reader is not None:
        error = writer._reader.exception()
        if error is not None:
            raise error
    if writer._transport.is_closing():
        # connection_lost() comes first, and has something to say.
        await asyncio.sleep(0)
    await writer._protocol._drain_helper()


async def _wait_closed_of_others(writer: Any) -> None:
    """``wait_closed()`` of a writer whose protocol is not ours."""
    await writer._protocol._get_close_waiter(writer)


async def open_connection(
    host: str | None = None, port: int | str | None = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to *port* at *host*; return a reader and a writer.

    *limit* is the reader's, in bytes; everything else is for ``loop.create_connection``, which says what is raised.
    Counterpart: :func:`asyncio.open_connection`.
    """
    loop: Any = asyncio.get_running_loop()
    reader, protocol = _client_streams(limit, loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: _ClientConnected,
    host: str | list[str] | None = None,
    port: int | str | None = None,
    *,
    limit: int = _DEFAULT_LIMIT,
    **kwds: Any,
) -> asyncio.Server:
    """Listen on *port* at *host*, and call ``client_connected_cb(reader, writer)`` for each connection.

    Where that is a coroutine function a task is made of each call. *limit* is each reader's, in bytes; everything else
    is for ``loop.create_server``, which says what is raised. Counterpart: :func:`asyncio.start_server`.
    """
    loop: Any = asyncio.get_running_loop()
    server = await loop.create_server(_server_factory(client_connected_cb, limit, loop), host, port, **kwds)
    return cast("asyncio.Server", server)


if sys.platform != "win32":
    __all__ += ["open_unix_connection", "start_unix_server"]

    async def open_unix_connection(
        path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
    ) -> tuple[StreamReader, StreamWriter]:
        """Connect to a Unix socket; return a reader and a writer.

        As :func:`open_connection`, with ``loop.create_unix_connection``. Counterpart:
        :func:`asyncio.open_unix_connection`.
        """
        loop = asyncio.get_running_loop()
        reader, protocol = _client_streams(limit, loop)
        transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
        return reader, StreamWriter(transport, protocol, reader, loop)

    async def start_unix_server(
        client_connected_cb: _ClientConnected, path: Any = None, *, limit: int = _DEFAULT_LIMIT, **kwds: Any
    ) -> asyncio.Server:
        """Listen on a Unix socket, and call ``client_connected_cb(reader, writer)`` for each connection.

        As :func:`start_server`, with ``loop.create_unix_server``. Counterpart: :func:`asyncio.start_unix_server`.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(_server_factory(client_connected_cb, limit, loop), path, **kwds)


def _client_streams(limit: int, loop: asyncio.AbstractEventLoop) -> tuple[StreamReader, StreamReaderProtocol]:
    reader = StreamReader(limit=limit, loop=loop)
    return reader, StreamReaderProtocol(reader, loop=loop)


def _server_factory(
    client_connected_cb: _ClientConnected, limit: int, loop: asyncio.AbstractEventLoop
) -> Callable[[], StreamReaderProtocol]:
    def factory() -> StreamReaderProtocol:
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)

    return factory
