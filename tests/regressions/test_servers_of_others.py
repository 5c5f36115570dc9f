"""Bugs that users of other loops met with servers, each with its number: none of them may be ours."""

import asyncio
import socket

import pytest
from channels import client_context, server_context

from support import Recorder, gone, until

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")
OURS = pytest.mark.loop_kinds("tideloop")


async def serving(**options):
    """A server, and what its connections' protocols are."""
    made = []
    server = await asyncio.get_running_loop().create_server(
        lambda: made.append(Recorder()) or made[-1], "127.0.0.1", 0, **options
    )
    return server, made


@BOTH
def test_server_may_be_closed_in_every_state_and_again(loop):
    """uvloop #760: a segmentation fault where there was no loop or no socket left."""

    async def main():
        for started in (False, True):
            server, _ = await serving(start_serving=started)
            server.close()
            server.close()
            assert list(server.sockets) == []
            await server.wait_closed()
            assert not server.is_serving()

    loop.run_until_complete(main())


@OURS
def test_clients_can_be_closed_and_aborted_on_every_python(loop):
    """uvloop #683."""

    async def main():
        for way in ("close_clients", "abort_clients"):
            server, made = await serving()
            clients = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(3)]
            await until(lambda: len(made) == 3 and all(protocol.events for protocol in made))  # noqa: B023
            getattr(server, way)()
            await gone(*made)
            server.close()
            await server.wait_closed()
            for client in clients:
                client.close()

    loop.run_until_complete(main())


@OURS
def test_serve_forever_with_a_client_that_stays_ends_when_it_is_cancelled(loop):
    """cpython #123720: since 3.12 it waited for the clients, which nobody told; zuvloop #156, #179."""

    async def main():
        server, made = await serving()
        client = socket.create_connection(server.sockets[0].getsockname())
        await until(lambda: made and made[0].events)
        task = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.05)
        if not done:
            # Early releases of 3.12 and 3.13 wait; then the end of the last client must end it.
            made[0].transport.abort()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        if "lost" not in made[0].events:
            made[0].transport.abort()
            await gone(made[0])
        client.close()

    loop.run_until_complete(main())


@BOTH
def test_wait_closed_ends_with_the_last_client(loop):
    """cpython #104344, #114914, #83939: it returned too soon, or never."""

    async def main():
        server, made = await serving()
        client = socket.create_connection(server.sockets[0].getsockname())
        await until(lambda: made and made[0].events)
        server.close()
        waiting = [asyncio.ensure_future(server.wait_closed()) for _ in range(3)]
        await asyncio.sleep(0)
        made[0].transport.close()
        await gone(made[0])
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
        await asyncio.wait_for(server.wait_closed(), 5)
        client.close()

    loop.run_until_complete(main())


@BOTH
def test_client_that_was_never_there_does_not_hold_wait_closed(loop):
    """cpython #104344: a connection that failed in its TLS handshake was counted for ever."""

    async def main():
        server, made = await serving(ssl=server_context())
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.sendall(b"this is not TLS\r\n\r\n")
            await until(lambda: made)
        await asyncio.sleep(0.01)
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)

    loop.run_until_complete(main())


@OURS
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_start_serving_on_a_server_that_serves_is_harmless(loop, kind, tmp_path):
    """rloop: it closed the listening descriptor, and the process aborted when the number came up again."""

    async def main():
        if kind == "unix":
            server = await asyncio.start_unix_server(echo, tmp_path / "socket")
            connect = asyncio.open_unix_connection(tmp_path / "socket")
        else:
            tls = {"ssl": server_context()} if kind == "tls" else {}
            server = await asyncio.start_server(echo, "127.0.0.1", 0, **tls)
            tls = {"ssl": client_context(), "server_hostname": "localhost"} if kind == "tls" else {}
            connect = asyncio.open_connection(*server.sockets[0].getsockname(), **tls)
        for _ in range(3):
            await server.start_serving()
        others = [socket.socketpair() for _ in range(5)]
        reader, writer = await connect
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.005)
        for sock in (sock for pair in others for sock in pair):
            sock.close()

    async def echo(reader, writer):
        writer.write(await reader.read(10))
        await writer.drain()
        writer.close()

    loop.run_until_complete(main())


@BOTH
def test_timers_of_any_length_are_kept(loop):
    """zuvloop #76: a delay was clamped, and the timer early."""
    ran = []
    handles = [loop.call_later(delay, ran.append, delay) for delay in (1e6, 1e9, 1e12, 2.0**63)]
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    assert ran == []
    for handle in handles:
        assert handle.when() > loop.time() + 1e5
        handle.cancel()


@BOTH
def test_scope_of_an_address_is_kept(loop):
    """uvloop: fe80::1%lo became scope 0."""

    async def main():
        index = socket.if_nametoindex("lo")
        for host in ("fe80::1%lo", f"fe80::1%{index}"):
            infos = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
            assert infos[0][4][3] == index

    loop.run_until_complete(main())
