"""TLS with a reader and a writer."""

from __future__ import annotations

from tideloop._bench.echoes import serve_streams
from tideloop._bench.loads import TlsLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve with the laboratory's certificate."""
    return await serve_streams(asyncio, context, tls=context.server_tls())


WORKLOAD = Served(
    "TLS, streams, `read` and `drain`: 1 KiB, 100 connections",
    serve,
    TlsLoad(message(1024), connections=100),
    unit="message",
    needs=("tls",),
)
