"""Unix stream sockets: connecting, listening, names, files."""

import asyncio
import contextlib
import logging
import os
import pathlib
import socket
import stat
import sys

import pytest

from support import Recorder, gone, reset, until

CLEANS_UP = sys.version_info >= (3, 13)


@pytest.fixture
def path(tmp_path):
    # A path of a socket has 107 bytes at most.
    return os.path.relpath(tmp_path / "s")


@contextlib.asynccontextmanager
async def served(path=None, **options):
    """A server that writes down its connections, as a list of recorders."""
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    server = await asyncio.get_running_loop().create_unix_server(factory, path, **options)
    try:
        yield server, made
    finally:
        server.close()
        await until(lambda: all(protocol.transport for protocol in made))
        for protocol in made:
            protocol.transport.abort()
        await gone(*made)
        await server.wait_closed()


async def ended(transport, protocol):
    transport.abort()
    await gone(protocol)


def spellings(path):
    return [path, os.fsencode(path), pathlib.Path(path)]


@pytest.mark.parametrize("spelling", range(3), ids=["str", "bytes", "PathLike"])
def test_bytes_go_both_ways(loop, run, path, spelling):
    async def main():
        async with served(spellings(path)[spelling]) as (_, made):
            transport, protocol = await loop.create_unix_connection(Recorder, spellings(path)[spelling])
            transport.write(b"there")
            await until(lambda: made and made[0].data == b"there")
            made[0].transport.write(b"back")
            await until(lambda: protocol.data == b"back")
            transport.write_eof()
            await until(lambda: "eof" in made[0].events)
            await gone(protocol, made[0])
            assert protocol.lost is None and made[0].lost is None

    run(main())


def test_abstract_names(loop, run):
    name = f"\0tideloop-test-{os.getpid()}"

    async def main():
        async with served(name) as (server, made):
            assert server.sockets[0].getsockname() == name.encode()
            transport, protocol = await loop.create_unix_connection(Recorder, name.encode())
            assert transport.get_extra_info("peername") == name.encode()
            assert transport.get_extra_info("sockname") == ""
            await until(lambda: made and made[0].transport)
            assert made[0].transport.get_extra_info("sockname") == name.encode()
            assert made[0].transport.get_extra_info("peername") == ""
            await ended(transport, protocol)

    run(main())


def test_names_are_answered_before_and_after_the_end(loop, run, path, tmp_path):
    theirs = os.path.relpath(tmp_path / "client")

    async def main():
        async with served(path) as (_, made):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(theirs)
            sock.connect(path)
            transport, protocol = await loop.create_unix_connection(Recorder, sock=sock)
            await until(lambda: made and made[0].transport)
            here, there = transport, made[0].transport
            for _ in range(2):
                assert (here.get_extra_info("sockname"), here.get_extra_info("peername")) == (theirs, path)
                assert (there.get_extra_info("sockname"), there.get_extra_info("peername")) == (path, theirs)
                transport.abort()
                await gone(protocol, made[0])
            assert here.get_extra_info("socket").family == socket.AF_UNIX

    run(main())


def test_the_sockets_are_what_asyncio_gives(loop, run, path):
    async def main():
        async with served(path) as (server, made):
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            await until(lambda: made and made[0].transport)
            for one in (transport, made[0].transport):
                assert isinstance(one, asyncio.Transport)
                sock = one.get_extra_info("socket")
                assert sock.family == socket.AF_UNIX and sock.type == socket.SOCK_STREAM
                assert sock.gettimeout() == 0
            assert isinstance(server, asyncio.AbstractServer)
            assert stat.S_ISSOCK(os.stat(path).st_mode)
            await ended(transport, protocol)

    run(main())


def test_credentials_of_the_peer_can_be_asked_for(loop, run, path):
    async def main():
        async with served(path) as (_, made):
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            await until(lambda: made and made[0].transport)
            sock = made[0].transport.get_extra_info("socket")
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            assert int.from_bytes(raw[:4], sys.byteorder) == os.getpid()
            await ended(transport, protocol)

    run(main())


