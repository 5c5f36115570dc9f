"""The protocol of streams, derived classes, and streams over TLS, pipes and child processes; with asyncio's names and
with Tideloop's."""

import asyncio
import gc
import os
import socket
import sys

import pytest
from stream_support import Served, echo, hang_up
from tls_support import client_context, server_context

from support import until


@pytest.fixture(params=["asyncio", "tideloop"])
def aio(request):
    """The module whose names the test uses."""
    return pytest.importorskip(request.param, exc_type=ImportError)


def test_derived_classes_are_heard(aio, run):
    async def main():
        log = []

        class Reader(aio.StreamReader):
            def feed_data(self, data):
                log.append(("fed", bytes(data)))
                super().feed_data(data)

        class Protocol(aio.StreamReaderProtocol):
            def connection_made(self, transport):
                log.append("made")
                super().connection_made(transport)

            def data_received(self, data):
                log.append(("received", data))
                super().data_received(data)

            def eof_received(self):
                log.append("eof")
                return super().eof_received()

            def connection_lost(self, exc):
                log.append("lost")
                super().connection_lost(exc)

            async def _drain_helper(self):
                log.append("drains")
                await super()._drain_helper()

        class Writer(aio.StreamWriter):
            def write(self, data):
                super().write(data.upper())

        loop = asyncio.get_running_loop()
        async with Served(aio, None, echo) as served:
            reader = Reader(loop=loop)
            protocol = Protocol(reader, loop=loop)
            address = served.server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(lambda: protocol, *address)
            writer = Writer(transport, protocol, reader, loop)
            writer.write(b"hello")
            await writer.drain()
            assert await reader.readexactly(5) == b"HELLO"
            writer.write_eof()
            assert await reader.read() == b""
            await hang_up(writer)
        assert log == ["made", "drains", ("received", b"HELLO"), ("fed", b"HELLO"), "eof", "lost"]

    run(main())


def test_methods_that_an_object_was_given_are_heard(aio, run):
    async def main():
        log = []
        loop = asyncio.get_running_loop()
        async with Served(aio, None, echo) as served:
            reader = aio.StreamReader(loop=loop)
            feed = reader.feed_data
            reader.feed_data = lambda data: (log.append(bytes(data)), feed(data))
            protocol = aio.StreamReaderProtocol(reader, loop=loop)
            transport, _ = await loop.create_connection(lambda: protocol, *served.server.sockets[0].getsockname())
            writer = aio.StreamWriter(transport, protocol, reader, loop)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            await hang_up(writer)
        assert log == [b"hello"]
        reader.__dict__.clear()

    run(main())


