"""Making UDP endpoints: arguments, sockets, what is known of them."""

import asyncio
import errno
import logging
import socket

import pytest
from datagrams import LOCAL, DatagramRecorder, connected_pair, endpoint, name_of

from support import gone, until


def test_what_is_known_of_an_endpoint(loop, run):
    async def main():
        async with connected_pair() as (server, _, client, _asking):
            for transport in (server, client):
                assert isinstance(transport, asyncio.Transport)
                assert not transport.is_closing()
                sock = transport.get_extra_info("socket")
                assert sock.type == socket.SOCK_DGRAM and sock.gettimeout() == 0
                assert sock.getsockname() == name_of(transport)
                assert transport.get_extra_info("nothing", "default") == "default"
                assert transport.get_extra_info("nothing") is None
            assert server.get_extra_info("peername") is None
            assert client.get_extra_info("peername") == name_of(server)

    run(main())


def test_it_is_still_known_after_the_end(loop, run):
    async def main():
        async with connected_pair() as (server, _, client, asking):
            names = (name_of(client), name_of(server))
            client.close()
            await gone(asking)
            assert (name_of(client), client.get_extra_info("peername")) == names

    run(main())


def test_connection_made_comes_first_and_reading_after_it(loop, run):
    async def main():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(LOCAL)
        sock.sendto(b"was there before", sock.getsockname())
        async with endpoint(sock=sock) as (_, protocol):
            assert protocol.events[0] == "made"
            await until(lambda: protocol.events == ["made", "data"])

    run(main())


def test_a_socket_that_is_passed_is_used_as_it_is(loop, run):
    async def main():
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(LOCAL)
            ours.connect(peer.getsockname())
            async with endpoint(sock=ours) as (transport, protocol):
                # It is connected, so any address is passed over.
                transport.sendto(b"one")
                transport.sendto(b"two", ("127.0.0.1", 1))
                assert [peer.recv(10), peer.recv(10)] == [b"one", b"two"]
                peer.sendto(b"three", ours.getsockname())
                await until(lambda: protocol.data == [b"three"])

    run(main())


def test_broadcast_has_to_be_allowed(loop, run):
    async def main():
        async with endpoint() as (transport, protocol):
            transport.sendto(b"x", ("255.255.255.255", 9))
            assert [error.errno for error in protocol.errors] == [errno.EACCES]
            assert not transport.is_closing()
        async with endpoint(local_addr=LOCAL, allow_broadcast=True) as (transport, _):
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1

    run(main())


def test_with_broadcast_the_remote_address_is_not_connected_to(loop, run):
    async def main():
        async with (
            endpoint() as (server, serving),
            endpoint(remote_addr=name_of(server), allow_broadcast=True) as (client, asking),
            endpoint() as (stranger, _),
        ):
            assert client.get_extra_info("peername") is None
            client.sendto(b"question")
            with pytest.raises(ValueError, match="Invalid address: must be None or"):
                client.sendto(b"question", name_of(stranger))
            await until(lambda: serving.datagrams)
            # The kernel has given it a port when it sent.
            port = client.get_extra_info("socket").getsockname()[1]
            stranger.sendto(b"answer of another", ("127.0.0.1", port))
            await until(lambda: asking.datagrams == [(b"answer of another", name_of(stranger))])

    run(main())


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT here")
def test_a_port_can_be_shared(loop, run):
    async def main():
        async with endpoint(local_addr=LOCAL, reuse_port=True) as (one, _):
            async with endpoint(local_addr=name_of(one), reuse_port=True) as (two, _):
                assert name_of(one) == name_of(two)
            with pytest.raises(OSError) as caught:
                await loop.create_datagram_endpoint(DatagramRecorder, local_addr=name_of(one))
            assert caught.value.errno == errno.EADDRINUSE

    run(main())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "unexpected address family"),
        ({"local_addr": "127.0.0.1"}, TypeError, "2-tuple is expected"),
        ({"remote_addr": ("127.0.0.1", 1, 2)}, TypeError, "2-tuple is expected"),
        ({"remote_addr": ["127.0.0.1", 1]}, TypeError, "2-tuple is expected"),
        ({"local_addr": ("a", 1), "family": socket.AF_UNIX}, TypeError, "string is expected"),
        ({"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 9)}, ValueError, "can not get address information"),
    ],
)
def test_arguments_that_make_no_endpoint(loop, run, arguments, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        run(loop.create_datagram_endpoint(DatagramRecorder, **arguments))


@pytest.mark.parametrize(
    "modifier",
    [
        {"local_addr": ("127.0.0.1", 0)},
        {"remote_addr": ("127.0.0.1", 9)},
        {"family": 1},
        {"proto": 1},
        {"flags": 1},
        {"reuse_port": True},
        {"allow_broadcast": True},
    ],
    ids=lambda modifier: next(iter(modifier)),
)
def test_a_socket_and_something_to_make_one_of(loop, run, modifier):
    ((name, value),) = modifier.items()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError) as caught:
            run(loop.create_datagram_endpoint(DatagramRecorder, sock=sock, **modifier))
    assert str(caught.value) == (
        f"socket modifier keyword arguments can not be used when sock is specified. ({name}={value})"
    )


def test_a_stream_socket_is_refused(loop, run):
    with (
        socket.socket() as sock,
        pytest.raises(ValueError, match=r"^A (datagram socket|UDP Socket) was expected, got <socket"),
    ):
        run(loop.create_datagram_endpoint(DatagramRecorder, sock=sock))


def test_an_address_that_is_taken(loop, run):
    async def main():
        async with endpoint() as (transport, _):
            with pytest.raises(OSError) as caught:
                await loop.create_datagram_endpoint(DatagramRecorder, local_addr=name_of(transport))
            assert caught.value.errno == errno.EADDRINUSE

    run(main())


def test_a_factory_that_fails(loop, run):
    def factory():
        raise ZeroDivisionError

    async def main():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock, pytest.raises(ZeroDivisionError):
            await loop.create_datagram_endpoint(factory, sock=sock)

    run(main())


def test_the_descriptor_of_a_transport_is_not_watched_by_others(loop, run):
    async def main():
        async with endpoint() as (transport, _):
            fd = transport.get_extra_info("socket").fileno()
            with pytest.raises(RuntimeError, match=f"File descriptor {fd} is used by transport"):
                loop.add_reader(fd, print)

    run(main())


def test_debug_mode_says_what_was_made(loop, run, caplog):
    async def main():
        async with connected_pair():
            pass

    loop.set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main())
    assert "Datagram endpoint local_addr=" in caplog.text


def test_a_name_that_does_not_exist_is_an_error_with_its_code(loop, run):
    """zuvloop #14."""

    async def main():
        for which in ("local_addr", "remote_addr"):
            with pytest.raises(socket.gaierror) as caught:
                await loop.create_datagram_endpoint(
                    DatagramRecorder, flags=socket.AI_NUMERICHOST, **{which: ("not.a.number", 9)}
                )
            assert caught.value.errno == socket.EAI_NONAME

    run(main())


@pytest.mark.parametrize("which", ["local_addr", "remote_addr"])
def test_a_port_that_no_port_has_is_no_other_port(loop, run, which):
    """zuvloop #18."""
    with pytest.raises((OverflowError, socket.gaierror)):
        run(loop.create_datagram_endpoint(DatagramRecorder, **{which: ("127.0.0.1", 65536 + 80)}))