def test_large_writes_pause_and_resume(loop, run, path):
    class Slow(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    made = []

    async def main():
        server = await loop.create_unix_server(lambda: made.append(Slow()) or made[-1], path)
        transport, protocol = await loop.create_unix_connection(Recorder, path)
        payload = bytes(range(256)) * (1 << 14)
        transport.write(payload)
        await until(lambda: "pause" in protocol.events and made and made[0].transport)
        assert transport.get_write_buffer_size() > 0
        made[0].transport.resume_reading()
        await until(lambda: "resume" in protocol.events)
        transport.close()
        await gone(protocol, *made)
        assert made[0].data == payload
        server.close()
        await server.wait_closed()

    run(main())


def test_a_connected_pair_is_taken_over(loop, run):
    async def main():
        ours, theirs = socket.socketpair()
        with theirs:
            transport, protocol = await loop.create_unix_connection(Recorder, sock=ours)
            theirs.sendall(b"ping")
            await until(lambda: protocol.data == b"ping")
            await ended(transport, protocol)

    run(main())


def test_an_accepted_socket_is_served(loop, run, path):
    async def main():
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
            listening.bind(path)
            listening.listen()
            client.connect(path)
            accepted, _ = listening.accept()
            transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
            client.sendall(b"ping")
            await until(lambda: protocol.data == b"ping")
            assert transport.get_extra_info("sockname") == path
            assert transport.get_extra_info("peername") == ""
            await ended(transport, protocol)

    run(main())


def test_a_peer_that_vanishes_with_bytes_unread_is_a_reset(loop, run, path):
    async def main():
        async with served(path) as (_, made):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                await until(lambda: made and made[0].transport)
                made[0].transport.write(b"never read")
                await asyncio.sleep(0)
                reset(client)
                await gone(made[0])
                assert isinstance(made[0].lost, ConnectionResetError)

    run(main())


def test_streams_over_a_path(loop, run, path):
    async def serve(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"line\n")
        assert await reader.read() == b"line\n"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main())


# Connecting.


def test_nobody_listens(loop, run, path):
    async def main():
        with pytest.raises(FileNotFoundError):
            await loop.create_unix_connection(Recorder, path)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Recorder, path)

    run(main())


def test_a_path_that_is_too_long(loop, run):
    async def main():
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            await loop.create_unix_connection(Recorder, "x" * 200)
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            await loop.create_unix_server(Recorder, "x" * 200)

    run(main())


