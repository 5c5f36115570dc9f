"""Datagrams over Unix sockets: paths, abstract names, senders without a name."""

import asyncio
import os
import pathlib
import socket
import stat

import pytest
from datagrams import DatagramRecorder, endpoint, endpoints, name_of, read_all

from support import until


@pytest.fixture
def paths(tmp_path):
    # A path of a socket has 107 bytes at most.
    return [os.path.relpath(tmp_path / name) for name in "ab"]


def unix(**options):
    return {"family": socket.AF_UNIX, **options}


def test_datagrams_between_paths(loop, run, paths):
    here, there = paths

    async def main():
        async with endpoints(unix(local_addr=here), unix(local_addr=there, remote_addr=here)) as made:
            (server, serving), (client, asking) = made
            assert (name_of(server), name_of(client)) == (here, there)
            assert client.get_extra_info("peername") == here
            client.sendto(b"question")
            await until(lambda: serving.datagrams == [(b"question", there)])
            server.sendto(b"answer", there)
            await until(lambda: asking.datagrams == [(b"answer", here)])

    run(main())


def test_abstract_names(loop, run):
    """zuvloop #86: the peer's name came without its zero byte, or not at all."""
    here, there = (f"\0tideloop-{os.getpid()}-{name}" for name in ("here", "there"))

    async def main():
        async with endpoints(unix(local_addr=here), unix(local_addr=there, remote_addr=here)) as made:
            (server, serving), (client, asking) = made
            assert client.get_extra_info("peername") == here.encode()
            client.sendto(b"question")
            await until(lambda: serving.datagrams == [(b"question", there.encode())])
            server.sendto(b"answer", serving.datagrams[0][1])
            await until(lambda: asking.datagrams == [(b"answer", here.encode())])

    run(main())


def test_a_sender_without_a_name_is_none(loop, run, paths):
    async def main():
        async with endpoints(unix(local_addr=paths[0]), unix(remote_addr=paths[0])) as made:
            (_, serving), (client, _) = made
            assert name_of(client) == ""
            client.sendto(b"guess who")
            await until(lambda: serving.datagrams == [(b"guess who", None)])

    run(main())


def test_a_datagram_may_be_larger_than_any_of_ip(loop, run, paths):
    async def main():
        async with endpoints(unix(local_addr=paths[0]), unix(remote_addr=paths[0])) as made:
            (_, serving), (client, _) = made
            client.sendto(bytes(150_000))
            await until(lambda: serving.data == [bytes(150_000)])

    run(main())


def test_a_stale_file_gives_way_and_another_does_not(loop, run, paths):
    async def main():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
            left.bind(paths[0])
        async with endpoint(local_addr=paths[0], family=socket.AF_UNIX):
            assert stat.S_ISSOCK(os.stat(paths[0]).st_mode)
        pathlib.Path(paths[1]).write_text("precious")
        with pytest.raises(OSError):
            await loop.create_datagram_endpoint(DatagramRecorder, paths[1], family=socket.AF_UNIX)

    run(main())


def test_nobody_at_the_path(loop, run, paths):
    async def main():
        with pytest.raises(FileNotFoundError):
            await loop.create_datagram_endpoint(DatagramRecorder, remote_addr=paths[0], family=socket.AF_UNIX)
        async with endpoint(local_addr=paths[1], family=socket.AF_UNIX) as (transport, protocol):
            transport.sendto(b"anybody?", paths[0])
            assert [type(error) for error in protocol.errors] == [FileNotFoundError]
            assert not transport.is_closing()

    run(main())


def test_a_socket_that_is_passed(loop, run, paths):
    """uvloop #196: sending to a path was refused, as an address that needs a lookup."""

    async def main():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(paths[0])
        async with endpoint(sock=sock) as (transport, protocol):
            transport.sendto(b"to myself", paths[0])
            await until(lambda: protocol.datagrams == [(b"to myself", paths[0])])

    run(main())


def test_a_family_alone_is_enough(loop, run, paths):
    """uvloop #403."""

    async def main():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.bind(paths[0])
            peer.setblocking(False)
            async with endpoint(family=socket.AF_UNIX) as (transport, _):
                transport.sendto(b"hello", paths[0])
                assert await read_all(peer, 1) == [b"hello"]

    run(main())


def test_many_arrive_in_order(loop, run, paths):
    async def main():
        async with endpoints(unix(local_addr=paths[0]), unix(remote_addr=paths[0])) as made:
            (_, serving), (client, _) = made
            for number in range(1000):
                client.sendto(b"%d" % number)
            await until(lambda: len(serving.data) == 1000)
            assert serving.data == [b"%d" % number for number in range(1000)]

    run(main())


def test_closing_in_datagram_received(loop, run, paths):
    class OneIsEnough(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            self.transport.close()

    async def main():
        async with endpoint(OneIsEnough, local_addr=paths[0], family=socket.AF_UNIX) as (transport, protocol):
            for _ in range(3):
                transport.sendto(b"x", paths[0])
            await until(lambda: "lost" in protocol.events)
            assert protocol.events == ["made", "data", "lost"]
            await asyncio.sleep(0)

    run(main())
