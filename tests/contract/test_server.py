"""Servers: where they listen, how they start, what closing them closes."""

import asyncio
import contextlib
import gc
import inspect
import socket
import sys
import warnings

import pytest

from support import Collects, Recorder, gone, receive_all, reports, until

LOCAL = "127.0.0.1"

# Recent versions close the clients when serve_forever is cancelled; the others wait for them, or do not (before 3.12).
SERVE_FOREVER_CLOSES_CLIENTS = "close_clients" in inspect.getsource(asyncio.Server.serve_forever)


async def dial(server, index=0):
    """A plain socket connected to one of the server's addresses."""
    sock = socket.socket(server.sockets[index].family)
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect(server.sockets[index].getsockname())
    await asyncio.sleep(0)
    sock.settimeout(10)
    return sock


async def finish(server, *protocols):
    server.close()
    for protocol in protocols:
        protocol.transport.abort()
    await gone(*protocols)
    await asyncio.wait_for(server.wait_closed(), 10)


def test_server_accepts_and_serves(loop):
    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        assert isinstance(server, asyncio.AbstractServer)
        assert isinstance(server, asyncio.Server)
        assert server.is_serving()
        assert server.get_loop() is loop
        sock = await dial(server)
        await until(lambda: factory.made)
        sock.sendall(b"hello")
        await until(lambda: factory.made[0].data == b"hello")
        factory.made[0].transport.write(b"there")
        assert await asyncio.to_thread(sock.recv, 10) == b"there"
        sock.close()
        await gone(factory.made[0])
        assert factory.made[0].events == ["made", "data", "eof", "lost"]
        await finish(server)

    loop.run_until_complete(main())


def test_server_listens_on_a_port_of_the_systems_choice(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0)
        (sock,) = server.sockets
        assert isinstance(server.sockets, tuple)
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        host, port = sock.getsockname()
        assert host == LOCAL
        assert 1024 < port < 65536
        await finish(server)
        assert server.sockets == ()
        assert not server.is_serving()

    loop.run_until_complete(main())


def test_server_on_no_host_listens_on_every_interface(loop):
    async def main():
        server = await loop.create_server(Recorder, None, 0)
        families = {sock.family for sock in server.sockets}
        assert socket.AF_INET in families
        for index in range(len(server.sockets)):
            family, port = server.sockets[index].family, server.sockets[index].getsockname()[1]
            with socket.create_connection((LOCAL if family == socket.AF_INET else "::1", port), timeout=10):
                pass
        await finish(server)

    loop.run_until_complete(main())


def test_server_listens_on_several_hosts(loop):
    async def main():
        server = await loop.create_server(Recorder, ["127.0.0.1", "127.0.0.2"], 0)
        assert sorted(sock.getsockname()[0] for sock in server.sockets) == ["127.0.0.1", "127.0.0.2"]
        await finish(server)

    loop.run_until_complete(main())


def test_same_host_twice_listens_once(loop):
    async def main():
        server = await loop.create_server(Recorder, ["127.0.0.1", "127.0.0.1"], 0)
        assert len(server.sockets) == 1
        await finish(server)

    loop.run_until_complete(main())


def test_dual_stack_shares_one_port_between_the_families(loop):
    async def main():
        server = await loop.create_server(Recorder, ["127.0.0.1", "::1"], port)
        assert {sock.family for sock in server.sockets} == {socket.AF_INET, socket.AF_INET6}
        six = next(sock for sock in server.sockets if sock.family == socket.AF_INET6)
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        await finish(server)

    # Keeps the port from all other programs, in both families: who wants it as well has to say that it may be shared.
    with socket.socket(socket.AF_INET6) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("::", 0))
        port = probe.getsockname()[1]
        loop.run_until_complete(main())


