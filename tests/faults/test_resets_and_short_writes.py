"""Peers that reset, vanish or stay half open, in every state of a connection; kernels that take few bytes at a time."""

import asyncio
import contextlib
import errno
import os
import socket

import pytest
from channels import (
    CAT,
    PIPES,
    SOCKETS,
    client_context,
    open_channel,
    open_pipe,
    read_to_end,
    server_context,
    tcp_pair,
)

from support import BufferedRecorder, Recorder, connected, gone, reports, reset, until

pytestmark = pytest.mark.loop_kinds("asyncio", "tideloop")

PAYLOAD = os.urandom(700_001)
BROKEN = (errno.ECONNRESET, errno.EPIPE)


async def idle(transport, protocol, peer):
    pass


async def reading(transport, protocol, peer):
    peer.sendall(b"x" * 1000)
    await until(lambda: protocol.data)


async def paused(transport, protocol, peer):
    transport.pause_reading()
    peer.sendall(b"x" * 1000)


async def writing(transport, protocol, peer):
    transport.write(PAYLOAD * 8)


async def half_closed(transport, protocol, peer):
    transport.write(b"x")
    transport.write_eof()


async def half_closed_while_writing(transport, protocol, peer):
    transport.write(PAYLOAD * 8)
    transport.write_eof()


async def half_closed_by_the_peer(transport, protocol, peer):
    protocol.keep_open = True
    peer.shutdown(socket.SHUT_WR)
    await until(lambda: "eof" in protocol.events)


async def closing(transport, protocol, peer):
    transport.write(PAYLOAD * 8)
    transport.close()


STATES = [idle, reading, paused, writing, half_closed, half_closed_while_writing, half_closed_by_the_peer, closing]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
@pytest.mark.parametrize("protocol_class", [Recorder, BufferedRecorder])
def test_reset_in_every_state_ends_the_connection_once(loop, state, protocol_class):
    async def main():
        transport, protocol, peer = await connected(protocol_class(), sndbuf=8192, rcvbuf=8192)
        if protocol_class is BufferedRecorder:
            protocol.eof_received = lambda: (protocol.events.append("eof"), state is half_closed_by_the_peer)[1]
        await state(transport, protocol, peer)
        reset(peer)
        # A transport that neither reads nor writes learns of it at its next write.
        for _ in range(3):
            await asyncio.sleep(0.001)
            if state in (paused, half_closed_by_the_peer):
                transport.write(b"x")
        await gone(protocol)
        assert protocol.events.count("lost") == 1
        assert isinstance(protocol.lost, OSError)
        assert protocol.lost.errno in BROKEN
        if state not in (half_closed, half_closed_while_writing):
            transport.write(b"dropped")
        transport.close()
        transport.abort()
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert seen == []


TLS_STATES = [idle, reading, paused, writing, closing]


@pytest.mark.parametrize("state", TLS_STATES, ids=lambda state: state.__name__)
def test_reset_in_every_state_of_a_tls_connection_ends_it_once(loop, state):
    async def main():
        transport, protocol, peer = await open_channel("tls", small=True)
        await state(transport, protocol, peer)
        reset(peer)
        if state is paused:
            transport.resume_reading()
        await gone(protocol)
        assert protocol.events.count("lost") == 1
        assert protocol.lost is None or isinstance(protocol.lost, OSError)
        transport.write(b"dropped")
        transport.close()
        transport.abort()
        await asyncio.sleep(0)

    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert seen == []


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_connections_that_are_reset_before_they_are_accepted_do_not_disturb_the_server(loop, tls):
    async def main():
        server = await loop.create_server(
            lambda: made.append(Recorder()) or made[-1], "127.0.0.1", 0, ssl=server_context() if tls else None
        )
        address = server.sockets[0].getsockname()
        for _ in range(50):
            reset(socket.create_connection(address))
        options = {"ssl": client_context(), "server_hostname": "localhost"} if tls else {}
        transport, protocol = await loop.create_connection(Recorder, *address, **options)
        transport.write(b"x")
        await until(lambda: any(server_side.data == b"x" for server_side in made))
        transport.close()
        await gone(protocol)
        await gone(*[server_side for server_side in made if server_side.events])
        server.close()

    made = []
    with reports(loop) as seen:
        loop.run_until_complete(main())
    assert [context for context in seen if not isinstance(context.get("exception"), OSError)] == []
    seen.clear()


