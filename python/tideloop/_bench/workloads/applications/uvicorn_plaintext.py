"""An ASGI application that says hello, served by uvicorn with httptools."""

from __future__ import annotations

from typing import Any

from tideloop._bench.applications import CONNECTIONS, HTTP_REQUEST, serve_asgi
from tideloop._bench.loads import HttpReply, StreamLoad
from tideloop._bench.workload import Address, Context, Served

BODY = b"Hello, world!"


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer whatever is asked for."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def serve(asyncio: Any, context: Context) -> Address:
    """Serve it."""
    return await serve_asgi(asyncio, application)


WORKLOAD = Served(
    "uvicorn with httptools, plain text, 32 connections",
    serve,
    StreamLoad(HTTP_REQUEST, HttpReply(BODY), connections=CONNECTIONS),
    unit="request",
    requires=("uvicorn", "httptools"),
)
