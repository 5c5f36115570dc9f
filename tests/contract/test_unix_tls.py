"""TLS over Unix sockets."""

import asyncio
import os
import ssl

import pytest
from tls_support import client_context, needs_openssl, server_context

from support import Recorder, gone, until

pytestmark = needs_openssl


@pytest.fixture
def path(tmp_path):
    # A path of a socket has 107 bytes at most.
    return os.path.relpath(tmp_path / "s")


class Echo(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


def test_bytes_go_both_ways_and_the_certificate_is_checked(loop, run, path):
    async def main():
        made = []
        server = await loop.create_unix_server(
            lambda: made.append(Echo()) or made[-1], path, ssl=server_context(), ssl_handshake_timeout=20
        )
        transport, protocol = await loop.create_unix_connection(
            Recorder, path, ssl=client_context(), server_hostname="localhost", ssl_shutdown_timeout=20
        )
        payload = bytes(range(256)) * 1024
        transport.write(payload)
        await until(lambda: protocol.data == payload)
        assert transport.get_extra_info("peername") == path
        assert transport.get_extra_info("sslcontext").check_hostname
        assert transport.get_extra_info("ssl_object").server_hostname == "localhost"
        transport.close()
        await gone(protocol, made[0])
        server.close()
        await server.wait_closed()

    run(main())


def test_a_certificate_for_somebody_else_is_refused(loop, run, path):
    async def main():
        made = []
        server = await loop.create_unix_server(lambda: made.append(Echo()) or made[-1], path, ssl=server_context())
        with pytest.raises(ssl.CertificateError):
            await loop.create_unix_connection(Recorder, path, ssl=client_context(), server_hostname="elsewhere")
        await until(lambda: all("made" not in protocol.events or "lost" in protocol.events for protocol in made))
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)

    run(main())


def test_streams(run, path):
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def main():
        server = await asyncio.start_unix_server(serve, path, ssl=server_context())
        reader, writer = await asyncio.open_unix_connection(path, ssl=client_context(), server_hostname="localhost")
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main())
