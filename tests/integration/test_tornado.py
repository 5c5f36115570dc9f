"""Tornado: it watches its sockets by add_reader and add_writer, and does TLS by itself."""

import asyncio
import contextlib
import time

import pytest
import tornado.httpclient
import tornado.httpserver
import tornado.ioloop
import tornado.iostream
import tornado.netutil
import tornado.tcpclient
import tornado.tcpserver
import tornado.web
import tornado.websocket

from support import until


class Square(tornado.web.RequestHandler):
    async def get(self, number):
        await asyncio.sleep(0)
        self.finish({"square": int(number) ** 2})


class Blocking(tornado.web.RequestHandler):
    async def get(self):
        await tornado.ioloop.IOLoop.current().run_in_executor(None, time.sleep, 0.01)
        self.finish("slept")


@tornado.web.stream_request_body
class Upload(tornado.web.RequestHandler):
    def prepare(self):
        self.size = 0

    def data_received(self, chunk):
        self.size += len(chunk)

    def post(self):
        self.finish(str(self.size))


class Socket(tornado.websocket.WebSocketHandler):
    ends: list

    def initialize(self, ends):
        self.ends = ends

    async def on_message(self, message):
        if message == "cut":
            self.ws_connection.stream.close()
        else:
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        self.ends.append(self.close_code)


@contextlib.asynccontextmanager
async def serving(tls, ends):
    handlers = [(r"/square/(\d+)", Square), ("/blocking", Blocking), ("/upload", Upload)]
    app = tornado.web.Application([*handlers, ("/socket", Socket, {"ends": ends})], log_function=lambda handler: None)
    server = tornado.httpserver.HTTPServer(app, ssl_options=tls, max_body_size=1 << 26)
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield f"127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


@pytest.fixture
def tls(scheme, certificates):
    return certificates.server() if scheme == "https" else None


def test_requests_uploads_and_threads(run, scheme, tls, certificates):
    async def main():
        async with serving(tls, []) as where:
            client = tornado.httpclient.AsyncHTTPClient(force_instance=True, max_clients=20)
            trust = {"ssl_options": certificates.client()} if tls else {}

            async def ask(path, **more):
                return await client.fetch(f"{scheme}://{where}{path}", **trust, **more)

            got = await asyncio.gather(*(ask(f"/square/{number}") for number in range(100)))
            assert [response.body for response in got] == [
                b'{"square": %d}' % (number * number) for number in range(100)
            ]
            got = await asyncio.gather(*(ask("/blocking") for _ in range(10)))
            assert {response.body for response in got} == {b"slept"}
            response = await ask("/upload", method="POST", body=bytes(8_000_000))
            assert response.body == b"8000000"
            with pytest.raises(tornado.httpclient.HTTPError, match="404"):
                await ask("/nowhere")
            client.close()

    run(main())


def test_websocket_echoes_and_notices_the_lost_peer(run, scheme, tls, certificates):
    async def main():
        ends = []
        async with serving(tls, ends) as where:
            trust = {"ssl_options": certificates.client()} if tls else {}
            url = f"{'wss' if tls else 'ws'}://{where}/socket"

            async def connect():
                request = tornado.httpclient.HTTPRequest(url, **trust)
                return await tornado.websocket.websocket_connect(request)

            socket = await connect()
            for number in range(100):
                await socket.write_message(f"message {number}")
                assert await socket.read_message() == f"message {number}"
            blob = bytes(range(256)) * 4096
            await socket.write_message(blob, binary=True)
            assert await socket.read_message() == blob
            # The server cuts the connection, then the client does.
            await socket.write_message("cut")
            assert await socket.read_message() is None
            await until(lambda: len(ends) == 1)
            socket.close()
            socket = await connect()
            socket.protocol.stream.close()
            await until(lambda: len(ends) == 2)
            socket.close()

    run(main())


def test_tcp_streams_and_periodic_callbacks(run):
    class Echo(tornado.tcpserver.TCPServer):
        async def handle_stream(self, stream, address):
            with contextlib.suppress(tornado.iostream.StreamClosedError):
                while True:
                    line = await stream.read_until(b"\n")
                    await stream.write(line)
                    if line == b"cut\n":
                        stream.close()

    async def main():
        loop = asyncio.get_running_loop()
        server = Echo()
        (listener,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_socket(listener)
        client = tornado.tcpclient.TCPClient()
        stream = await client.connect("127.0.0.1", listener.getsockname()[1])
        ticks = []
        callback = tornado.ioloop.PeriodicCallback(lambda: ticks.append(loop.time()), 5)
        callback.start()
        big = b"x" * 3_000_000 + b"\n"
        writing = stream.write(big)
        assert await stream.read_until(b"\n") == big
        await writing
        await until(lambda: len(ticks) >= 10)
        callback.stop()
        await stream.write(b"cut\n")
        with pytest.raises(tornado.iostream.StreamClosedError):
            await stream.read_bytes(100)
        client.close()
        server.stop()

    run(main())
