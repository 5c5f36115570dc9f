"""An aiohttp application: plain text, JSON in and out, a page made by several tasks, a WebSocket that echoes.

    python examples/aiohttp_app.py [--host 127.0.0.1] [--port 8080]
    tideloop run examples/aiohttp_app.py

It knows nothing about the loop it runs on. SIGINT or SIGTERM ends it with status 0.
"""

import argparse
import asyncio
import signal

from aiohttp import WSMsgType, web


async def index(request: web.Request) -> web.Response:
    return web.Response(text="Hello, world!\n")


async def greet(request: web.Request) -> web.Response:
    return web.json_response({"hello": request.match_info["name"]})


async def total(request: web.Request) -> web.Response:
    """Add up the JSON list of numbers that was posted."""
    numbers = await request.json()
    if not isinstance(numbers, list) or not all(isinstance(number, int | float) for number in numbers):
        raise web.HTTPBadRequest(text="a JSON list of numbers is wanted\n")
    return web.json_response({"count": len(numbers), "sum": sum(numbers)})


async def square(number: int) -> int:
    await asyncio.sleep(0)  # where a real program would ask a database
    return number * number


async def squares(request: web.Request) -> web.Response:
    """Ask ten tasks at once, as a page does that needs ten things, and give up after a second."""
    async with asyncio.timeout(1):
        return web.json_response(await asyncio.gather(*(square(number) for number in range(10))))


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/", index), web.get("/greet/{name}", greet), web.post("/total", total)])
    app.add_routes([web.get("/squares", squares), web.get("/echo", echo)])
    return app


async def main(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(make_app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    print(f"listening on http://{host}:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 lets the system choose")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.host, arguments.port))