def test_a_connection_waits_for_a_full_backlog(loop, run, path):
    async def main():
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(0)
            first, first_protocol = await loop.create_unix_connection(Recorder, path)
            # A full backlog is EAGAIN for a Unix socket, and a writer is never told when there is room.
            with contextlib.suppress(asyncio.TimeoutError, OSError):
                second = loop.create_unix_connection(Recorder, path)
                transport, protocol = await asyncio.wait_for(second, 0.05)
                await ended(transport, protocol)
            await ended(first, first_protocol)

    run(main())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict, "no path and sock were specified"),
        (lambda: {"path": "p", "sock": 1}, "path and sock can not be specified at the same time"),
        (lambda: {"path": "p", "ssl": True}, "you have to pass server_hostname when using ssl"),
        (lambda: {"path": "p", "server_hostname": "x"}, "server_hostname is only meaningful with ssl"),
        (lambda: {"path": "p", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
        (lambda: {"path": "p", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
def test_arguments_of_connections_that_contradict_each_other(loop, run, arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        run(loop.create_unix_connection(Recorder, **arguments()))


@pytest.mark.parametrize("method", ["create_unix_connection", "create_unix_server"])
@pytest.mark.parametrize("family_and_type", [("AF_INET", "SOCK_STREAM"), ("AF_UNIX", "SOCK_DGRAM")])
def test_a_socket_of_another_kind(loop, run, method, family_and_type):
    family, kind = (getattr(socket, name) for name in family_and_type)
    with (
        socket.socket(family, kind) as sock,
        pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected, got <socket"),
    ):
        run(getattr(loop, method)(Recorder, sock=sock))


# Listening.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict, "path was not specified, and no sock specified"),
        (lambda: {"path": "p", "sock": 1}, "path and sock can not be specified at the same time"),
        (lambda: {"path": "p", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
        (lambda: {"path": "p", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
    ],
)
def test_arguments_of_servers_that_contradict_each_other(loop, run, arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        run(loop.create_unix_server(Recorder, **arguments()))


def test_a_server_takes_no_bool_for_a_context(loop, run):
    with pytest.raises(TypeError, match=r"^ssl argument must be an SSLContext or None$"):
        run(loop.create_unix_server(Recorder, "p", ssl=True))


def test_a_stale_socket_file_gives_way(loop, run, path):
    async def main():
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        inode = os.stat(path).st_ino
        async with served(path):
            assert stat.S_ISSOCK(os.stat(path).st_mode)
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            await ended(transport, protocol)
        assert inode is not None

    run(main())


def test_another_file_does_not_give_way(loop, run, path):
    async def main():
        pathlib.Path(path).write_text("precious")
        with pytest.raises(OSError, match=f"Address {path!r} is already in use") as caught:
            await loop.create_unix_server(Recorder, path)
        assert caught.value.errno == 98
        assert pathlib.Path(path).read_text() == "precious"

    run(main())


def test_a_directory_that_does_not_exist(loop, run, path):
    with pytest.raises(FileNotFoundError):
        run(loop.create_unix_server(Recorder, f"{path}/missing"))


def test_an_abstract_name_that_is_taken(loop, run):
    name = f"\0tideloop-taken-{os.getpid()}"

    async def main():
        async with served(name):
            with pytest.raises(OSError, match="is already in use"):
                await loop.create_unix_server(Recorder, name)

    run(main())


def test_a_file_that_cannot_be_looked_at_is_logged(loop, run, path, caplog, monkeypatch, exception_reports):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    async def main():
        monkeypatch.setattr(os, "stat", refuse)
        async with served(path, **({"cleanup_socket": False} if CLEANS_UP else {})):
            monkeypatch.undo()

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(main())
    assert "Unable to check or remove stale UNIX socket" in caplog.text


def test_a_bound_socket_is_served(loop, run, path):
    async def main():
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        async with served(sock=sock) as (server, made):
            assert server.sockets[0].getsockname() == path
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            await until(lambda: made and made[0].transport)
            await ended(transport, protocol)

    run(main())


def test_a_server_that_does_not_start_yet(loop, run, path):
    async def main():
        async with served(path, start_serving=False) as (server, _):
            assert not server.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await loop.create_unix_connection(Recorder, path)
            await server.start_serving()
            transport, protocol = await loop.create_unix_connection(Recorder, path)
            await ended(transport, protocol)

    run(main())


# The socket file, which asyncio removes from 3.13 on.


def test_the_file_after_close_is_as_the_version_has_it(loop, run, path):
    async def main():
        async with served(path) as (server, _):
            server.close()
            assert os.path.exists(path) is not CLEANS_UP

    run(main())


@pytest.mark.skipif(not CLEANS_UP, reason="asyncio has cleanup_socket from 3.13 on")
class TestCleanup:
    def test_it_stays_where_the_caller_wants_it(self, loop, run, path):
        async def main():
            async with served(path, cleanup_socket=False):
                pass
            assert os.path.exists(path)

        run(main())

    def test_of_a_passed_socket_it_goes(self, loop, run, path):
        async def main():
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(path)
            async with served(sock=sock):
                pass
            assert not os.path.exists(path)

        run(main())

    def test_one_that_has_taken_its_place_stays(self, loop, run, path):
        async def main():
            async with served(path) as (first, _), served(path) as (second, _):
                first.close()
                assert os.path.exists(path)
                second.close()
                assert not os.path.exists(path)

        run(main())

    def test_one_that_is_gone_already_is_no_error(self, loop, run, path):
        async def main():
            async with served(path):
                os.unlink(path)

        run(main())
