"""Bugs of TLS that users of other loops met, each with its number: none of them may be ours."""

import asyncio
import gc
import logging
import socket
import ssl
import time
import weakref

import pytest
from tls_support import (
    LOCAL,
    Peer,
    client_context,
    connecting,
    ended,
    needs_openssl,
    pair,
    server_context,
    serving,
    with_peer,
)

from support import BufferedRecorder, Recorder, gone, reports, until

pytestmark = needs_openssl

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")


@BOTH
def test_a_peer_that_hangs_up_without_a_word_is_not_waited_for(run):
    """uvloop #471, aiohttp #6762: the socket stayed for the whole shutdown timeout, 30 s."""

    async def main():
        transport, protocol, peer = await with_peer(Recorder(), server_side=True)
        start = time.monotonic()
        transport.close()
        peer.sock.close()
        await gone(protocol)
        assert time.monotonic() - start < 10

    run(main())


def test_connection_lost_is_called_when_start_tls_fails(run, loop):
    """uvloop #552, #639: a protocol that had its connection_made() never heard of the end."""

    async def main():
        other, client = Recorder(), Recorder()
        server = await loop.create_server(lambda: other, LOCAL, 0)
        await loop.create_connection(lambda: client, *server.sockets[0].getsockname())
        with pytest.raises(ConnectionAbortedError, match=r"taking longer than 0\.05 seconds"):
            await loop.start_tls(
                client.transport, client, client_context(), server_hostname="x", ssl_handshake_timeout=0.05
            )
        await gone(client, other)
        assert isinstance(client.lost, ConnectionAbortedError)
        server.close()
        await server.wait_closed()

    run(main())


def test_what_a_reader_holds_already_belongs_to_the_handshake(run):
    """uvloop #707, #708, cpython #142352: the client's first flight was lost with the reader's buffer."""

    async def main():
        async def handle(reader, writer):
            assert await reader.readline() == b"PROXY TCP4\n"
            await until(lambda: reader._buffer)
            await writer.start_tls(server_context())
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, LOCAL, 0)

        def client():
            with socket.create_connection(server.sockets[0].getsockname(), 10) as sock:
                peer = Peer(sock, client_context(), server_side=False)
                with pytest.raises(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                sock.sendall(b"PROXY TCP4\n" + peer.outgoing.read())
                peer.handshake()
                peer.send(b"hello\n")
                answer = peer.recv_exactly(6)
                peer.unwrap()
                return answer

        assert await asyncio.to_thread(client) == b"HELLO\n"
        server.close()
        await server.wait_closed()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main())


def test_a_reader_pauses_the_transport_that_it_has_after_start_tls(run):
    """cpython #152431: it still paused the one from before."""

    async def main():
        seen = []

        async def handle(reader, writer):
            await writer.start_tls(server_context())
            seen.append(reader._transport is writer.transport)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, LOCAL, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await writer.start_tls(client_context(), server_hostname="localhost")
        assert await reader.read() == b""
        assert reader._transport is writer.transport
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        await until(lambda: len(asyncio.all_tasks()) == 1)
        assert seen == [True]

    run(main())


def test_a_failed_start_leaves_nothing_for_the_collector(run, loop):
    """cpython #159049: the exception's traceback led back to itself, and kept the transport until a collection."""

    async def main():
        other, client, refused = Recorder(), asyncio.Protocol(), []
        server = await loop.create_server(lambda: other, LOCAL, 0)
        made, _ = await loop.create_connection(lambda: client, *server.sockets[0].getsockname())
        transport = weakref.ref(made)
        del made
        await until(lambda: other.transport is not None)
        accepting = loop.create_task(loop.start_tls(other.transport, other, server_context(), server_side=True))
        gc.disable()
        try:
            try:  # pytest.raises() would make a cycle of its own
                await loop.start_tls(transport(), client, client_context("other.test"), server_hostname="localhost")
            except ssl.SSLCertVerificationError:
                refused.append(True)
            await until(lambda: transport() is None)
        finally:
            gc.enable()
        assert refused
        with pytest.raises(OSError):
            await accepting
        await gone(other)
        server.close()
        await server.wait_closed()

    run(main())


def test_a_bytearray_is_a_good_buffer(run):
    """cpython #156275: what did not fit the first record was written to a copy, and NULs were delivered."""

    async def main():
        small = BufferedRecorder(size=100)
        server, _, client = await pair(small, Recorder())
        message = bytes(range(256)) * 100
        for start in range(0, len(message), 30):
            client.transport.write(message[start : start + 30])
        await until(lambda: len(small.data) == len(message))
        assert small.data == message
        await ended(server, client, small)

    run(main())


