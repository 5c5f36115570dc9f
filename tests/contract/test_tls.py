"""TLS from the caller's SSLContext: the handshake, what it makes known, bytes both ways, and the end."""

import asyncio
import logging
import ssl
import sys

import pytest
from tls_support import (
    LOCAL,
    certificate,
    client_context,
    connecting,
    ended,
    needs_openssl,
    pair,
    server_context,
    serving,
    with_peer,
)

from support import BufferedRecorder, Recorder, gone, until

pytestmark = needs_openssl

BIG = bytes(range(256)) * 4096 * 3  # 3 MiB


class Echo(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_go_both_ways_in_order(run, version):
    async def main():
        contexts = server_context(), client_context(maximum_version=version, minimum_version=version)
        server, echo, client = await pair(Echo(), Recorder(), contexts)
        client.transport.write(b"one ")
        client.transport.writelines([b"two ", bytearray(b"three "), memoryview(b"four")])
        await until(lambda: client.data == b"one two three four")
        assert client.transport.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        await ended(server, client, echo)
        assert echo.events == ["made", "data", "eof", "lost"]
        assert echo.lost is client.lost is None

    run(main())


def test_a_lot_of_data_goes_both_ways_at_once(run):
    async def main():
        server, echo, client = await pair(Echo(), Recorder())
        for start in range(0, len(BIG), 100_000):
            client.transport.write(BIG[start : start + 100_000])
        await until(lambda: len(client.data) == len(BIG), 30)
        assert client.data == BIG
        await ended(server, client, echo)

    run(main())


def test_small_writes_of_one_turn_arrive_whole_and_in_order(run):
    async def main():
        server, other, client = await pair()
        parts = [b"%d," % number * (number % 700) for number in range(500)]
        for part in parts:
            client.transport.write(part)
        await until(lambda: len(other.data) == len(b"".join(parts)))
        assert other.data == b"".join(parts)
        await ended(server, client, other)

    run(main())


class Views(BufferedRecorder):
    def get_buffer(self, sizehint):
        return memoryview(super().get_buffer(sizehint))


def test_a_buffered_protocol_gets_every_byte(run):
    async def main():
        small = Views(size=1000)
        server, _, client = await pair(small, Recorder())
        client.transport.write(BIG[:200_000])
        await until(lambda: len(small.data) == 200_000)
        assert small.data == BIG[:200_000]
        await ended(server, client, small)
        assert small.events == ["made", "data", "eof", "lost"]

    run(main())


def test_what_the_handshake_found_out_can_be_asked(run):
    async def main():
        contexts = server_context(), client_context()
        server, other, client = await pair(contexts=contexts)
        transport = client.transport
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_extra_info("sslcontext") is contexts[1]
        assert other.transport.get_extra_info("sslcontext") is contexts[0]
        found = transport.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        assert found.server_hostname == "localhost"
        assert transport.get_extra_info("cipher") == found.cipher()
        assert transport.get_extra_info("compression") is None
        assert ("DNS", "localhost") in transport.get_extra_info("peercert")["subjectAltName"]
        assert other.transport.get_extra_info("peercert") is None
        assert transport.get_extra_info("peername") == other.transport.get_extra_info("sockname")
        assert transport.get_extra_info("socket").fileno() >= 0
        assert transport.get_extra_info("unheard of", "default") == "default"
        assert transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            transport.write_eof()
        assert transport.get_protocol() is client
        await ended(server, client, other)

    run(main())


def test_names_of_servers_and_protocols_are_agreed_on(run):
    async def main():
        seen = []
        plain, special = server_context(), server_context("special.test")
        for context in (plain, special):
            context.set_alpn_protocols(["h2", "http/1.1"])

        def choose(ssl_object, name, context):
            seen.append(name)
            if name == "special.test":
                ssl_object.context = special

        plain.sni_callback = choose
        trusting = client_context("special.test")
        trusting.set_alpn_protocols(["nothing", "http/1.1"])
        server, address = await serving(Recorder, plain)
        transport, client = await connecting(Recorder, address, trusting, server_hostname="special.test")
        assert seen == ["special.test"]
        assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await ended(server, client)

    run(main())


def test_a_server_may_ask_for_the_clients_certificate(run):
    async def main():
        asking = server_context(verify_mode=ssl.CERT_REQUIRED)
        asking.load_verify_locations(certificate("client.test")[0])
        knowing = client_context()
        knowing.load_cert_chain(*certificate("client.test"))
        server, other, client = await pair(contexts=(asking, knowing))
        subject = dict(part[0] for part in other.transport.get_extra_info("peercert")["subject"])
        assert subject["commonName"] == "client.test"
        await ended(server, client, other)

    run(main())


def test_a_client_without_the_certificate_asked_for_is_turned_away(run):
    async def main():
        made = []
        # With TLS 1.2 the client learns of it in the handshake.
        asking = server_context(verify_mode=ssl.CERT_REQUIRED, maximum_version=ssl.TLSVersion.TLSv1_2)
        asking.load_verify_locations(certificate("client.test")[0])
        server, address = await serving(lambda: made.append(Recorder()) or made[-1], asking)
        with pytest.raises(OSError):
            await connecting(Recorder, address)
        server.close()
        await server.wait_closed()
        assert [recorder.events for recorder in made] == [[]]

    run(main())


# asyncio's exception keeps the socket alive, open, until the next collection (cpython #109534).
@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize(("trusted", "hostname"), [("other.test", "localhost"), ("localhost", "wrong.test")])
def test_a_certificate_that_does_not_fit_is_refused(run, trusted, hostname):
    async def main():
        server, address = await serving(Recorder)
        client = Recorder()
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await connecting(lambda: client, address, client_context(trusted), server_hostname=hostname)
        assert caught.value.verify_code
        assert client.events == []
        server.close()
        await server.wait_closed()

    run(main())


def test_an_empty_host_name_switches_its_check_off(run):
    async def main():
        server, address = await serving(Recorder)
        lenient = client_context(check_hostname=False)
        transport, client = await connecting(Recorder, address, lenient, server_hostname="")
        assert transport.get_extra_info("ssl_object").server_hostname is None
        await ended(server, client)

    run(main())


def test_keys_are_logged_where_the_context_says(run, tmp_path):
    async def main():
        server, other, client = await pair(
            contexts=(None, client_context(keylog_filename=str(tmp_path / "keys"), check_hostname=True))
        )
        client.transport.write(b"x")
        await until(lambda: other.data == b"x")
        await ended(server, client, other)

    run(main())
    assert "TRAFFIC_SECRET" in (tmp_path / "keys").read_text()


def test_a_session_can_be_asked_for(run):
    async def main():
        server, echo, client = await pair(Echo(), Recorder())
        client.transport.write(b"x")
        await until(lambda: client.data == b"x")
        assert client.transport.get_extra_info("ssl_object").session is not None
        assert client.transport.get_extra_info("ssl_object").session_reused is False
        await ended(server, client, echo)

    run(main())


def test_the_end_of_one_side_is_the_end_of_both(run):
    async def main():
        # eof_received() cannot keep a TLS connection open.
        server, other, client = await pair(Recorder(keep_open=True), Recorder())
        client.transport.write(b"last words")
        client.transport.close()
        assert client.transport.is_closing()
        await gone(other, client)
        assert other.data == b"last words"
        assert other.events == ["made", "data", "eof", "lost"]
        assert "eof" not in client.events or client.events == ["made", "eof", "lost"]
        server.close()
        await server.wait_closed()

    run(main())


def test_everything_written_before_close_arrives(run):
    async def main():
        server, other, client = await pair()
        client.transport.write(BIG)
        client.transport.close()
        await gone(other, client)
        assert other.data == BIG
        assert client.lost is None
        server.close()
        await server.wait_closed()

    run(main())


def test_abort_ends_at_once_without_an_error_on_this_side(run):
    async def main():
        server, other, client = await pair()
        client.transport.abort()
        assert client.transport.is_closing()
        await gone(other, client)
        assert client.events == ["made", "lost"]
        assert client.lost is None
        server.close()
        await server.wait_closed()

    run(main())


def test_writes_after_the_end_are_dropped_and_then_warned_of(run, caplog):
    async def main():
        server, other, client = await pair()
        await ended(server, client, other)
        with caplog.at_level(logging.WARNING, "asyncio"):
            for _ in range(6):
                client.transport.write(b"nobody")
            assert [record.getMessage() for record in caplog.records] == ["SSL connection is closed"] * 2

    run(main())


@pytest.mark.parametrize("data", ["text", 5, None, [b"x"]])
def test_only_bytes_can_be_written(run, data):
    async def main():
        server, other, client = await pair()
        with pytest.raises(TypeError):
            client.transport.write(data)
        await ended(server, client, other)

    run(main())


def test_a_protocol_can_be_exchanged(run):
    async def main():
        server, other, client = await pair()
        second = BufferedRecorder()
        second.events.append("made")
        other.transport.set_protocol(second)
        assert other.transport.get_protocol() is second
        client.transport.write(b"for the second")
        await until(lambda: second.data == b"for the second")
        assert other.data == b""
        client.transport.close()
        await gone(client, second)
        server.close()
        await server.wait_closed()

    run(main())


# asyncio forgets the socket that it has connected already.
@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("seconds", [0, -1.5])
def test_a_time_limit_must_be_positive(run, option, seconds):
    async def main():
        server, address = await serving(Recorder)
        with pytest.raises(ValueError, match=f"{option} should be a positive number, got {seconds}"):
            await connecting(Recorder, address, **{option: seconds})
        server.close()
        await server.wait_closed()

    run(main())


@pytest.mark.parametrize("option", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
def test_a_time_limit_without_tls_is_refused(run, loop, option):
    with pytest.raises(ValueError, match=f"{option} is only meaningful with ssl"):
        run(loop.create_connection(asyncio.Protocol, LOCAL, 1, **{option: 1}))
    with pytest.raises(ValueError, match=f"{option} is only meaningful with ssl"):
        run(loop.create_server(asyncio.Protocol, LOCAL, 0, **{option: 1}))


def test_a_server_needs_a_context(run, loop):
    with pytest.raises(TypeError, match="ssl argument must be an SSLContext or None"):
        run(loop.create_server(asyncio.Protocol, LOCAL, 0, ssl=True))


# asyncio swallows the error, unless in debug mode.
@pytest.mark.loop_kinds("tideloop")
def test_a_context_that_cannot_serve_is_told_of(run, exception_reports):
    async def main():
        server, address = await serving(Recorder, client_context())
        with pytest.raises(OSError):
            await connecting(Recorder, address)
        server.close()
        await server.wait_closed()

    run(main())
    assert len(exception_reports) == 1


@pytest.mark.parametrize("server_side", [True, False])
def test_an_accepted_or_connected_socket_is_taken_over(run, server_side):
    async def main():
        transport, protocol, peer = await with_peer(Recorder(), server_side=server_side)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, peer.send, b"from the peer")
        await until(lambda: protocol.data == b"from the peer")
        transport.write(b"to the peer")
        assert await loop.run_in_executor(None, peer.recv_exactly, 11) == b"to the peer"
        transport.abort()
        await gone(protocol)
        peer.sock.close()

    run(main())


def test_a_protocol_that_raises_loses_its_connection(run, exception_reports):
    class Raises(Recorder):
        def data_received(self, data):
            raise ZeroDivisionError("no")

    async def main():
        server, other, client = await pair(Raises(), Recorder())
        client.transport.write(b"x")
        await gone(other, client)
        assert isinstance(other.lost, ZeroDivisionError)
        server.close()
        await server.wait_closed()

    run(main())
    assert [report.getMessage().splitlines()[0] for report in exception_reports] == ["Fatal error on SSL protocol"]


def test_streams_speak_tls(run):
    async def main():
        async def handle(reader, writer):
            while line := await reader.readline():
                writer.write(line.upper())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, LOCAL, 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address, ssl=client_context(), server_hostname="localhost")
        for number in range(50):
            writer.write(b"line %d\n" % number)
        await writer.drain()
        for number in range(50):
            assert await reader.readline() == b"LINE %d\n" % number
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the context is kept from 3.12 on")
def test_callbacks_run_in_the_context_of_their_connection(run):
    import contextvars

    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    class Looks(Recorder):
        def data_received(self, data):
            super().data_received(data)
            seen.append(variable.get())

    async def main():
        variable.set("inside")
        server, other, client = await pair(Looks(), Recorder())
        client.transport.write(b"x")
        await until(lambda: other.data == b"x")
        await ended(server, client, other)

    run(main())
    assert seen == ["inside"]
