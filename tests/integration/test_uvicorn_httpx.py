"""uvicorn with each of its protocols, spoken to by httpx and websockets; as a program of its own too."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import uvicorn
import websockets

from support import until

LOOPS = {"asyncio": "asyncio", "tideloop": "tideloop:new_event_loop"}
EXAMPLE = "applications:application"
# httpx gives up after 5 s by itself, which a busy machine may take; and no proxy of the environment.
CLIENT = {"timeout": 40, "trust_env": False}


class Application:
    """An ASGI application; `seen` is what happened to it."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        await {"lifespan": self.lifespan, "http": self.http, "websocket": self.websocket}[scope["type"]](
            scope, receive, send
        )

    async def lifespan(self, scope, receive, send):
        for word in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{word}"
            self.seen.append(word)
            await send({"type": f"lifespan.{word}.complete"})

    async def http(self, scope, receive, send):
        if scope["path"] == "/wait":
            self.seen.append("waiting")
            while (await receive())["type"] != "http.disconnect":
                pass
            self.seen.append("disconnected")
            return
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        answer = json.dumps({"path": scope["path"], "size": size, "scheme": scope["scheme"]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer[:5], "more_body": True})
        await send({"type": "http.response.body", "body": answer[5:]})

    async def websocket(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"][::-1]})
        self.seen.append("closed")


@contextlib.asynccontextmanager
async def serving(application, certificates=None, **options):
    """uvicorn as a task of the test's loop; gives where it is."""
    if certificates is not None:
        options |= {"ssl_certfile": certificates.chain_file, "ssl_keyfile": certificates.key_file}
    config = uvicorn.Config(
        application, port=0, log_config=None, log_level="error", timeout_graceful_shutdown=5, **options
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done())
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture(params=["h11", "httptools"])
def protocol(request):
    return request.param


@pytest.fixture(params=["http", "https"])
def scheme(request):
    return request.param


def test_requests_in_parallel_and_streamed_uploads(run, protocol, scheme, certificates):
    async def main():
        application = Application()
        tls = certificates if scheme == "https" else None
        async with serving(application, tls, http=protocol) as where:
            base = f"{scheme}://{where}"
            async with httpx.AsyncClient(verify=certificates.client(), base_url=base, **CLIENT) as client:
                answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(100)))
                assert [answer.json()["path"] for answer in answers] == [f"/{number}" for number in range(100)]

                async def chunks():
                    for _ in range(64):
                        yield b"x" * 65536

                answer = await client.post("/upload", content=chunks())
                assert answer.json() == {"path": "/upload", "size": 64 * 65536, "scheme": scheme}
        assert application.seen == ["startup", "shutdown"]

    run(main())


def test_client_that_goes_away_is_told_to_the_application(run, protocol, scheme, certificates):
    async def main():
        application = Application()
        tls = certificates if scheme == "https" else None
        async with serving(application, tls, http=protocol) as where:
            base = f"{scheme}://{where}"
            async with httpx.AsyncClient(verify=certificates.client(), base_url=base, **CLIENT) as client:
                asking = asyncio.create_task(client.get("/wait"))
                await until(lambda: "waiting" in application.seen)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                await until(lambda: "disconnected" in application.seen)
                assert (await client.get("/after")).json()["path"] == "/after"
        assert application.seen == ["startup", "waiting", "disconnected", "shutdown"]

    run(main())


def test_server_that_goes_away_fails_the_request_of_httpx(run):
    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        await writer.drain()
        writer.transport.abort()

    async def main():
        server = await asyncio.start_server(cut, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server, httpx.AsyncClient(**CLIENT) as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.get(f"http://{host}:{port}/")
        async with httpx.AsyncClient(**CLIENT) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://{host}:{port}/")

    run(main())


# The older of the two says that it is old.
@pytest.mark.filterwarnings("ignore:The `websockets` implementation is deprecated", "ignore::DeprecationWarning")
def test_websockets_with_both_implementations(run, certificates):
    async def main():
        for implementation in ("websockets-sansio", "websockets"):
            application = Application()
            async with serving(application, certificates, ws=implementation) as where:
                async with websockets.connect(f"wss://{where}/", ssl=certificates.client(), proxy=None) as socket:
                    for number in range(100):
                        await socket.send(f"message {number}")
                        assert await socket.recv() == f"message {number}"[::-1]
                await until(lambda application=application: "closed" in application.seen)

    run(main())


def test_server_on_a_unix_socket(run, tmp_path):
    async def main():
        path = str(tmp_path / "socket")
        config = uvicorn.Config(Application(), uds=path, log_config=None, log_level="error")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path), base_url="http://x", **CLIENT
        ) as client:
            assert (await client.get("/here")).json()["path"] == "/here"
        server.should_exit = True
        await task

    run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_uvicorn_runs_on_the_loop_that_its_option_names(run, loop_kind, number):
    """What a user types: uvicorn --loop tideloop:new_event_loop; a signal ends it in order."""
    command = [sys.executable, "-m", "uvicorn", EXAMPLE, "--port", "0", "--loop", LOOPS[loop_kind]]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as program:
        try:
            assert program.stdout is not None
            lines = []
            while not lines or "Uvicorn running on" not in lines[-1]:
                lines.append(program.stdout.readline().decode())
                assert lines[-1], "".join(lines)
            url = re.search(r"http://[\d.:]+", lines[-1])[0]

            async def main():
                async with httpx.AsyncClient(**CLIENT) as client:
                    got = await asyncio.gather(*(client.get(f"{url}/{number}") for number in range(20)))
                    assert {answer.json()["loop"].partition(".")[0] for answer in got} == {loop_kind}

            run(main())
            program.send_signal(number)
            rest = program.stdout.read().decode()
            assert "Application shutdown complete." in rest, rest
            assert "Traceback" not in rest or number == signal.SIGINT, rest
        finally:
            program.kill()
