"""create_connection and connect_accepted_socket: addresses, errors, cancellation."""

import asyncio
import errno
import os
import socket
import sys

import pytest

from support import Recorder, gone, until

LOCAL = "127.0.0.1"


@pytest.fixture
def listener():
    """A plain listening socket."""
    with socket.create_server((LOCAL, 0)) as sock:
        sock.settimeout(10)
        yield sock


@pytest.fixture
def refused():
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind((LOCAL, 0))
        yield sock.getsockname()


def descriptors():
    return len(os.listdir("/proc/self/fd"))


async def hang_up(transport, protocol, *peers):
    transport.close()
    await gone(protocol)
    for peer in peers:
        peer.close()


def test_connection_gives_transport_and_protocol(loop, listener):
    async def main():
        transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
        assert isinstance(protocol, Recorder)
        assert protocol.transport is transport
        assert transport.get_protocol() is protocol
        peer, address = listener.accept()
        assert transport.get_extra_info("sockname") == address
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


def test_host_name_is_resolved(loop, listener):
    async def main():
        port = listener.getsockname()[1]
        transport, protocol = await loop.create_connection(Recorder, "localhost", port, family=socket.AF_INET)
        peer, _ = listener.accept()
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


def test_local_address_is_bound(loop, listener):
    async def main():
        transport, protocol = await loop.create_connection(
            Recorder, *listener.getsockname(), local_addr=("127.0.0.3", 0)
        )
        peer, address = listener.accept()
        assert address[0] == "127.0.0.3"
        assert transport.get_extra_info("sockname") == address
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


def test_local_address_of_the_wrong_family_is_an_os_error(loop, listener):
    async def main():
        with pytest.raises(OSError, match="no matching local address|address") as caught:
            await loop.create_connection(
                Recorder, *listener.getsockname(), local_addr=("::1", 0), family=socket.AF_UNSPEC
            )
        assert not isinstance(caught.value, asyncio.TimeoutError)

    loop.run_until_complete(main())


def test_local_address_in_use_names_it(loop, listener, refused):
    async def main():
        with pytest.raises(OSError, match="error while attempting to bind on address") as caught:
            await loop.create_connection(Recorder, *listener.getsockname(), local_addr=refused)
        assert caught.value.errno == errno.EADDRINUSE

    loop.run_until_complete(main())


def test_refused_connection_is_a_connection_refused_error_that_names_the_address(loop, refused):
    async def main():
        before = descriptors()
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.create_connection(Recorder, *refused)
        assert caught.value.errno == errno.ECONNREFUSED
        assert repr(refused) in str(caught.value) or str(refused[1]) in str(caught.value)
        assert descriptors() == before

    loop.run_until_complete(main())


def test_protocol_factory_is_not_called_for_a_refused_connection(loop, refused):
    called = []

    async def main():
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(lambda: called.append(1), *refused)

    loop.run_until_complete(main())
    assert not called


def test_protocol_factory_that_raises_closes_the_socket(loop, listener):
    def factory():
        raise LookupError("no protocol")

    async def main():
        before = descriptors()
        with pytest.raises(LookupError, match="no protocol"):
            await loop.create_connection(factory, *listener.getsockname())
        return before

    import gc
    import warnings

    with warnings.catch_warnings():
        # asyncio leaves the socket to the collector here.
        warnings.simplefilter("ignore", ResourceWarning)
        before = loop.run_until_complete(main())
        gc.collect()
    assert descriptors() == before
    listener.accept()[0].close()


def several(addresses):
    """A getaddrinfo that gives these addresses."""

    async def getaddrinfo(_host, _port, **_options):
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in addresses
        ]

    return getaddrinfo


def test_next_address_is_tried_when_one_refuses(loop, listener, refused, monkeypatch):
    monkeypatch.setattr(loop, "getaddrinfo", several([refused, listener.getsockname()]))

    async def main():
        transport, protocol = await loop.create_connection(Recorder, "several", 1)
        peer, _ = listener.accept()
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


