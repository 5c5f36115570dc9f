"""An ASGI application that answers in JSON, made anew for each request, served by uvicorn with httptools."""

from __future__ import annotations

import json
from typing import Any

from tideloop._bench.applications import CONNECTIONS, HTTP_REQUEST, serve_asgi
from tideloop._bench.loads import HttpReply, StreamLoad
from tideloop._bench.workload import Address, Context, Served

ANSWER = {"message": "Hello, world!", "numbers": list(range(10)), "nested": {"right": True, "wrong": None}}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer whatever is asked for."""
    body = json.dumps(ANSWER).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(asyncio: Any, context: Context) -> Address:
    """Serve it."""
    return await serve_asgi(asyncio, application)


WORKLOAD = Served(
    "uvicorn with httptools, JSON, 32 connections",
    serve,
    StreamLoad(HTTP_REQUEST, HttpReply(json.dumps(ANSWER).encode()), connections=CONNECTIONS),
    unit="request",
    requires=("uvicorn", "httptools"),
)
