"""TLS handshakes: a new connection for each message."""

from __future__ import annotations

from tideloop._bench.echoes import serve_protocol
from tideloop._bench.loads import HandshakeLoad, message
from tideloop._bench.workload import Address, Context, Names, Served


async def serve(asyncio: Names, context: Context) -> Address:
    """Serve with the laboratory's certificate."""
    return await serve_protocol(asyncio, context, context.server_tls())


WORKLOAD = Served(
    "TLS: connect, shake hands, one message, close",
    serve,
    HandshakeLoad(message(100), concurrency=8),
    unit="connection",
    needs=("tls",),
    names=False,
)
