"""A WebSocket server that sends back what it is sent, by the library `websockets`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tideloop._bench.services.background import listening
from tideloop._bench.services.programs import HOST
from tideloop._bench.workload import Service

__all__ = ["SERVICE", "serve_echoes"]

CLOSE_SECONDS_MAX = 1.0


def serve_echoes(host: str, port: int) -> Any:
    """Return the library's server: awaited it listens, on the running loop; `async with` closes it, too."""
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    # Pings of peers that are not in turn would go unanswered, and so would a farewell.
    return serve(echo, host, port, compression=None, ping_interval=None, close_timeout=CLOSE_SECONDS_MAX)


@contextlib.contextmanager
def start(folder: Path) -> Iterator[tuple[str, int]]:
    """Run it; its host and port."""
    with listening(lambda: serve_echoes(HOST, 0)) as address:
        yield address


def missing() -> str | None:
    """Say what is not installed."""
    return None if find_spec("websockets") else "websockets is not installed"


SERVICE = Service("websocket_echo", start, missing)