def test_given_socket_is_used(loop):
    async def main():
        sock = socket.socket()
        sock.bind((LOCAL, 0))
        address = sock.getsockname()
        factory = Collects()
        server = await loop.create_server(factory, sock=sock)
        assert server.sockets[0].getsockname() == address
        assert sock.gettimeout() == 0
        peer = await dial(server)
        await until(lambda: factory.made)
        await finish(server, *factory.made)
        peer.close()
        assert sock.fileno() == -1

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"host": LOCAL, "port": 0, "sock": True},
            ValueError,
            "host/port and sock can not be specified",
        ),
        ({}, ValueError, "Neither host/port nor sock were specified"),
        ({"host": LOCAL, "port": 0, "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
        (
            {"host": LOCAL, "port": 0, "ssl_handshake_timeout": 1},
            ValueError,
            "ssl_handshake_timeout is only",
        ),
        ({"host": LOCAL, "port": 0, "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only"),
    ],
)
def test_wrong_arguments_are_refused(loop, arguments, error, message):
    async def main():
        with pytest.raises(error, match=message):
            await loop.create_server(Recorder, **arguments)

    loop.run_until_complete(main())


def test_datagram_socket_is_refused(loop):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="A Stream Socket was expected, got"):
                await loop.create_server(Recorder, sock=sock)

    loop.run_until_complete(main())


def test_port_in_use_is_an_os_error_that_names_the_address(loop):
    import errno

    async def main():
        with socket.create_server((LOCAL, 0)) as taken:
            with pytest.raises(OSError, match="error while attempting to bind on address") as caught:
                await loop.create_server(Recorder, *taken.getsockname())
            assert caught.value.errno == errno.EADDRINUSE

    loop.run_until_complete(main())


def test_reuse_port_lets_two_servers_share_a_port(loop):
    async def main():
        one = await loop.create_server(Recorder, LOCAL, 0, reuse_port=True)
        port = one.sockets[0].getsockname()[1]
        two = await loop.create_server(Recorder, LOCAL, port, reuse_port=True)
        assert two.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        await finish(one)
        await finish(two)

    loop.run_until_complete(main())


def test_address_is_reused_by_default_and_not_when_told(loop):
    async def main():
        one = await loop.create_server(Recorder, LOCAL, 0)
        assert one.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        two = await loop.create_server(Recorder, LOCAL, 0, reuse_address=False)
        assert not two.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        await finish(one)
        await finish(two)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="create_server takes keep_alive since Python 3.13")
def test_keep_alive_is_set_on_the_listening_socket(loop):
    """zuvloop #27."""

    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0, keep_alive=True)
        assert server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await finish(server)

    loop.run_until_complete(main())


def test_backlog_is_passed_on(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0, backlog=1)
        assert server.is_serving()
        await finish(server)

    loop.run_until_complete(main())


def test_server_that_does_not_start_at_once_refuses_until_it_is_started(loop):
    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.sockets[0].getsockname())
        await server.start_serving()
        assert server.is_serving()
        peer = await dial(server)
        await until(lambda: factory.made)
        await finish(server, *factory.made)
        peer.close()

    loop.run_until_complete(main())


def test_starting_twice_is_harmless(loop):
    """rloop closed the listening descriptor here, and aborted when it was given out again."""

    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        await server.start_serving()
        await server.start_serving()
        address = server.sockets[0].getsockname()
        peers = [socket.create_connection(address) for _ in range(3)]
        await until(lambda: len(factory.made) == 3)
        assert server.sockets[0].getsockname() == address
        await finish(server, *factory.made)
        for peer in peers:
            peer.close()

    loop.run_until_complete(main())


def test_starting_a_closed_server_is_a_runtime_error(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0)
        await finish(server)
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()

    loop.run_until_complete(main())


def test_close_stops_listening_at_once(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0)
        address = server.sockets[0].getsockname()
        server.close()
        assert not server.is_serving()
        assert server.sockets == ()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_close_keeps_the_clients(loop):
    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        peer = await dial(server)
        await until(lambda: factory.made)
        server.close()
        peer.sendall(b"still here")
        await until(lambda: factory.made[0].data == b"still here")
        factory.made[0].transport.write(b"and answering")
        assert await asyncio.to_thread(peer.recv, 100) == b"and answering"
        peer.close()
        await gone(*factory.made)
        await server.wait_closed()

    loop.run_until_complete(main())


def test_wait_closed_waits_as_the_running_version_does(loop):
    """cpython #104344, #114914, #83939."""

    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        peer = await dial(server)
        await until(lambda: factory.made)
        waiting = asyncio.create_task(server.wait_closed())
        for _ in range(5):
            await asyncio.sleep(0)
        server_closed_first = asyncio.create_task(server.wait_closed())
        server.close()
        after_close = asyncio.create_task(server.wait_closed())
        for _ in range(5):
            await asyncio.sleep(0)
        outcome = (waiting.done(), server_closed_first.done(), after_close.done())
        factory.made[0].transport.close()
        await gone(*factory.made)
        await asyncio.wait_for(asyncio.gather(waiting, server_closed_first, after_close), 10)
        peer.close()
        return outcome

    # Before 3.12 a closed server does not wait for its clients.
    expected = (False, True, True) if sys.version_info < (3, 12) else (False, False, False)
    assert loop.run_until_complete(main()) == expected


