"""The two ways of TLS's bytes, and what an idle connection costs."""

import asyncio
import gc
import ssl
import weakref

import pytest
from tls_support import client_context, ended, needs_openssl, pair, server_context, with_peer

from support import Recorder, gone, until

pytestmark = needs_openssl


class Mine(ssl.SSLObject):
    """What somebody has derived must be heard: so bytes go through it."""

    read_calls = 0

    def read(self, *args):
        Mine.read_calls += 1
        return super().read(*args)


def contexts(direct):
    server, client = server_context(), client_context()
    if not direct:
        server.sslobject_class = client.sslobject_class = Mine
    return server, client


@pytest.mark.parametrize("direct", [True, False])
def test_bytes_take_the_way_that_the_object_allows(run, direct):
    async def main():
        server, other, client = await pair(contexts=contexts(direct))
        assert client.transport._ssl_protocol._direct is direct
        before = Mine.read_calls
        big = bytes(range(256)) * 5000
        client.transport.write(b"small")
        client.transport.write(big)
        other.transport.write(big)
        await until(lambda: len(other.data) == len(big) + 5 and len(client.data) == len(big))
        assert other.data == b"small" + big
        assert client.data == big
        assert (Mine.read_calls == before) is direct
        await ended(server, client, other)

    run(main())


@pytest.mark.parametrize("direct", [True, False])
def test_broken_records_are_an_error_on_both_ways(run, direct):
    async def main():
        theirs = server_context()
        transport, protocol, peer = await with_peer(Recorder(), server_side=False, context=theirs)
        broken = bytearray(peer.records(b"broken"))
        broken[-1] ^= 1
        peer.sock.sendall(broken)
        await gone(protocol)
        assert isinstance(protocol.lost, ssl.SSLError)
        assert transport.is_closing()
        peer.sock.close()

    run(main())


def test_everything_dies_with_the_connection(run):
    async def main():
        server, other, client = await pair()
        protocol = client.transport._ssl_protocol
        found = [weakref.ref(protocol), weakref.ref(client.transport), weakref.ref(protocol._sslobj)]
        del protocol
        await ended(server, client, other)
        client.transport = other.transport = None
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in found] == [None] * len(found)

    run(main())


def test_a_write_out_of_turn_is_sent_at_once(loop):
    """While the loop does not run there is no end of a turn to wait for."""

    async def open_both():
        return await pair()

    server, other, client = loop.run_until_complete(open_both())
    client.transport.write(b"between runs")
    loop.run_until_complete(until(lambda: other.data == b"between runs"))
    loop.run_until_complete(ended(server, client, other))


def test_writes_of_one_turn_are_few_records(run):
    async def main():
        transport, protocol, peer = await with_peer(Recorder(), server_side=True)
        for _ in range(20):
            transport.write(b"x" * 100)
        data = await asyncio.to_thread(peer.recv, 65536)
        assert len(data) == 2000
        transport.abort()
        await gone(protocol)
        peer.sock.close()

    run(main())


def test_reprs_say_what_it_is(run):
    async def main():
        server, other, client = await pair()
        assert repr(client.transport).startswith("<TlsTransport over <SocketTransport fd=")
        assert repr(client.transport._ssl_protocol).startswith("<TlsProtocol client WRAPPED over <SocketTransport")
        assert repr(other.transport._ssl_protocol).startswith("<TlsProtocol server WRAPPED")
        await ended(server, client, other)
        assert repr(client.transport) == "<TlsTransport closing>"

    run(main())
