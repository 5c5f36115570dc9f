"""aiohttp's server and client, over TCP, TLS and a Unix socket."""

import asyncio
import contextlib
import hashlib

import aiohttp
import pytest
from aiohttp import web

from support import until

MIB = 1 << 20


@contextlib.asynccontextmanager
async def serving(routes, *, tls=None, unix=None):
    """An aiohttp server with these (method, path, handler); gives the URL of its root."""
    app = web.Application(client_max_size=64 * MIB)
    app.add_routes([web.route(method, path, handler) for method, path, handler in routes])
    runner = web.AppRunner(app, shutdown_timeout=5, handler_cancellation=True)
    await runner.setup()
    try:
        if unix is not None:
            await web.UnixSite(runner, unix, ssl_context=tls).start()
            yield "http://localhost"
        else:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def both(routes, way, certificates, tmp_path):
    """Server and client of one of the three ways."""
    unix = str(tmp_path / "socket") if way == "unix" else None
    tls = certificates.server() if way == "tls" else None
    connector = aiohttp.UnixConnector(unix) if unix else aiohttp.TCPConnector(ssl=certificates.client(), limit=30)
    async with serving(routes, tls=tls, unix=unix) as url, aiohttp.ClientSession(url, connector=connector) as session:
        yield session
        if way == "tls":
            # Nobody waits for the client's TLS connections to end but who counts them.
            await session.close()
            await until(lambda: not connector._acquired)


@pytest.fixture(params=["tcp", "tls", "unix"])
def way(request):
    return request.param


def test_hundreds_of_requests_at_once(run, way, certificates, tmp_path):
    async def square(request):
        number = (await request.json())["number"]
        return web.json_response({"square": number * number})

    async def main():
        async with both([("POST", "/", square)], way, certificates, tmp_path) as session:

            async def ask(number):
                async with session.post("/", json={"number": number}) as response:
                    assert response.status == 200
                    return (await response.json())["square"]

            got = await asyncio.gather(*(ask(number) for number in range(300)))
            assert got == [number * number for number in range(300)]

    run(main())


def test_uploads_and_downloads_stream(run, way, certificates, tmp_path):
    async def digest(request):
        seen = hashlib.sha256()
        async for chunk in request.content.iter_any():
            seen.update(chunk)
        return web.Response(text=seen.hexdigest())

    async def pour(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(64):
            await response.write(bytes([number]) * (MIB // 4))
        await response.write_eof()
        return response

    async def chunks():
        for number in range(64):
            yield bytes([number]) * (MIB // 4)

    async def main():
        wanted = hashlib.sha256(b"".join(bytes([number]) * (MIB // 4) for number in range(64))).hexdigest()
        routes = [("POST", "/", digest), ("GET", "/", pour)]
        async with both(routes, way, certificates, tmp_path) as session:
            async with session.post("/", data=chunks()) as response:
                assert await response.text() == wanted
            async with session.get("/") as response:
                seen = hashlib.sha256()
                async for chunk in response.content.iter_chunked(10000):
                    seen.update(chunk)
                assert seen.hexdigest() == wanted

    run(main())


def test_a_file_is_served_whole_and_in_part(run, way, certificates, tmp_path):
    """aiohttp gives plain connections to loop.sendfile and reads the file for TLS."""
    path = tmp_path / "file"
    content = bytes(range(256)) * (12 * MIB // 256)
    path.write_bytes(content)

    async def send(request):
        return web.FileResponse(path)

    async def main():
        async with both([("GET", "/", send)], way, certificates, tmp_path) as session:
            async with session.get("/") as response:
                assert await response.read() == content
            async with session.get("/", headers={"Range": "bytes=1000-2000999"}) as response:
                assert response.status == 206
                assert await response.read() == content[1000:2001000]

    run(main())


def test_websocket_echoes_text_and_bytes(run, way, certificates, tmp_path):
    async def echo(request):
        socket = web.WebSocketResponse(heartbeat=5, max_msg_size=8 * MIB)
        await socket.prepare(request)
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    async def main():
        async with both([("GET", "/", echo)], way, certificates, tmp_path) as session:
            async with session.ws_connect("/", max_msg_size=8 * MIB) as socket:
                for number in range(300):
                    await socket.send_str(f"message {number}")
                    assert await socket.receive_str() == f"message {number}"
                blob = bytes(range(256)) * 16384
                await socket.send_bytes(blob)
                assert await socket.receive_bytes() == blob

    run(main())


def test_client_that_goes_away_cancels_the_handler(run, way, certificates, tmp_path):
    events = []

    async def slow(request):
        events.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def well(request):
        return web.Response(text="well")

    async def main():
        async with both([("GET", "/slow", slow), ("GET", "/", well)], way, certificates, tmp_path) as session:
            asking = asyncio.create_task(session.get("/slow"))
            await until(lambda: events == ["begun"])
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(lambda: events == ["begun", "cancelled"])
            async with session.get("/") as response:
                assert await response.text() == "well"

    run(main())


def test_server_that_cuts_the_connection_fails_the_response(run, way, certificates, tmp_path):
    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        request.transport.abort()
        return response

    async def cut_socket(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        request.transport.abort()
        return socket

    async def main():
        routes = [("GET", "/", cut), ("GET", "/socket", cut_socket)]
        async with both(routes, way, certificates, tmp_path) as session:
            with pytest.raises(aiohttp.ClientError):
                async with session.get("/") as response:
                    await response.read()
            async with session.ws_connect("/socket") as socket:
                await socket.send_str("end")
                message = await socket.receive()
                assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    run(main())


@pytest.mark.parametrize("secure", [False, True], ids=["through HTTP", "through HTTPS"])
def test_https_through_a_proxy_is_tls_on_a_used_connection(run, certificates, secure):
    """Through an HTTPS proxy it is TLS inside of TLS."""
    tunnels = []

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()
            await writer.wait_closed()

    async def proxy(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"CONNECT ")
        host, port = request.split()[1].decode().rsplit(":", 1)
        there, back = await asyncio.open_connection(host, port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        tunnels.append(asyncio.current_task())
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def reverse(request):
        return web.Response(body=(await request.read())[::-1])

    async def main():
        tls = certificates.server() if secure else None
        server = await asyncio.start_server(proxy, "127.0.0.1", 0, ssl=tls)
        url = f"{'https' if secure else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with serving([("POST", "/", reverse)], tls=certificates.server()) as target:
            connector = aiohttp.TCPConnector(ssl=certificates.client(), force_close=True)
            async with aiohttp.ClientSession(target, connector=connector, proxy=url) as session:
                blob = bytes(range(256)) * 4096
                for _ in range(3):
                    async with session.post("/", data=blob) as response:
                        assert await response.read() == blob[::-1]
            await until(lambda: len(tunnels) == 3 and all(task.done() for task in tunnels))
        server.close()
        await server.wait_closed()

    run(main())


def test_restarted_server_is_reached_again(run):
    async def well(request):
        return web.Response(text="well")

    async def main():
        routes = [("GET", "/", well)]
        async with aiohttp.ClientSession() as session:
            async with serving(routes) as url:
                async with session.get(url) as response:
                    assert await response.text() == "well"
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
            async with serving(routes) as url, session.get(url) as response:
                assert await response.text() == "well"

    run(main())
