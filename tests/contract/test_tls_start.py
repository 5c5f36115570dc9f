"""start_tls: TLS on a connection that is in use; and TLS inside of TLS."""

import asyncio
import ssl

import pytest
from tls_support import LOCAL, client_context, ended, needs_openssl, server_context, serving

from support import BufferedRecorder, Recorder, gone, until

pytestmark = needs_openssl


async def plain_pair(server_protocol, client_protocol):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: server_protocol, LOCAL, 0)
    await loop.create_connection(lambda: client_protocol, *server.sockets[0].getsockname())
    await until(lambda: server_protocol.transport is not None)
    return server


async def upgrade(server_protocol, client_protocol, contexts=(None, None), **options):
    """Both sides of a connection go over to TLS at the same time."""
    loop = asyncio.get_running_loop()
    accepts = loop.start_tls(
        server_protocol.transport, server_protocol, contexts[0] or server_context(), server_side=True, **options
    )
    connects = loop.start_tls(
        client_protocol.transport,
        client_protocol,
        contexts[1] or client_context(),
        server_hostname="localhost",
        **options,
    )
    server_protocol.transport, client_protocol.transport = await asyncio.gather(accepts, connects)


def test_a_connection_in_use_goes_over_to_tls(run):
    async def main():
        other, client = Recorder(), Recorder()
        server = await plain_pair(other, client)
        client.transport.write(b"plain ")
        await until(lambda: other.data == b"plain ")
        await upgrade(other, client)
        client.transport.write(b"secret")
        await until(lambda: other.data == b"plain secret")
        assert client.transport.get_extra_info("ssl_object") is not None
        assert client.events == ["made"]
        await ended(server, client, other)
        assert other.events == ["made", "data", "eof", "lost"]

    run(main())


def test_buffered_protocols_go_over_to_tls(run):
    async def main():
        other, client = BufferedRecorder(), Recorder()
        server = await plain_pair(other, client)
        await upgrade(other, client)
        client.transport.write(b"secret")
        await until(lambda: other.data == b"secret")
        await ended(server, client, other)

    run(main())


def test_tls_runs_inside_of_tls(run):
    async def main():
        other, client = Recorder(), Recorder()
        server = await plain_pair(other, client)
        await upgrade(other, client)
        await upgrade(other, client)
        big = bytes(300_000)
        client.transport.write(big)
        other.transport.write(b"back")
        await until(lambda: len(other.data) == len(big) and client.data == b"back")
        other.transport.close()
        client.transport.close()
        await gone(other, client)
        server.close()
        await server.wait_closed()

    run(main())


def test_streams_go_over_to_tls(run):
    async def main():
        async def handle(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"ready\n")
            await writer.drain()
            await writer.start_tls(server_context())
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, LOCAL, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"STARTTLS\n")
        assert await reader.readline() == b"ready\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"hello\n")
        assert await reader.readline() == b"HELLO\n"
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main())


def test_what_is_no_context_or_transport_is_refused(run, loop):
    async def main():
        other, client = Recorder(), Recorder()
        server = await plain_pair(other, client)
        with pytest.raises(TypeError, match="sslcontext is expected to be an instance of ssl.SSLContext, got None"):
            await loop.start_tls(client.transport, client, None)
        with pytest.raises(TypeError, match=r"is not supported by start_tls\(\)"):
            await loop.start_tls(asyncio.Transport(), client, client_context())
        await ended(server, client, other)

    run(main())


def test_a_refused_certificate_closes_the_connection(run):
    async def main():
        other, client = Recorder(), Recorder()
        server = await plain_pair(other, client)
        loop = asyncio.get_running_loop()
        accepting = loop.create_task(loop.start_tls(other.transport, other, server_context(), server_side=True))
        with pytest.raises(ssl.SSLCertVerificationError):
            await loop.start_tls(client.transport, client, client_context(), server_hostname="wrong.test")
        with pytest.raises(OSError):
            await accepting
        await gone(other, client)
        server.close()
        await server.wait_closed()

    run(main())


def test_a_cancelled_start_closes_the_connection(run):
    async def main():
        other, client = Recorder(), Recorder()
        server = await plain_pair(other, client)
        starting = asyncio.get_running_loop().create_task(
            asyncio.get_running_loop().start_tls(client.transport, client, client_context(), server_hostname="x")
        )
        await until(lambda: len(other.data) > 100)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await gone(other)
        server.close()
        await server.wait_closed()

    run(main())


@pytest.mark.parametrize("paused_side", ["server", "client"])
def test_reading_pauses_and_resumes(run, paused_side):
    async def main():
        protocols = {"server": Recorder(), "client": Recorder()}
        server, address = await serving(lambda: protocols["server"])
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: protocols["client"], *address, ssl=client_context(), server_hostname="localhost"
        )
        await until(lambda: protocols["server"].transport is not None)
        reader = protocols.pop(paused_side)
        (writer,) = protocols.values()
        reader.transport.pause_reading()
        assert not reader.transport.is_reading()
        writer.transport.write(b"waits")
        await asyncio.sleep(0.05)
        assert reader.data == b""
        reader.transport.resume_reading()
        assert reader.transport.is_reading()
        await until(lambda: reader.data == b"waits")
        await ended(server, reader, writer)

    run(main())


def test_a_peer_that_does_not_read_pauses_the_writer(run):
    async def main():
        other, client = Recorder(), Recorder()
        server, address = await serving(lambda: other)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: client, *address, ssl=client_context(), server_hostname="localhost")
        await until(lambda: other.transport is not None)
        other.transport.pause_reading()
        total = 0
        while "pause" not in client.events:
            client.transport.write(bytes(100_000))
            total += 100_000
            await asyncio.sleep(0)
            assert total < 100_000_000
        assert client.transport.get_write_buffer_size() > 0
        other.transport.resume_reading()
        await until(lambda: "resume" in client.events)
        await until(lambda: len(other.data) == total)
        assert client.transport.get_write_buffer_size() == 0
        await ended(server, client, other)

    run(main())


def test_limits_can_be_set_and_asked_for(run):
    async def main():
        other, client = Recorder(), Recorder()
        server, address = await serving(lambda: other)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: client, *address, ssl=client_context(), server_hostname="localhost")
        transport = client.transport
        assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        for limits in ({"high": 1, "low": 2}, {"high": -1}):
            with pytest.raises(ValueError, match="must be >= low"):
                transport.set_write_buffer_limits(**limits)
        assert transport.get_read_buffer_limits() == (64 * 1024, 256 * 1024)
        transport.set_read_buffer_limits(high=8)
        assert transport.get_read_buffer_limits() == (2, 8)
        assert transport.get_read_buffer_size() == 0
        await until(lambda: other.transport is not None)
        await ended(server, client, other)

    run(main())
