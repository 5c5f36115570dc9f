"""What a TCP transport tells of itself: its type, extra information, repr."""

import asyncio
import socket

import pytest

from support import Recorder, connected, gone


async def closed(transport, protocol, peer):
    transport.close()
    await gone(protocol)
    peer.close()


def test_transport_is_asyncios_to_isinstance(loop):
    """uvloop and rloop: it is not, and aiohttp asks."""

    async def main():
        transport, protocol, peer = await connected()
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.ReadTransport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert isinstance(transport, asyncio.BaseTransport)
        assert not isinstance(transport, asyncio.DatagramTransport)
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_addresses_are_those_of_the_socket(loop):
    async def main():
        transport, protocol, peer = await connected()
        assert transport.get_extra_info("sockname") == peer.getpeername()
        assert transport.get_extra_info("peername") == peer.getsockname()
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_addresses_are_known_in_connection_made(loop):
    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.peername = transport.get_extra_info("peername")
            self.sockname = transport.get_extra_info("sockname")

    async def main():
        transport, protocol, peer = await connected(Protocol())
        assert protocol.peername == peer.getsockname()
        assert protocol.sockname == peer.getpeername()
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_addresses_of_version_six_have_four_parts(loop):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def main():
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            transport, protocol = await loop.create_connection(Recorder, *listener.getsockname()[:2])
            peer, address = listener.accept()
            assert transport.get_extra_info("sockname") == address
            assert len(address) == 4
            assert transport.get_extra_info("peername") == listener.getsockname()
            await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_socket_is_a_transport_socket(loop):
    """uvloop: a PseudoSocket."""

    async def main():
        transport, protocol, peer = await connected()
        sock = transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert transport.get_extra_info("socket") is sock
        assert sock.family == socket.AF_INET
        assert sock.type == socket.SOCK_STREAM
        assert sock.getpeername() == peer.getsockname()
        assert sock.fileno() >= 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.gettimeout() == 0
        sock.setblocking(False)
        with pytest.raises(ValueError, match="transport sockets cannot be blocking"):
            sock.setblocking(True)
        assert not hasattr(sock, "send")
        assert not hasattr(sock, "close")
        duplicate = sock.dup()
        assert duplicate.getpeername() == peer.getsockname()
        duplicate.close()
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_unknown_keys_give_the_default(loop):
    async def main():
        transport, protocol, peer = await connected()
        assert transport.get_extra_info("nonsense") is None
        assert transport.get_extra_info("nonsense", 7) == 7
        assert transport.get_extra_info("sslcontext") is None
        assert transport.get_extra_info("ssl_object") is None
        assert transport.get_extra_info("peername", 7) != 7
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_small_packets_are_not_delayed(loop):
    async def main():
        transport, protocol, peer = await connected()
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_accepted_connections_do_not_delay_small_packets(loop):
    async def main():
        made = loop.create_future()

        class Protocol(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                made.set_result(self)

        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        peer = socket.create_connection(server.sockets[0].getsockname())
        protocol = await made
        sock = protocol.transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert protocol.transport.get_extra_info("peername") == peer.getsockname()
        assert protocol.transport.get_extra_info("sockname") == peer.getpeername()
        await closed(protocol.transport, protocol, peer)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())


def test_repr_tells_the_state(loop):
    async def main():
        transport, protocol, peer = await connected(sndbuf=8192, rcvbuf=8192)
        fd = transport.get_extra_info("socket").fileno()
        text = repr(transport)
        assert f"fd={fd}" in text
        assert "read=" in text
        assert "write=<idle, bufsize=0>" in text
        transport.write(b"x" * 3_000_000)
        assert "write=<polling, bufsize=" in repr(transport)
        transport.abort()
        assert "closing" in repr(transport)
        await gone(protocol)
        await asyncio.sleep(0)
        assert "closed" in repr(transport)
        peer.close()

    loop.run_until_complete(main())


def test_descriptor_of_a_transport_is_refused_to_readers_and_writers(loop):
    async def main():
        transport, protocol, peer = await connected()
        sock = transport.get_extra_info("socket")
        for method, arguments in [
            (loop.add_reader, (print,)),
            (loop.add_writer, (print,)),
            (loop.remove_reader, ()),
            (loop.remove_writer, ()),
        ]:
            with pytest.raises(RuntimeError, match=f"File descriptor {sock.fileno()} is used by transport"):
                method(sock.fileno(), *arguments)
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_descriptor_is_free_again_after_the_loss(loop):
    async def main():
        transport, protocol, peer = await connected()
        fd = transport.get_extra_info("socket").fileno()
        await closed(transport, protocol, peer)
        await asyncio.sleep(0)
        left, right = socket.socketpair()
        with left, right:
            reused = [sock for sock in (left, right) if sock.fileno() == fd]
            assert reused, "the descriptor was closed and is given out again"
            loop.add_reader(fd, print)
            assert loop.remove_reader(fd)

    loop.run_until_complete(main())


def test_transport_can_be_hashed_and_weakly_referenced(loop):
    import weakref

    async def main():
        transport, protocol, peer = await connected()
        assert {transport: 1}[transport] == 1
        assert weakref.ref(transport)() is transport
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


def test_transport_takes_part_in_sendfile_by_its_attribute(loop):
    """uvloop #228, #549; aiohttp asks for it."""

    async def main():
        transport, protocol, peer = await connected()
        assert transport._sendfile_compatible is not None
        await closed(transport, protocol, peer)

    loop.run_until_complete(main())


@pytest.mark.parametrize("when", ["made", "paused"])
def test_descriptor_of_a_transport_that_does_not_read_is_refused_too(loop, when):
    refused = []

    def attempt(transport):
        fd = transport.get_extra_info("socket").fileno()
        for method, arguments in ((loop.add_reader, (print,)), (loop.add_writer, (print,)), (loop.remove_reader, ())):
            with pytest.raises(RuntimeError, match=f"File descriptor {fd} is used by transport"):
                method(fd, *arguments)
        refused.append(fd)

    class Made(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            if when == "made":
                attempt(transport)

    async def main():
        transport, protocol, peer = await connected(Made())
        if when == "paused":
            transport.pause_reading()
            attempt(transport)
        assert len(refused) == 1
        transport.close()
        await gone(protocol)
        # The number is free for everybody when the transport has gone.
        with socket.socket() as other:
            assert loop.remove_reader(other) is False
        peer.close()

    loop.run_until_complete(main())


def test_sock_recv_on_the_descriptor_of_a_paused_transport_is_refused(loop):
    async def main():
        transport, protocol, peer = await connected()
        transport.pause_reading()
        with transport.get_extra_info("socket").dup() as copy:
            own = socket.socket(fileno=transport.get_extra_info("socket").fileno())
            try:
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.sock_recv(own, 10)
            finally:
                own.detach()
            # Another descriptor of the same connection is nobody's.
            loop.call_soon(peer.send, b"x")
            copy.setblocking(False)
            assert await loop.sock_recv(copy, 10) == b"x"
        transport.close()
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())
