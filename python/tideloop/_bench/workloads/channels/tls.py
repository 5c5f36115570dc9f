"""TLS with a protocol."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import TlsLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve with the laboratory's certificate."""
    return await serve_protocol(asyncio, context, context.server_tls())


WORKLOAD = Served(
    "TLS, protocol: 1 KiB, 100 connections",
    serve,
    TlsLoad(message(1024), connections=100),
    unit="message",
    needs=("tls",),
    names=False,
)