def test_wait_closed_of_a_closed_server_without_clients_returns(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0)
        server.close()
        await asyncio.wait_for(server.wait_closed(), 10)
        await asyncio.wait_for(server.wait_closed(), 10)

    loop.run_until_complete(main())


def test_async_with_closes_the_server(loop):
    async def main():
        async with await loop.create_server(Recorder, LOCAL, 0) as server:
            assert server.is_serving()
        assert not server.is_serving()
        assert server.sockets == ()

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close_clients and abort_clients came with Python 3.13")
def test_close_clients_closes_gracefully(loop):
    """uvloop #683."""

    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        peers = [await dial(server) for _ in range(3)]
        await until(lambda: len(factory.made) == 3)
        for protocol in factory.made:
            protocol.transport.write(b"goodbye")
        server.close()
        server.close_clients()
        await gone(*factory.made)
        assert [receive_all(peer) for peer in peers] == [b"goodbye"] * 3
        await asyncio.wait_for(server.wait_closed(), 10)
        for peer in peers:
            peer.close()

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close_clients and abort_clients came with Python 3.13")
def test_abort_clients_drops_what_was_not_sent(loop):
    """uvloop #683."""

    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0)
        peer = await dial(server)
        await until(lambda: factory.made)
        factory.made[0].transport.write(b"x" * 20_000_000)
        assert factory.made[0].transport.get_write_buffer_size() > 0
        server.close()
        server.abort_clients()
        await gone(*factory.made)
        assert len(await asyncio.to_thread(receive_all, peer)) < 20_000_000
        await asyncio.wait_for(server.wait_closed(), 10)
        peer.close()

    loop.run_until_complete(main())


def test_serve_forever_serves_until_it_is_cancelled(loop):
    """uvloop #602, cpython #123720."""

    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0, start_serving=False)
        serving = asyncio.create_task(server.serve_forever())
        await until(server.is_serving)
        peer = await dial(server)
        await until(lambda: factory.made)
        with pytest.raises(RuntimeError, match="is already being awaited on serve_forever"):
            await server.serve_forever()
        serving.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not server.is_serving()
        if SERVE_FOREVER_CLOSES_CLIENTS:
            await gone(*factory.made)
        else:
            peer.sendall(b"kept")
            await until(lambda: factory.made[0].data == b"kept")
        peer.close()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)
        await gone(*factory.made)

    loop.run_until_complete(main())


def test_protocol_factory_that_raises_is_reported_and_the_server_goes_on(loop):
    class Factory(Collects):
        raised = False

        def __call__(self):
            if not self.raised:
                self.raised = True
                raise LookupError("no protocol")
            return super().__call__()

    async def main():
        factory = Factory()
        server = await loop.create_server(factory, LOCAL, 0)
        first = await dial(server)
        await until(lambda: factory.raised and seen)
        second = await dial(server)
        await until(lambda: factory.made)
        await finish(server, *factory.made)
        first.close()
        second.close()

    loop.set_debug(True)  # without it asyncio drops this exception
    with reports(loop) as seen, warnings.catch_warnings():
        # asyncio leaves the accepted socket to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        loop.run_until_complete(main())
        assert seen[0]["message"] == "Error on transport creation for incoming connection"
        assert isinstance(seen[0]["exception"], LookupError)
        seen.clear()
        gc.collect()


def test_repr_of_a_server_shows_its_sockets(loop):
    async def main():
        server = await loop.create_server(Recorder, LOCAL, 0)
        assert repr(server).startswith("<Server sockets=(<asyncio.TransportSocket fd=")
        await finish(server)

    loop.run_until_complete(main())


def test_two_hundred_connections_at_once_are_all_accepted(loop):
    async def main():
        factory = Collects()
        server = await loop.create_server(factory, LOCAL, 0, backlog=300)
        address = server.sockets[0].getsockname()
        peers = [socket.create_connection(address) for _ in range(200)]
        await until(lambda: len(factory.made) == 200)
        for peer in peers:
            peer.close()
        await gone(*factory.made)
        await finish(server)

    loop.run_until_complete(main())
