"""Bugs of other loops with the caller's own sockets, each with its number: none of them may be ours."""

import asyncio
import contextlib
import gc
import io
import socket

import pytest
from sock_pairs import stream_pair

from support import connected, receive_all

BOTH = pytest.mark.loop_kinds("asyncio", "tideloop")


@BOTH
def test_datagrams_on_plain_sockets(run):
    """uvloop #561, #628, #655: sock_recvfrom, sock_recvfrom_into and sock_sendto are not there."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for each in (one, other):
                each.bind(("127.0.0.1", 0))
                each.setblocking(False)
            receiving = loop.create_task(loop.sock_recvfrom(other, 1000))
            assert await loop.sock_sendto(one, b"question", other.getsockname()) == 8
            data, sender = await receiving
            assert data == b"question"
            buffer = bytearray(100)
            receiving = loop.create_task(loop.sock_recvfrom_into(one, buffer, 50))
            await loop.sock_sendto(other, b"answer", sender)
            assert await receiving == (6, other.getsockname())

    run(main())


@BOTH
@pytest.mark.parametrize("fallback", [True, False])
def test_files_are_sent(run, tmp_path, fallback):
    """uvloop #228, #549: NotImplementedError, even where reading and writing would do."""

    async def main():
        loop = asyncio.get_running_loop()
        (tmp_path / "file").write_bytes(b"content" * 1000)
        with (tmp_path / "file").open("rb") as file:
            transport, _, peer = await connected()
            assert await loop.sendfile(transport, io.BytesIO(file.read()) if fallback else file) == 7000
            transport.close()
            assert await loop.run_in_executor(None, receive_all, peer) == b"content" * 1000
            peer.close()
            ours, peer = socket.socketpair()
            ours.setblocking(False)
            with ours:
                assert await loop.sock_sendfile(ours, file, fallback=fallback) == 7000
            assert await loop.run_in_executor(None, receive_all, peer) == b"content" * 1000
            peer.close()

    run(main())


@BOTH
def test_a_cancelled_sock_connect_closes_nothing(run):
    """uvloop #645: the descriptor was closed by the loop and by its owner, and the second hit somebody else's."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            for turns in range(6):
                client = socket.socket()
                client.setblocking(False)
                connecting = loop.create_task(loop.sock_connect(client, listener.getsockname()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                await asyncio.wait([connecting])
                assert client.fileno() >= 0
                client.close()
                # Whoever opens a descriptor now gets the number that was just freed.
                with contextlib.ExitStack() as stack:
                    pairs = [stack.enter_context(stream_pair()) for _ in range(3)]
                    gc.collect()
                    await asyncio.sleep(0)
                    for ours, peer in pairs:
                        peer.send(b"x")
                        assert await asyncio.wait_for(loop.sock_recv(ours, 1), 10) == b"x"

    run(main())


@BOTH
def test_a_socket_can_be_closed_right_after_remove_reader(run):
    """uvloop #61: the poller still had the descriptor, and the next owner of its number could not be added."""

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(5):
            with stream_pair() as (ours, peer):
                seen = loop.create_future()
                loop.add_reader(ours, lambda seen=seen: seen.done() or seen.set_result(None))
                peer.send(b"x")
                await asyncio.wait_for(seen, 10)
                assert loop.remove_reader(ours)

    run(main())


@BOTH
def test_the_reader_after_a_cancelled_one_receives(run):
    """cpython #30064: the cancelled call took the new call's registration with it."""

    async def main():
        loop = asyncio.get_running_loop()
        with stream_pair() as (ours, peer):
            first = loop.create_task(loop.sock_recv(ours, 1))
            await asyncio.sleep(0)
            first.cancel()
            loop.call_later(0.01, peer.send, b"1")
            assert await asyncio.wait_for(loop.sock_recv(ours, 1), 10) == b"1"
            assert first.cancelled()

    run(main())


@BOTH
def test_data_sent_before_the_cancellation_is_not_lost(run):
    """cpython #30064: sock_recv had taken the data in its callback, and the cancellation threw it away."""

    async def main():
        loop = asyncio.get_running_loop()
        with stream_pair() as (ours, peer):
            first = loop.create_task(loop.sock_recv(ours, 1))
            await asyncio.sleep(0)
            peer.send(b"1")
            first.cancel()
            await asyncio.wait([first])
            assert await asyncio.wait_for(loop.sock_recv(ours, 1), 10) == b"1"

    run(main())


@BOTH
def test_names_are_resolved_for_the_family_of_the_socket(run):
    """uvloop: sock_connect on an IPv4 socket was given an IPv6 address, and raised TypeError."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET) as client:
            client.setblocking(False)
            with pytest.raises(OSError, match="Connect call failed|[Rr]efused|assign"):
                await loop.sock_connect(client, ("localhost", 0))

    run(main())


@BOTH
def test_blocking_sockets_are_found_out_in_debug_mode(loop):
    """rloop: no ValueError, the loop hangs."""
    loop.set_debug(True)
    with stream_pair() as (ours, _):
        ours.setblocking(True)
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            loop.run_until_complete(loop.sock_recv(ours, 1))
    loop.set_debug(False)
