"""TLS with peers that send garbage, stop in the middle of a handshake or never say goodbye: each ends within its time
limit, with a clear error, and everything is freed.
"""

import asyncio
import gc
import os
import socket
import ssl
import weakref

import pytest
from channels import client_context, open_channel, server_context, tcp_pair

from support import Recorder, gone, reports, reset, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

LIMIT_S = 0.05


def client_hello():
    """The first flight of a client."""
    outgoing = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def server_flight(hello):
    """What a server answers to it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context().wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return outgoing.read()


GARBAGE = {
    "zeros": bytes(4096),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "random": os.urandom(20_000),
    "huge record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "empty records": b"\x16\x03\x01\x00\x00" * 500,
}


async def freed(*references):
    """Everything that these weak references mean has died."""
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    await until(lambda: gc.collect() >= 0 and all(reference() is None for reference in references), 2)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda name: name.replace(" ", "_"))
def test_server_ends_a_connection_that_begins_with_garbage(loop, garbage):
    async def main():
        made = []
        server = await loop.create_server(
            lambda: made.append(Recorder()) or made[-1],
            "127.0.0.1",
            0,
            ssl=server_context(),
            ssl_handshake_timeout=5,
        )
        peer = socket.create_connection(server.sockets[0].getsockname())
        peer.settimeout(10)
        peer.sendall(GARBAGE[garbage])
        peer.shutdown(socket.SHUT_WR)

        def to_the_end():
            try:
                while peer.recv(4096):
                    pass
            except ConnectionResetError:
                pass

        await asyncio.to_thread(to_the_end)
        assert all("made" not in protocol.events for protocol in made)
        references = [weakref.ref(protocol) for protocol in made]
        made.clear()
        await freed(*references)
        peer.close()
        server.close()
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert all(isinstance(context["exception"], OSError) for context in seen), seen
    seen.clear()


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda name: name.replace(" ", "_"))
def test_client_of_a_server_that_sends_garbage_gets_an_ssl_error(loop, garbage):
    async def main():
        ours, theirs = await tcp_pair(False)
        made = []
        theirs.sendall(GARBAGE[garbage])
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await loop.create_connection(
                lambda: made.append(Recorder()) or made[-1],
                sock=ours,
                ssl=client_context(),
                server_hostname="localhost",
            )
        assert "made" not in made[0].events
        reference = weakref.ref(made.pop())
        await freed(reference)
        theirs.close()

    loop.run_until_complete(main())


ENDS = {"stays": lambda peer: None, "closes": lambda peer: peer.close(), "resets": reset}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_client_that_stops_in_the_middle_of_its_handshake_is_dropped(loop, share, end):
    """uvloop #471, aiohttp #6762: such sockets stayed for half a minute, or for good."""
    hello = client_hello()
    sent = hello[: round(len(hello) * share)]

    async def main():
        made = []
        server = await loop.create_server(
            lambda: made.append(Recorder()) or made[-1],
            "127.0.0.1",
            0,
            ssl=server_context(),
            ssl_handshake_timeout=LIMIT_S,
        )
        descriptors = len(os.listdir("/proc/self/fd"))
        peer = socket.create_connection(server.sockets[0].getsockname())
        peer.sendall(sent)
        await until(lambda: made)
        ENDS[end](peer)
        references = [weakref.ref(protocol) for protocol in made]
        assert made[0].events == []
        made.clear()
        left = descriptors + (end == "stays")
        await until(lambda: len(os.listdir("/proc/self/fd")) == left, 5)
        await freed(*references)
        peer.close()
        server.close()
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert all(isinstance(context["exception"], OSError) for context in seen), seen
    seen.clear()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_server_that_stops_in_the_middle_of_its_handshake_is_an_error_in_time(loop, share, end):
    async def main():
        ours, theirs = await tcp_pair(False)
        made = []

        def answer():
            flight = server_flight(theirs.recv(4096))
            theirs.sendall(flight[: round(len(flight) * share)])
            ENDS[end](theirs)

        answering = asyncio.ensure_future(asyncio.to_thread(answer))
        with pytest.raises((ConnectionError, ssl.SSLError)) as caught:
            await loop.create_connection(
                lambda: made.append(Recorder()) or made[-1],
                sock=ours,
                ssl=client_context(),
                server_hostname="localhost",
                ssl_handshake_timeout=LIMIT_S if end == "stays" else 5,
            )
        if end == "stays":
            assert isinstance(caught.value, ConnectionAbortedError)
            assert "SSL handshake is taking longer than" in str(caught.value)
        del caught
        await answering
        assert "made" not in made[0].events
        reference = weakref.ref(made.pop())
        await freed(reference)
        theirs.close()

    loop.run_until_complete(main())


def test_connect_over_tls_that_is_cancelled_frees_everything(loop):
    async def main():
        for turns in (1, 3, 10):
            ours, theirs = await tcp_pair(False)
            made = []
            connect = loop.create_connection(
                lambda: made.append(Recorder()) or made[-1],  # noqa: B023
                sock=ours,
                ssl=client_context(),
                server_hostname="localhost",
            )
            task = asyncio.ensure_future(connect)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            references = [weakref.ref(protocol) for protocol in made]
            made.clear()
            del connect, task
            theirs.close()
            await until(lambda: ours.fileno() == -1, 5)  # noqa: B023
            await freed(*references)

    loop.run_until_complete(main())


@pytest.mark.parametrize("data", [b"", b"unsent" * 100_000], ids=["idle", "with_data"])
def test_peer_that_never_says_goodbye_is_left_after_the_shutdown_limit(loop, data):
    """uvloop #471, #552, #639: connection_lost did not come, or half a minute late."""

    async def main():
        server = await loop.create_server(
            lambda: made.append(Recorder()) or made[-1],
            "127.0.0.1",
            0,
            ssl=server_context(),
            ssl_shutdown_timeout=LIMIT_S,
        )
        plain = socket.create_connection(server.sockets[0].getsockname())
        peer = await asyncio.to_thread(client_context().wrap_socket, plain, server_hostname="localhost")
        await until(lambda: made and made[0].events)
        protocol = made.pop()
        protocol.transport.write(data)
        protocol.transport.close()
        await gone(protocol)
        await asyncio.sleep(0)
        peer.close()
        server.close()
        await asyncio.sleep(0)

    made = []
    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert all(isinstance(context["exception"], OSError) for context in seen), seen
    seen.clear()


def test_garbage_in_the_middle_of_a_connection_ends_it(loop):
    async def main():
        _transport, protocol, peer = await open_channel("tls")
        peer.sendall(b"fine")
        await until(lambda: protocol.data == b"fine")
        with socket.socket(fileno=os.dup(peer.fileno())) as plain:
            plain.sendall(GARBAGE["random"])
        await gone(protocol)
        assert protocol.data == b"fine"
        assert isinstance(protocol.lost, ssl.SSLError)
        peer.close()

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert all(isinstance(context["exception"], OSError) for context in seen), seen
    seen.clear()
