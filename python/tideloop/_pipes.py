"""Pipes, FIFOs, terminals and character devices: transports for their reading and writing ends."""

from __future__ import annotations

import asyncio
import warnings
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, TypeVar

from . import _native

__all__ = ["Pipes", "ReadPipeTransport", "WritePipeTransport"]

_P = TypeVar("_P", bound=asyncio.BaseProtocol)


class ReadPipeTransport(_native.ReadPipeTransport):
    """The reading end of a pipe. Counterpart: asyncio's transport of connect_read_pipe()."""

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._pipe is not None:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._release()


class WritePipeTransport(_native.WritePipeTransport):
    """The writing end of a pipe. Counterpart: asyncio's transport of connect_write_pipe()."""

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if self._pipe is not None:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._release()


class Pipes(_native.EventLoop):
    """Mixin: connect_read_pipe and connect_write_pipe."""

    __slots__ = ()

    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _P]:
        """Read from *pipe*, a file object of a pipe, socket or character device; return (transport, protocol).

        The transport owns *pipe* and closes it. Raises ValueError, and leaves *pipe* alone, if it is something else.
        Counterpart: :meth:`asyncio.loop.connect_read_pipe`.
        """
        protocol = protocol_factory()
        connected: asyncio.Future[None] = self.create_future()
        transport = self._make_read_pipe_transport(pipe, protocol, connected)
        try:
            await connected
        except BaseException:
            transport.close()
            raise
        if self.get_debug():
            logger.debug("Read pipe %r connected: (%r, %r)", pipe.fileno(), transport, protocol)
        return transport, protocol

    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _P]:
        """Write to *pipe*, a file object of a pipe, socket or character device; return (transport, protocol).

        The transport owns *pipe* and closes it; it notices a reader that goes away, except on a character device.
        Raises ValueError, and leaves *pipe* alone, if it is something else.
        Counterpart: :meth:`asyncio.loop.connect_write_pipe`.
        """
        protocol = protocol_factory()
        connected: asyncio.Future[None] = self.create_future()
        transport = self._make_write_pipe_transport(pipe, protocol, connected)
        try:
            await connected
        except BaseException:
            transport.close()
            raise
        if self.get_debug():
            logger.debug("Write pipe %r connected: (%r, %r)", pipe.fileno(), transport, protocol)
        return transport, protocol

    def _make_read_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ReadPipeTransport:
        return ReadPipeTransport(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> WritePipeTransport:
        return WritePipeTransport(self, pipe, protocol, waiter, extra)
