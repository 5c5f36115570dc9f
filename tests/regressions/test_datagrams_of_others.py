"""Bugs that users of other loops met with datagrams, each with its number: none of them may be ours."""

import asyncio
import contextlib
import os
import socket

import pytest

from support import until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.received, self.errors, self.lost = [], [], False

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.received.append((data, address))

    def error_received(self, exc):
        self.errors.append(exc)

    def connection_lost(self, exc):
        self.lost = True


async def endpoint(**options):
    return await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, **options)


async def closed(*protocols):
    for protocol in protocols:
        protocol.transport.close()
    await until(lambda: all(protocol.lost for protocol in protocols))
    await asyncio.sleep(0)


def test_error_of_a_send_is_for_error_received_and_the_endpoint_lives_on(run):
    """uvloop #601, #545, #338: the transport was closed, without a word."""

    async def main():
        _, peer = await endpoint(local_addr=("127.0.0.1", 0))
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        transport.sendto(b"to port 0", ("127.0.0.1", 0))
        transport.sendto(b"broadcast without leave", ("255.255.255.255", 9))
        transport.sendto(bytes(70_000), peer.transport.get_extra_info("sockname"))
        await until(lambda: len(protocol.errors) == 3)
        assert all(isinstance(error, OSError) for error in protocol.errors)
        assert not protocol.lost
        assert not transport.is_closing()
        transport.sendto(b"alive", peer.transport.get_extra_info("sockname"))
        await until(lambda: peer.received)
        assert peer.received[0][0] == b"alive"
        await closed(peer, protocol)

    run(main())


def test_nobody_at_the_other_end_is_for_error_received(run):
    """uvloop #109: it was ignored."""

    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = nobody.getsockname()
        transport, protocol = await endpoint(remote_addr=address)
        transport.sendto(b"anybody?")
        await until(lambda: protocol.errors)
        assert isinstance(protocol.errors[0], ConnectionRefusedError)
        assert not protocol.lost
        await closed(protocol)

    run(main())


def test_local_and_remote_address_together(run):
    """uvloop #276."""

    async def main():
        _, server = await endpoint(local_addr=("127.0.0.1", 0))
        transport, client = await endpoint(
            local_addr=("127.0.0.1", 0), remote_addr=server.transport.get_extra_info("sockname")
        )
        transport.sendto(b"x")
        await until(lambda: server.received)
        assert server.received == [(b"x", transport.get_extra_info("sockname"))]
        await closed(server, client)

    run(main())


@pytest.mark.parametrize("connected", [False, True])
def test_socket_that_is_given_sends_to_whom_it_should(run, connected):
    """uvloop #319: nothing was sent, or EISCONN."""

    async def main():
        _, server = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.transport.get_extra_info("sockname")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if connected:
            sock.connect(address)
        transport, client = await endpoint(sock=sock)
        transport.sendto(b"x", *([] if connected else [address]))
        await until(lambda: server.received)
        assert not client.errors
        await closed(server, client)

    run(main())


def test_connected_endpoint_may_name_its_peer(run):
    """zuvloop #19; another address is a ValueError."""

    async def main():
        _, server = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.transport.get_extra_info("sockname")
        transport, client = await endpoint(remote_addr=address)
        transport.sendto(b"x", address)
        await until(lambda: server.received)
        with pytest.raises(ValueError, match="Invalid address"):
            transport.sendto(b"x", ("127.0.0.1", 1))
        await closed(server, client)

    run(main())


def test_name_of_a_host_is_looked_up(run):
    """uvloop #91: a ValueError."""

    async def main():
        _, server = await endpoint(local_addr=("127.0.0.1", 0))
        transport, client = await endpoint(local_addr=("127.0.0.1", 0))
        transport.sendto(b"x", ("localhost", server.transport.get_extra_info("sockname")[1]))
        await until(lambda: server.received or client.errors)
        assert server.received
        await closed(server, client)

    run(main())


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_unix_datagrams_by_address(run, tmp_path, abstract):
    """uvloop #196 ("requires a DNS lookup"), #403; zuvloop #86 (an abstract peer)."""

    async def main():
        # Abstract names are the whole machine's, and the same test may run in another process.
        prefix = f"\0tideloop-{os.getpid()}-" if abstract else f"{tmp_path}/"
        names = [prefix + "one", prefix + "two"]
        (_, one), (transport, two) = [await endpoint(local_addr=name, family=socket.AF_UNIX) for name in names]
        transport.sendto(b"x", names[0])
        await until(lambda: one.received)
        data, address = one.received[0]
        name = address.decode() if isinstance(address, bytes) else address
        assert (data, name) == (b"x", names[1])
        one.transport.sendto(b"y", address)
        await until(lambda: two.received)
        await closed(one, two)

    run(main())


def test_sock_calls_on_datagrams(run, loop):
    """uvloop #561, #655, #628: NotImplementedError."""

    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            for sock in (one, two):
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
            buffer = bytearray(10)
            receiving = asyncio.ensure_future(loop.sock_recvfrom(two, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"first", two.getsockname()) == 5
            assert await receiving == (b"first", one.getsockname())
            await loop.sock_sendto(one, b"second", two.getsockname())
            assert await loop.sock_recvfrom_into(two, buffer) == (6, one.getsockname())
            assert buffer[:6] == b"second"

    run(main())


def test_send_after_close_is_dropped_and_no_error(run):
    """zuvloop #17, uvloop #506."""

    async def main():
        transport, protocol = await endpoint(local_addr=("127.0.0.1", 0))
        address = transport.get_extra_info("sockname")
        transport.close()
        with contextlib.suppress(OSError):
            transport.sendto(b"x", address)
        await closed(protocol)
        assert protocol.received == []

    run(main())
