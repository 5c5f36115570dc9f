"""The websockets library, server and client."""

import asyncio
import contextlib

import pytest
from websockets.asyncio.client import connect, unix_connect
from websockets.asyncio.server import serve, unix_serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from support import until


@contextlib.asynccontextmanager
async def serving(handler, way, certificates, tmp_path, **options):
    """A server of one of the three ways; gives a function that makes a client of it."""
    if way == "unix":
        path = str(tmp_path / "socket")
        async with unix_serve(handler, path, **options):
            yield lambda **more: unix_connect(path, **more)
        return
    tls = {"ssl": certificates.server()} if way == "tls" else {}
    async with serve(handler, "127.0.0.1", 0, **tls, **options) as server:
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        trust = {"ssl": certificates.client()} if tls else {}
        yield lambda **more: connect(url, proxy=None, **trust, **more)


@pytest.fixture(params=["tcp", "tls", "unix"])
def way(request):
    return request.param


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def test_many_clients_echo_text_and_bytes(run, way, certificates, tmp_path):
    async def talk(client, number):
        async with client() as socket:
            for turn in range(30):
                await socket.send(f"{number} {turn}")
                assert await socket.recv() == f"{number} {turn}"
            await socket.send(bytes([number]) * 100_000)
            assert await socket.recv() == bytes([number]) * 100_000

    async def main():
        async with serving(echo, way, certificates, tmp_path) as client:
            await asyncio.gather(*(talk(client, number) for number in range(25)))

    run(main())


def test_fragments_compressed_or_not_and_slow_readers(run, way, certificates, tmp_path):
    async def chunks():
        for number in range(200):
            yield f"{number:05}" * 2000

    async def main():
        whole = "".join([f"{number:05}" * 2000 for number in range(200)])
        async with serving(echo, way, certificates, tmp_path, max_size=None) as client:
            for compression in ("deflate", None):
                async with client(compression=compression, max_size=None) as socket:
                    await socket.send(chunks())
                    received = "".join([part async for part in socket.recv_streaming()])
                    assert received == whole
                    # More than the buffers of both sides hold: the writer is paused until somebody reads.
                    sending = asyncio.create_task(send_many(socket))
                    for number in range(64):
                        assert await socket.recv() == bytes([number]) * 300_000
                    await sending

    async def send_many(socket):
        for number in range(64):
            await socket.send(bytes([number]) * 300_000)

    run(main())


def test_pings_are_answered_and_measured(run, way, certificates, tmp_path):
    async def main():
        async with serving(echo, way, certificates, tmp_path, ping_interval=0.02, ping_timeout=10) as client:
            async with client(ping_interval=0.02) as socket:
                for _ in range(20):
                    assert await (await socket.ping()) >= 0
                await until(lambda: socket.latency > 0)

    run(main())


def test_broadcast_reaches_everybody_but_the_one_who_left(run, certificates, tmp_path):
    from websockets.asyncio.server import broadcast

    members = set()

    async def join(socket):
        members.add(socket)
        try:
            await socket.wait_closed()
        finally:
            members.discard(socket)

    async def main():
        async with serving(join, "tcp", certificates, tmp_path) as client, contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(client()) for _ in range(10)]
            await until(lambda: len(members) == 10)
            sockets[0].transport.abort()
            await until(lambda: len(members) == 9)
            broadcast(members, "to all")
            assert [await socket.recv() for socket in sockets[1:]] == ["to all"] * 9

    run(main())


def test_client_lost_without_a_word_ends_the_handler(run, way, certificates, tmp_path):
    ends = []

    async def handler(socket):
        try:
            await echo(socket)
        except ConnectionClosedError as exc:
            ends.append(exc)

    async def main():
        async with serving(handler, way, certificates, tmp_path) as client:
            socket = await client()
            await socket.send("hello")
            assert await socket.recv() == "hello"
            socket.transport.abort()
            await until(lambda: ends)
            with pytest.raises(ConnectionClosedError):
                await socket.recv()

    run(main())


def test_client_comes_again_whenever_the_server_cut_it_off(run, way, certificates, tmp_path):
    visits = []

    async def handler(socket):
        visits.append(socket)
        if len(visits) < 3:
            socket.transport.abort()
        else:
            await socket.send("stay")
            await socket.wait_closed()

    async def main():
        async with serving(handler, way, certificates, tmp_path) as client:
            async for socket in client():
                try:
                    assert await socket.recv() == "stay"
                    await socket.close()
                    break
                except ConnectionClosedError:
                    continue
            assert len(visits) == 3

    run(main())


def test_closing_server_says_goodbye(run, way, certificates, tmp_path):
    async def main():
        async with contextlib.AsyncExitStack() as stack:
            async with serving(echo, way, certificates, tmp_path) as client:
                socket = await stack.enter_async_context(client())
                await socket.send("hello")
                assert await socket.recv() == "hello"
            with pytest.raises(ConnectionClosedOK) as caught:
                await socket.recv()
            assert caught.value.rcvd.code == 1001

    run(main())