@pytest.mark.parametrize("options", [{}, {"happy_eyeballs_delay": 0.01}, {"interleave": 1}])
def test_every_address_refusing_is_one_os_error_that_tells_them_all(loop, refused, monkeypatch, options):
    other = ("127.0.0.9", refused[1])
    monkeypatch.setattr(loop, "getaddrinfo", several([refused, other]))

    async def main():
        before = descriptors()
        with pytest.raises(OSError, match="Multiple exceptions: |Connect call failed") as caught:
            await loop.create_connection(Recorder, "several", 1, **options)
        assert descriptors() == before
        return str(caught.value)

    text = loop.run_until_complete(main())
    if text.startswith("Multiple exceptions: "):
        assert "127.0.0.1" in text
        assert "127.0.0.9" in text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="create_connection takes all_errors since Python 3.12")
@pytest.mark.parametrize("count", [1, 2])
def test_all_errors_are_given_as_a_group(loop, refused, monkeypatch, count):
    monkeypatch.setattr(loop, "getaddrinfo", several([refused, ("127.0.0.9", refused[1])][:count]))

    async def main():
        with pytest.raises(ExceptionGroup, match="create_connection failed") as caught:
            await loop.create_connection(Recorder, "several", 1, all_errors=True)
        assert [type(exc) for exc in caught.value.exceptions] == [ConnectionRefusedError] * count

    loop.run_until_complete(main())


def test_name_without_addresses_is_an_os_error(loop, monkeypatch):
    monkeypatch.setattr(loop, "getaddrinfo", several([]))

    async def main():
        with pytest.raises(OSError, match=r"getaddrinfo\(\) returned empty list"):
            await loop.create_connection(Recorder, "nobody", 1)

    loop.run_until_complete(main())


def test_happy_eyeballs_goes_on_to_the_next_address_without_waiting_for_the_first(loop, listener, monkeypatch):
    # 192.0.2.0/24 is for documentation: nobody answers there.
    """uvloop #406."""
    monkeypatch.setattr(loop, "getaddrinfo", several([("192.0.2.1", 9), listener.getsockname()]))
    connects = loop.sock_connect

    async def sock_connect(sock, address):
        if address[0] == "192.0.2.1":
            await asyncio.sleep(3600)
        await connects(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)

    async def main():
        before = descriptors()
        transport, protocol = await asyncio.wait_for(
            loop.create_connection(Recorder, "several", 1, happy_eyeballs_delay=0.01), 10
        )
        peer, _ = listener.accept()
        await hang_up(transport, protocol, peer)
        await until(lambda: descriptors() == before)

    loop.run_until_complete(main())


def test_families_are_interleaved(loop, monkeypatch):
    """uvloop #406."""
    tried = []
    addresses = [("::1", 1), ("::2", 2), ("::3", 3), ("127.0.0.1", 4), ("127.0.0.2", 5)]
    monkeypatch.setattr(loop, "getaddrinfo", several(addresses))

    async def sock_connect(_sock, address):
        tried.append(address[1])
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr(loop, "sock_connect", sock_connect)

    async def main(**options):
        tried.clear()
        with pytest.raises(OSError, match="refused|Multiple"):
            await loop.create_connection(Recorder, "several", 1, **options)
        return list(tried)

    assert loop.run_until_complete(main()) == [1, 2, 3, 4, 5]
    assert loop.run_until_complete(main(interleave=1)) == [1, 4, 2, 5, 3]
    assert loop.run_until_complete(main(interleave=2)) == [1, 2, 4, 3, 5]
    assert loop.run_until_complete(main(happy_eyeballs_delay=0.001)) == [1, 4, 2, 5, 3]