@pytest.mark.parametrize("call", ["sock_recv", "sock_recv_into", "sock_sendall"])
def test_reset_is_raised_from_every_sock_call(loop, call):
    async def main():
        ours, theirs = await tcp_pair(True)
        arguments = {"sock_recv": (100,), "sock_recv_into": (bytearray(100),), "sock_sendall": (PAYLOAD * 20,)}[call]
        task = asyncio.ensure_future(getattr(loop, call)(ours, *arguments))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()
        reset(theirs)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(task, 10)
        ours.close()

    loop.run_until_complete(main())


def test_reset_is_raised_from_streams_on_both_sides(loop):
    async def main():
        async def serve(reader, writer):
            try:
                await reader.readexactly(10)
            except (OSError, asyncio.IncompleteReadError) as exc:
                told.append(type(exc))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.sendall(b"half")
        await asyncio.sleep(0.005)
        reset(client)
        await until(lambda: told)
        assert told == [ConnectionResetError]
        server.close()
        await asyncio.sleep(0)

    told = []
    loop.run_until_complete(main())


# asyncio's writelines() of 3.12.0 to 3.12.8 and of 3.13.0 and 3.13.1 forgets flow control (cpython #127655).
@pytest.mark.loop_kinds("tideloop")
@pytest.mark.parametrize("kind", SOCKETS)
def test_kernel_that_takes_few_bytes_at_a_time_gets_all_of_them_in_order(loop, kind):
    async def main():
        transport, protocol, peer = await open_channel(kind, small=True)
        pieces = [PAYLOAD[start : start + 7_777] for start in range(0, len(PAYLOAD), 7_777)]
        for number, piece in enumerate(pieces):
            if number % 3 == 0:
                transport.writelines([piece[:100], bytearray(piece[100:])])
            else:
                transport.write(memoryview(piece))
            if number % 10 == 0:
                await asyncio.sleep(0)
        assert "pause" in protocol.events
        received = asyncio.ensure_future(asyncio.to_thread(read_to_end, peer))
        transport.close()
        assert await received == PAYLOAD
        await gone(protocol)
        assert protocol.lost is None
        # The end of a TLS stream is answered in kind.
        assert [event for event in protocol.events if event != "eof"] == ["made", "pause", "resume", "lost"]
        peer.close()

    loop.run_until_complete(main())


def test_pipe_that_takes_few_bytes_at_a_time_gets_all_of_them_in_order(loop):
    async def main():
        transport, protocol, peer = await open_pipe("write pipe", small=True)
        for start in range(0, len(PAYLOAD), 7_777):
            transport.write(PAYLOAD[start : start + 7_777])
        received = asyncio.ensure_future(asyncio.to_thread(peer.read))
        transport.close()
        assert await received == PAYLOAD
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


def test_child_that_reads_little_at_a_time_gets_all_of_it_in_order(loop):
    async def main():
        child = await asyncio.create_subprocess_exec(*CAT, stdin=-1, stdout=-1)
        output, _ = await child.communicate(PAYLOAD)
        assert output == PAYLOAD

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", SOCKETS)
def test_half_open_peer_is_found_out_by_a_time_limit_and_leaves_nothing(loop, kind):
    """The peer is there for the kernel, but never answers and never closes."""

    async def main():
        transport, protocol, peer = await open_channel(kind, small=True)
        transport.write(PAYLOAD)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await loop.create_future()
        assert "lost" not in protocol.events
        transport.abort()
        await gone(protocol)
        assert protocol.lost is None
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])  # TLS of asyncio's kind ends both ways at once
def test_peer_that_half_closes_still_gets_everything(loop, kind):
    async def main():
        transport, protocol, peer = await open_channel(kind, Recorder(keep_open=True), small=True)
        transport.write(PAYLOAD)
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in protocol.events)
        transport.write(PAYLOAD)
        received = asyncio.ensure_future(asyncio.to_thread(read_to_end, peer))
        transport.close()
        assert await received == PAYLOAD * 2
        await gone(protocol)
        peer.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", PIPES)
def test_pipe_whose_other_end_is_gone_ends_once(loop, kind):
    async def main():
        transport, protocol, peer = await open_pipe(kind)
        peer.close()
        if kind == "write pipe":
            transport.write(b"dropped")
            transport.write(b"dropped")
        await gone(protocol)
        assert protocol.events.count("lost") == 1
        assert protocol.lost is None or isinstance(protocol.lost, OSError)

    loop.run_until_complete(main())
