"""Who owns a socket on its way to a transport: closed exactly once whatever goes wrong, and never left behind."""

import asyncio
import errno
import os
import socket
import sys

import pytest

from support import until


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def unanswered():
    """The address of a server whose backlog is full: connecting to it stays in progress."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield server.getsockname()
        for sock in waiting:
            sock.close()


def refuse() -> asyncio.Protocol:
    raise LookupError("no protocol today")


def test_cancelling_a_connection_in_progress_closes_its_socket_before_anybody_else_gets_its_number(
    run, loop, unanswered
):
    async def main():
        before = count_descriptors()
        connecting = asyncio.ensure_future(loop.create_connection(asyncio.Protocol, *unanswered))
        await until(lambda: count_descriptors() == before + 1)
        await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert count_descriptors() == before
        # The number is given out again, and nothing that belonged to the connection touches it.
        reader, writer = os.pipe()
        arrived = loop.create_future()
        loop.add_reader(reader, arrived.set_result, None)
        os.write(writer, b"x")
        await arrived
        assert loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)

    run(main())


def test_cancelling_happy_eyeballs_closes_every_socket(run, loop, unanswered, monkeypatch):
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", unanswered)

    async def getaddrinfo(*args, **kwargs):
        return [address] * 3

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)

    async def main():
        before = count_descriptors()
        connecting = asyncio.ensure_future(
            loop.create_connection(asyncio.Protocol, "somewhere", 1, happy_eyeballs_delay=0.001)
        )
        await until(lambda: count_descriptors() == before + 3)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert count_descriptors() == before

    run(main())


def test_a_protocol_factory_that_raises_closes_the_connection(run, loop):
    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        before = count_descriptors()
        with pytest.raises(LookupError):
            await loop.create_connection(refuse, *server.sockets[0].getsockname())
        # The server's end of it comes and goes on its own.
        await until(lambda: count_descriptors() == before)
        server.close()
        await server.wait_closed()

    run(main())


def test_a_protocol_factory_that_raises_closes_an_accepted_socket(run, loop):
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(LookupError):
        run(loop.connect_accepted_socket(refuse, ours))
    assert ours.fileno() == -1


def test_a_server_that_cannot_bind_its_second_host_leaves_the_first_free(run, loop):
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run(asyncio.sleep(0))  # the first run opens the pair of sockets for signals
        before = count_descriptors()
        with pytest.raises(OSError, match="error while attempting to bind on address") as raised:
            run(loop.create_server(asyncio.Protocol, ["127.0.0.1", "::1"], port))
        assert raised.value.errno == errno.EADDRINUSE
        assert count_descriptors() == before


def test_a_server_that_cannot_listen_closes_its_sockets(run, loop):
    first = run(loop.create_server(asyncio.Protocol, "127.0.0.1", 0, reuse_port=True, start_serving=False))
    address = first.sockets[0].getsockname()
    second = socket.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind(address)
    # Bound with SO_REUSEPORT both may listen; without it, whoever comes second may not.
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    run(first.start_serving())
    with pytest.raises(OSError, match="in use"):
        run(loop.create_server(asyncio.Protocol, sock=second))
    assert second.fileno() == -1
    first.close()
    run(first.wait_closed())


def test_a_server_on_every_interface_has_a_socket_of_each_family_on_one_port(run, loop):
    async def main():
        probe = await loop.create_server(asyncio.Protocol, None, 0)
        families = sorted(sock.family for sock in probe.sockets)
        only_v6 = [
            sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            for sock in probe.sockets
            if sock.family == socket.AF_INET6
        ]
        probe.close()
        return families, only_v6

    assert run(main()) == ([socket.AF_INET, socket.AF_INET6], [1])


@pytest.mark.skipif(sys.version_info < (3, 13), reason="addresses that are not there are passed over from 3.13 on")
def test_addresses_that_are_not_there_are_passed_over(run, loop):
    server = run(loop.create_server(asyncio.Protocol, ["192.0.2.1", "127.0.0.1"], 0))
    assert [sock.getsockname()[0] for sock in server.sockets] == ["127.0.0.1"]
    server.close()
    with pytest.raises(OSError, match="could not bind on any address out of"):
        run(loop.create_server(asyncio.Protocol, "192.0.2.1", 0))


def test_clients_of_a_server_are_known_on_every_python(run, loop):
    lost = []

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.append(exc)

    async def main():
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        plain = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(3)]
        await until(lambda: server._active_count == 3)
        server.close_clients()
        await until(lambda: lost == [None] * 3)
        assert server._active_count == 0
        assert [sock.recv(1) for sock in plain] == [b""] * 3
        for sock in plain:
            sock.close()
        server.close()
        await server.wait_closed()

    run(main())


def test_a_cancelled_sock_accept_loses_no_connection(run, loop):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            accepting = asyncio.ensure_future(loop.sock_accept(listening))
            await asyncio.sleep(0)
            with socket.create_connection(listening.getsockname()):
                # Ready and cancelled in one turn: the connection must still be there for the next one.
                loop.call_soon(accepting.cancel)
                with pytest.raises(asyncio.CancelledError):
                    await accepting
                connection, _ = await loop.sock_accept(listening)
                assert connection.gettimeout() == 0
                connection.close()

    run(main())


def test_sock_recv_after_a_cancelled_one_has_the_descriptor(run, loop):
    async def main():
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            first = asyncio.ensure_future(loop.sock_recv(ours, 10))
            await asyncio.sleep(0)
            first.cancel()
            second = asyncio.ensure_future(loop.sock_recv(ours, 10))
            theirs.send(b"data")
            assert await second == b"data"
            assert first.cancelled()

    run(main())