def test_given_socket_is_used(loop, listener):
    async def main():
        sock = socket.create_connection(listener.getsockname())
        sock.setblocking(False)
        transport, protocol = await loop.create_connection(Recorder, sock=sock)
        assert transport.get_extra_info("socket").fileno() == sock.fileno()
        peer, _ = listener.accept()
        peer.sendall(b"x")
        await until(lambda: protocol.data == b"x")
        await hang_up(transport, protocol, peer)
        assert sock.fileno() == -1

    loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"host": LOCAL, "port": 1, "sock": True},
            ValueError,
            "host/port and sock can not be specified",
        ),
        ({}, ValueError, "host and port was not specified and no sock specified"),
        ({"host": LOCAL, "port": 1, "server_hostname": "x"}, ValueError, "server_hostname is only meaningful with ssl"),
        (
            {"host": LOCAL, "port": 1, "ssl_handshake_timeout": 1},
            ValueError,
            "ssl_handshake_timeout is only",
        ),
        ({"host": LOCAL, "port": 1, "ssl_shutdown_timeout": 1}, ValueError, "ssl_shutdown_timeout is only"),
    ],
)
def test_wrong_arguments_are_refused(loop, arguments, error, message):
    async def main():
        with pytest.raises(error, match=message):
            await loop.create_connection(Recorder, **arguments)

    loop.run_until_complete(main())


def test_datagram_socket_is_refused(loop):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="A Stream Socket was expected, got"):
                await loop.create_connection(Recorder, sock=sock)
            with pytest.raises(ValueError, match="A Stream Socket was expected, got"):
                await loop.connect_accepted_socket(Recorder, sock)

    loop.run_until_complete(main())


def test_cancelled_connect_leaves_no_descriptor(loop, monkeypatch):
    """uvloop #645: it closed the descriptor twice, and responses went to the wrong request."""

    async def main():
        before = descriptors()
        for turns in range(6):
            task = loop.create_task(loop.create_connection(Recorder, "192.0.2.1", 9))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, OSError)):
                await task
            await asyncio.sleep(0)
            assert descriptors() == before

    loop.run_until_complete(main())


def test_connect_cancelled_at_every_turn_closes_its_socket_once(loop, listener):
    """The descriptor is given out again at once: a second close of it would break the newcomer."""

    async def main():
        for turns in range(8):
            task = loop.create_task(loop.create_connection(Recorder, *listener.getsockname()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            left, right = socket.socketpair()
            try:
                transport, protocol = await task
            except asyncio.CancelledError:
                pass
            else:
                transport.abort()
                await gone(protocol)
            again = socket.socketpair()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for one, two in ((left, right), again):
                one.send(b"x")
                assert two.recv(1) == b"x"
                one.close()
                two.close()

    loop.run_until_complete(main())
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            listener.accept()[0].close()


def test_accepted_socket_is_connected(loop, listener):
    async def main():
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
        transport, protocol = await loop.connect_accepted_socket(Recorder, sock)
        assert protocol.events == ["made"]
        assert sock.gettimeout() == 0
        peer.sendall(b"hello")
        await until(lambda: protocol.data == b"hello")
        transport.write(b"there")
        assert await asyncio.to_thread(peer.recv, 10) == b"there"
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


def test_literal_addresses_do_not_ask_a_resolver(loop, listener, monkeypatch):
    async def main():
        before = loop._default_executor if hasattr(loop, "_default_executor") else None
        transport, protocol = await loop.create_connection(Recorder, *listener.getsockname())
        assert getattr(loop, "_default_executor", None) is before
        peer, _ = listener.accept()
        await hang_up(transport, protocol, peer)

    loop.run_until_complete(main())


def test_thousand_clients_at_once(loop):
    async def main():
        made = []

        class Echo(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                made.append(self)

            def data_received(self, data):
                self.transport.write(data)

        server = await loop.create_server(Echo, LOCAL, 0, backlog=1000)
        address = server.sockets[0].getsockname()

        async def client(number):
            transport, protocol = await loop.create_connection(Recorder, *address)
            sent = b"%d" % number * 10
            transport.write(sent)
            await until(lambda: len(protocol.data) == len(sent), 30)
            assert protocol.data == sent
            transport.close()
            await gone(protocol)

        await asyncio.gather(*map(client, range(1000)))
        assert len(made) == 1000
        await until(lambda: all("lost" in protocol.events for protocol in made))
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
