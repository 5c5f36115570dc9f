"""A server of WebSocket with the library `websockets`, which sends back what it is sent."""

from __future__ import annotations

from typing import Any

from tideloop._bench.applications import CONNECTIONS, before_libraries
from tideloop._bench.services.programs import HOST
from tideloop._bench.services.websocket_echo import serve_echoes
from tideloop._bench.websocket_load import WebSocketLoad
from tideloop._bench.workload import Address, Context, Served


async def serve(asyncio: Any, context: Context) -> Address:
    """Listen, and keep the server by the task that serves."""
    before_libraries(asyncio)
    server = await serve_echoes(HOST, 0)
    host, port = server.sockets[0].getsockname()
    return host, port


WORKLOAD = Served(
    "websockets: a server, messages of 100 bytes, 32 connections",
    serve,
    WebSocketLoad("m" * 100, connections=CONNECTIONS),
    unit="message",
    requires=("websockets",),
)
