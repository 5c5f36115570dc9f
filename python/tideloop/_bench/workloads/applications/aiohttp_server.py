"""A handler of aiohttp's that says hello."""

from __future__ import annotations

from typing import Any

from tideloop._bench.applications import CONNECTIONS, HTTP_REQUEST, IDLE_SECONDS_MAX, before_libraries
from tideloop._bench.loads import HttpReply, StreamLoad
from tideloop._bench.services.programs import HOST
from tideloop._bench.workload import Address, Context, Served

TEXT = "Hello, world!"


async def serve(asyncio: Any, context: Context) -> Address:
    """Serve it; the server's own tasks and callbacks keep it."""
    before_libraries(asyncio)
    from aiohttp import web

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=TEXT)

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=IDLE_SECONDS_MAX)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    host, port = runner.addresses[0]
    return host, port


WORKLOAD = Served(
    "aiohttp's server, 32 connections",
    serve,
    StreamLoad(HTTP_REQUEST, HttpReply(TEXT.encode()), connections=CONNECTIONS),
    unit="request",
    requires=("aiohttp",),
)