@BOTH
def test_a_buffered_protocol_that_pauses_in_the_middle_loses_nothing(run):
    """cpython #133112 and its kin."""

    class Pauses(BufferedRecorder):
        def get_buffer(self, sizehint):
            return memoryview(super().get_buffer(sizehint))

        def buffer_updated(self, nbytes):
            super().buffer_updated(nbytes)
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.001, self.transport.resume_reading)

    async def main():
        slow = Pauses(size=5000)
        server, _, client = await pair(slow, Recorder())
        message = bytes(range(256)) * 400
        client.transport.write(message)
        await until(lambda: len(slow.data) == len(message))
        assert slow.data == message
        await ended(server, client, slow)

    run(main())


def test_a_protocol_may_write_from_wherever_it_is_called(run):
    """asyncpg #700, picows #40, bitfinex #197: IndexError, deque index out of range."""

    class Writes(Recorder):
        def pause_writing(self):
            super().pause_writing()
            self.transport.write(b"p" * 1000)

        def resume_writing(self):
            super().resume_writing()
            self.transport.write(b"r" * 1000)

        def eof_received(self):
            super().eof_received()
            self.transport.write(b"e" * 1000)

        def connection_lost(self, exc):
            self.transport.write(b"l" * 1000)
            super().connection_lost(exc)

    async def main():
        server, other, client = await pair(Recorder(), Writes())
        client.transport.set_write_buffer_limits(high=50_000)
        other.transport.pause_reading()
        while client.events.count("pause") < 1:
            client.transport.write(b"d" * 100_000)
            await asyncio.sleep(0)
        other.transport.resume_reading()
        await until(lambda: client.events.count("resume") >= 1 and client.transport.get_write_buffer_size() == 0)
        await until(lambda: other.data.endswith(b"r" * 1000))
        assert b"p" * 1000 in other.data
        await ended(server, other, client)

    run(main())


def test_an_error_of_the_system_in_a_handshake_ends_the_connection(run):
    """zuvloop #174: OSError in a handshake left connection and waiter behind."""

    class Fails(ssl.SSLObject):
        def do_handshake(self):
            raise OSError(5, "from the handshake")

    async def main():
        context = client_context()
        context.sslobject_class = Fails
        server, address = await serving(Recorder)
        client = Recorder()
        with pytest.raises(OSError, match="from the handshake"):
            await connecting(lambda: client, address, context)
        assert client.events == []
        server.close()
        await server.wait_closed()

    run(main())


def test_data_that_comes_while_we_close_is_no_error(run):
    """cpython: APPLICATION_DATA_AFTER_CLOSE_NOTIFY reached connection_lost() and wait_closed()."""

    async def main():
        transport, protocol, peer = await with_peer(Recorder(), server_side=True)
        transport.close()
        peer.sock.sendall(peer.records(b"still talking", b"x" * 50_000) + peer.close_notify())
        await gone(protocol)
        assert protocol.lost is None
        assert protocol.data == b""
        peer.sock.close()

    run(main())


def test_the_peer_is_told_why_it_is_refused(run):
    """With asyncio the alert stays in a buffer, and the peer sees a connection that just ends."""

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        peer = Peer(theirs, server_context(), server_side=True)

        def shake():
            with pytest.raises(ssl.SSLError) as caught:
                peer.handshake()
                peer.recv()
            return caught.value.reason

        shaking = loop.run_in_executor(None, shake)
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.create_connection(Recorder, sock=ours, ssl=client_context("other.test"), server_hostname="x")
        assert "UNKNOWN_CA" in await shaking
        theirs.close()

    run(main())


def test_bytes_before_a_broken_record_are_delivered(run):
    """asyncio throws away what it has decrypted of the same read."""

    async def main():
        transport, protocol, peer = await with_peer(Recorder(), server_side=True)
        broken = bytearray(peer.records(b"good"))
        start = len(broken)
        broken += peer.records(b"bad")
        broken[start + 10] ^= 1
        peer.sock.sendall(broken)
        await gone(protocol)
        assert protocol.data == b"good"
        assert isinstance(protocol.lost, ssl.SSLError)
        # OpenSSL says the latter from 3.2 on.
        assert protocol.lost.reason in ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "RECORD_LAYER_FAILURE")
        assert transport.is_closing()
        peer.sock.close()

    run(main())


def test_a_server_with_debug_on_reports_failed_handshakes(run, loop, caplog):
    async def main():
        server, address = await serving(Recorder)
        with socket.create_connection(address) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            await until(lambda: seen)
        server.close()
        await server.wait_closed()

    loop.set_debug(True)
    loop.slow_callback_duration = 10
    with reports(loop) as seen, caplog.at_level(logging.CRITICAL, "asyncio"):
        run(main())
        assert [context["message"] for context in seen] == ["Error on transport creation for incoming connection"]
        assert isinstance(seen[0]["exception"], ssl.SSLError)
        assert seen[0]["exception"].reason == "HTTP_REQUEST"
        seen.clear()