def test_a_reader_that_is_gone_is_fed_no_more(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        async with Served(aio, None, echo) as served:
            protocol = aio.StreamReaderProtocol(aio.StreamReader(loop=loop), loop=loop)
            gc.collect()
            assert protocol._stream_reader is None
            transport, _ = await loop.create_connection(lambda: protocol, *served.server.sockets[0].getsockname())
            transport.write(b"hello")
            transport.write_eof()
            for _ in range(10):
                await asyncio.sleep(0)
            transport.close()
            await protocol._get_close_waiter(None)

    run(main())


def test_a_protocol_set_later_gets_what_comes_then(aio, run):
    async def main():
        received = []

        class Plain(asyncio.Protocol):
            def data_received(self, data):
                received.append(data)

        async with Served(aio, None, echo) as served:
            reader, writer = await served.connect()
            stream = writer.transport.get_protocol()
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            writer.transport.set_protocol(Plain())
            writer.write(b"two")
            await until(lambda: received)
            assert received == [b"two"]
            writer.transport.set_protocol(stream)
            writer.write(b"three")
            assert await reader.readexactly(5) == b"three"
            await hang_up(writer)

    run(main())


def test_nothing_is_read_while_reading_is_paused(aio, run):
    async def main():
        async with Served(aio, None, echo) as served:
            reader, writer = await served.connect()
            writer.transport.pause_reading()
            writer.write(b"hello")
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert reader._buffer == b""
            writer.transport.resume_reading()
            assert await reader.readexactly(5) == b"hello"
            await hang_up(writer)

    run(main())


def test_tls_echo(aio, run):
    async def main():
        async with Served(aio, None, echo, ssl=server_context()) as served:
            reader, writer = await served.connect(ssl=client_context(), server_hostname="localhost")
            assert writer.get_extra_info("sslcontext") is not None
            assert not writer.can_write_eof()
            sent = os.urandom(1_000_000)
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            for number in range(20):
                writer.write(b"line %d\n" % number)
                await writer.drain()
                assert await reader.readline() == b"line %d\n" % number
            await hang_up(writer)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio loses what was read before")
def test_start_tls_of_a_writer(aio, run):
    async def main():
        async def upgraded(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"GO\n")
            await writer.start_tls(server_context())
            assert await reader.readline() == b"hello\n"
            writer.write(b"world\n")
            await writer.drain()
            await hang_up(writer)

        async with Served(aio, None, upgraded) as served:
            reader, writer = await served.connect()
            before = writer.transport
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"GO\n"
            await writer.start_tls(client_context(), server_hostname="localhost")
            assert writer.transport is not before
            assert writer._protocol._over_ssl
            assert writer._protocol._transport is writer.transport
            writer.write(b"hello\n")
            await writer.drain()
            assert await reader.readline() == b"world\n"
            assert await reader.read() == b""
            await hang_up(writer)

    run(main())


def test_streams_over_pipes(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        receiving, sending = os.pipe()
        reader = aio.StreamReader(loop=loop)
        protocol = aio.StreamReaderProtocol(reader, loop=loop)
        read_transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(receiving, "rb", 0))
        write_protocol = aio.StreamReaderProtocol(None, loop=loop)
        write_transport, _ = await loop.connect_write_pipe(lambda: write_protocol, os.fdopen(sending, "wb", 0))
        writer = aio.StreamWriter(write_transport, write_protocol, None, loop)
        assert repr(writer) == f"<StreamWriter transport={write_transport!r}>"
        sent = os.urandom(500_000)
        writer.write(sent)
        draining = asyncio.ensure_future(writer.drain())
        assert await reader.readexactly(len(sent)) == sent
        await draining
        writer.write(b"line\n")
        assert await reader.readline() == b"line\n"
        await hang_up(writer)
        assert await reader.read() == b""
        read_transport.close()
        await protocol._get_close_waiter(None)

    run(main())


def test_the_streams_of_a_child_process(aio, run):
    async def main():
        program = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('done')"
        child = await aio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=-1, stdout=-1, stderr=-1, limit=2**20
        )
        child.stdin.write(b"hello")
        await child.stdin.drain()
        child.stdin.close()
        await child.stdin.wait_closed()
        assert await child.stdout.read() == b"HELLO"
        assert await child.stderr.read() == b"done"
        assert await child.wait() == 0

    run(main())


class Closed(asyncio.Transport):
    def is_closing(self):
        return True


def test_a_writer_wants_asyncios_reader(aio, run):
    async def main():
        loop = asyncio.get_running_loop()
        protocol = aio.StreamReaderProtocol(None, loop=loop)
        with pytest.raises(AssertionError):
            aio.StreamWriter(Closed(), protocol, object(), loop)

    run(main())


def test_pausing_twice_is_a_mistake(aio, run):
    async def main():
        protocol = aio.StreamReaderProtocol(None, loop=asyncio.get_running_loop())
        with pytest.raises(AssertionError):
            protocol.resume_writing()
        protocol.pause_writing()
        with pytest.raises(AssertionError):
            protocol.pause_writing()
        protocol.resume_writing()

    run(main())


def test_a_connection_that_was_given_up_is_aborted(aio, loop):
    reports = []
    loop.set_exception_handler(lambda _loop, context: reports.append(context["message"]))

    async def main():
        ours, theirs = socket.socketpair()
        with theirs:
            protocol = aio.StreamReaderProtocol(None, loop=loop)
            protocol._reject_connection = True
            transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
            await until(lambda: theirs.recv(1) == b"")
            assert transport.is_closing()

    loop.run_until_complete(main())
    [message] = reports
    assert message.startswith("An open stream was garbage collected prior to establishing network connection")
