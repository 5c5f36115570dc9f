"""Whoever waits at a socket, by sock_* calls or add_reader: several at once, and sockets that come and go."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sock_pairs import drain, fill, stream_pair

from support import until

Run = Callable[[Any], Any]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with stream_pair() as both:
        yield both


def test_a_reader_and_a_writer_wait_side_by_side(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        filled = fill(ours)
        reading = loop.create_task(loop.sock_recv(ours, 10))
        writing = loop.create_task(loop.sock_sendall(ours, b"last"))
        await asyncio.sleep(0.01)
        assert not reading.done()
        assert not writing.done()
        peer.send(b"for the reader")
        assert await reading == b"for the re"
        assert not writing.done()
        received = b""
        while not received.endswith(b"last"):
            received += drain(peer)
            await asyncio.sleep(0)
        assert len(received) == filled + 4
        await writing

    run(main())


def test_the_latest_reader_is_the_one_that_receives(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        second = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        peer.send(b"one")
        assert await second == b"one"
        assert not first.done()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()

    run(main())


def test_cancelling_the_reader_that_was_replaced_leaves_the_other_alone(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        second = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        peer.send(b"one")
        assert await second == b"one"

    run(main())


def test_add_reader_takes_the_place_of_sock_recv_and_the_other_way_round(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen = []
        waiting = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        loop.add_reader(ours, lambda: seen.append(ours.recv(10)))
        peer.send(b"for the reader")
        await until(lambda: b"".join(seen) == b"for the reader")
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        # The cancelled call did not take the reader with it.
        peer.send(b"more")
        await until(lambda: b"".join(seen) == b"for the readermore")
        waiting = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        peer.send(b"for the call")
        assert await waiting == b"for the ca"
        assert loop.remove_reader(ours) is False
        assert await loop.sock_recv(ours, 10) == b"ll"

    run(main())


def test_remove_reader_ends_the_wait_of_a_call(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        assert loop.remove_reader(ours) is True
        assert loop.remove_reader(ours) is False
        peer.send(b"x")
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await loop.sock_recv(ours, 10) == b"x"

    run(main())


def test_a_writer_of_add_writer_beside_a_call_that_reads(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(loop.sock_recv(ours, 10))
        await asyncio.sleep(0)
        writable = loop.create_future()
        loop.add_writer(ours, lambda: writable.done() or writable.set_result(None))
        await writable
        assert not waiting.done()
        peer.send(b"one")
        assert await waiting == b"one"
        assert loop.remove_writer(ours) is True
        loop.call_soon(peer.send, b"two")
        assert await loop.sock_recv(ours, 10) == b"two"

    run(main())


def test_a_level_triggered_reader_sees_what_came_while_nobody_waited(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(peer.send, b"one")
        assert await loop.sock_recv(ours, 10) == b"one"
        peer.send(b"two")
        await asyncio.sleep(0.01)  # the event comes, and nobody waits
        readable = loop.create_future()
        loop.add_reader(ours, lambda: readable.done() or readable.set_result(None))
        await asyncio.wait_for(readable, 10)
        loop.remove_reader(ours)
        assert await loop.sock_recv(ours, 10) == b"two"

    run(main())


def test_two_socket_objects_for_one_descriptor(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        fill(ours)
        other = socket.socket(fileno=ours.fileno())
        try:
            reading = loop.create_task(loop.sock_recv(ours, 10))
            writing = loop.create_task(loop.sock_sendall(other, b"x"))
            await asyncio.sleep(0.01)
            peer.send(b"y")
            assert await reading == b"y"
            while not writing.done():
                drain(peer)
                await asyncio.sleep(0.001)
            loop.call_soon(peer.send, b"z")
            assert await loop.sock_recv(other, 10) == b"z"
        finally:
            other.detach()

    run(main())


def test_a_descriptor_number_that_is_used_again_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        numbers = set()
        for turn_ in range(20):
            ours, peer = socket.socketpair()
            with peer:
                with ours:
                    ours.setblocking(False)
                    numbers.add(ours.fileno())
                    message = b"%d" % turn_
                    waiting = loop.create_task(loop.sock_recv(ours, 10))
                    await asyncio.sleep(0)
                    peer.send(message)
                    assert await asyncio.wait_for(waiting, 10) == message
                    peer.send(b"never read")
        assert len(numbers) < 20

    run(main())
