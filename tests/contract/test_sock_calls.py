"""The sock_* methods: system calls on the caller's own sockets."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sock_pairs import fill, stream_pair

from support import reset

Run = Callable[[Any], Any]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with stream_pair() as both:
        yield both


@pytest.fixture
def datagrams() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two non-blocking UDP sockets of this machine."""
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        yield one, other


def test_what_is_there_is_received_without_a_turn(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        turns = []
        loop.call_soon(turns.append, 1)
        peer.send(b"there")
        assert await loop.sock_recv(ours, 100) == b"there"
        buffer = bytearray(10)
        peer.send(b"again")
        assert await loop.sock_recv_into(ours, buffer) == 5
        assert buffer[:5] == b"again"
        await loop.sock_sendall(ours, b"answer")
        assert peer.recv(100) == b"answer"
        assert turns == []

    run(main())


def test_what_comes_later_is_received_then(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            loop.call_soon(peer.send, b"later")
            assert await loop.sock_recv(ours, 3) == b"lat"
            assert await loop.sock_recv(ours, 3) == b"er"
        buffer = memoryview(bytearray(10))
        loop.call_soon(peer.send, b"into")
        assert await loop.sock_recv_into(ours, buffer[2:]) == 4
        assert bytes(buffer) == b"\0\0into\0\0\0\0"

    run(main())


def test_the_end_of_the_stream_is_empty(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(peer.close)
        assert await loop.sock_recv(ours, 10) == b""
        assert await loop.sock_recv(ours, 10) == b""
        assert await loop.sock_recv_into(ours, bytearray(3)) == 0

    run(main())


def test_nothing_is_asked_for(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        peer.send(b"x")
        assert await loop.sock_recv(ours, 0) == b""
        assert await loop.sock_recv_into(ours, bytearray()) == 0
        await loop.sock_sendall(ours, b"")
        assert await loop.sock_recv(ours, 10) == b"x"

    run(main())


@pytest.mark.parametrize("size", [1, 65536, 3_000_000])
def test_large_and_small_messages_go_through_whole(run: Run, pair: Any, size: int) -> None:
    ours, peer = pair
    peer.setblocking(False)
    message = os.urandom(size)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(ours, message))
        received = b""
        while len(received) < size:
            received += await loop.sock_recv(peer, 1_000_000)
        assert received == message
        assert await sending is None

    run(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_sent_from_its_first_byte_to_its_last(run: Run, pair: Any, kind: Any) -> None:
    ours, peer = pair
    peer.setblocking(False)
    message = bytes(range(256)) * 4096

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sending = loop.create_task(loop.sock_sendall(ours, kind(message)))
        received = b""
        while len(received) < len(message):
            received += await loop.sock_recv(peer, 100_000)
        assert received == message
        await sending

    run(main())


def test_datagrams(run: Run, datagrams: Any) -> None:
    one, other = datagrams

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(loop.sock_recvfrom(other, 1000))
        await asyncio.sleep(0)
        assert await loop.sock_sendto(one, b"datagram", other.getsockname()) == 8
        assert await waiting == (b"datagram", one.getsockname())
        buffer = bytearray(100)
        waiting = loop.create_task(loop.sock_recvfrom_into(other, buffer))
        await asyncio.sleep(0)
        assert await loop.sock_sendto(one, bytearray(b"into"), other.getsockname()) == 4
        assert await waiting == (4, one.getsockname())
        assert buffer[:4] == b"into"
        await loop.sock_sendto(one, b"cut off", other.getsockname())
        assert await loop.sock_recvfrom_into(other, buffer, 3) == (3, one.getsockname())
        assert buffer[:4] == b"cuto"
        await loop.sock_sendto(one, b"", other.getsockname())
        assert await loop.sock_recvfrom(other, 10) == (b"", one.getsockname())

    run(main())


def test_a_datagram_larger_than_any_stream_read_is_not_cut_off(run: Run) -> None:
    ours, peer = socket.socketpair(type=socket.SOCK_DGRAM)
    for each in (ours, peer):
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for size in (100_000, 350_000):
            message = os.urandom(size)
            try:
                peer.send(message)
            except OSError:
                pytest.skip("the system allows no datagrams of this size")
            assert await loop.sock_recv(ours, 1_000_000) == message

    with ours, peer:
        run(main())


@pytest.mark.parametrize("connected", [True, False])
def test_a_datagram_waits_until_its_receiver_has_room(run: Run, tmp_path: Any, connected: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "receiver")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                receiver.bind(path)
                receiver.setblocking(False)
                sender.setblocking(False)
                if connected:
                    sender.connect(path)
                sent = 0
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sender.sendto(b"%d" % sent, path)
                        sent += 1
                for _ in range(3):
                    waiting = loop.create_task(loop.sock_sendto(sender, b"last", path))
                    await asyncio.sleep(0.01)
                    assert not waiting.done()
                    assert receiver.recv(100)
                    assert await asyncio.wait_for(waiting, 10) == 4

    run(main())


def test_connect_and_accept(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            accepting = loop.create_task(loop.sock_accept(listener))
            await asyncio.sleep(0)
            with socket.socket() as client:
                client.setblocking(False)
                assert await loop.sock_connect(client, listener.getsockname()) is None
                connection, address = await accepting
                with connection:
                    assert connection.gettimeout() == 0
                    assert address == client.getsockname()
                    await loop.sock_sendall(client, b"hello")
                    assert await loop.sock_recv(connection, 100) == b"hello"

    run(main())


def test_connect_to_a_name(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            assert client.getpeername() == listener.getsockname()

    run(main())


def test_connect_to_a_path(run: Run, tmp_path: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = str(tmp_path / "sock")
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
            listener.bind(path)
            listener.listen()
            listener.setblocking(False)
            client.setblocking(False)
            await loop.sock_connect(client, path)
            connection, _ = await loop.sock_accept(listener)
            connection.close()

    run(main())


def test_a_refused_connection_says_so(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as unused, socket.socket() as client:
            unused.bind(("127.0.0.1", 0))
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError, match=r"Connect call failed \('127.0.0.1', "):
                await loop.sock_connect(client, unused.getsockname())

    run(main())


def test_connections_that_wait_are_accepted_one_by_one(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0), backlog=10) as listener, contextlib.ExitStack() as stack:
            listener.setblocking(False)
            clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(5)]
            accepted = [stack.enter_context((await loop.sock_accept(listener))[0]) for _ in clients]
            assert {each.getpeername() for each in accepted} == {each.getsockname() for each in clients}
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_accept(listener), 0.01)

    run(main())


def test_a_blocking_socket_is_refused_in_debug_mode(loop: Any, pair: Any) -> None:
    ours, _ = pair
    ours.setblocking(True)
    loop.set_debug(True)
    calls = [
        lambda: loop.sock_recv(ours, 1),
        lambda: loop.sock_recv_into(ours, bytearray(1)),
        lambda: loop.sock_recvfrom(ours, 1),
        lambda: loop.sock_recvfrom_into(ours, bytearray(1)),
        lambda: loop.sock_sendall(ours, b"x"),
        lambda: loop.sock_sendto(ours, b"x", ("127.0.0.1", 1)),
        lambda: loop.sock_accept(ours),
        lambda: loop.sock_connect(ours, ("127.0.0.1", 1)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            loop.run_until_complete(call())
    loop.set_debug(False)


def test_a_tls_socket_is_refused(loop: Any, pair: Any) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(pair[0], do_handshake_on_connect=False) as tls:
        for call in (
            lambda: loop.sock_recv(tls, 1),
            lambda: loop.sock_sendall(tls, b"x"),
            lambda: loop.sock_accept(tls),
        ):
            with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                loop.run_until_complete(call())


def test_errors_of_the_system_reach_the_caller(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(OSError, match="not connected"):
                await loop.sock_recv(sock, 10)
            with pytest.raises(BrokenPipeError):
                await loop.sock_sendall(sock, b"x")
            with pytest.raises(OSError, match="Invalid argument"):
                await loop.sock_accept(sock)
        for call in (loop.sock_recv(sock, 10), loop.sock_sendall(sock, b"x"), loop.sock_accept(sock)):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await call

    run(main())


@pytest.mark.parametrize("way", ["recv", "sendall"])
def test_a_reset_connection_wakes_whoever_waits(run: Run, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
        ours.setblocking(False)
        with ours:
            if way == "recv":
                waiting = loop.create_task(loop.sock_recv(ours, 10))
            else:
                fill(ours)
                waiting = loop.create_task(loop.sock_sendall(ours, b"x" * 10_000_000))
            await asyncio.sleep(0.01)
            reset(peer)
            with pytest.raises(ConnectionError):
                await waiting

    run(main())


def test_wrong_arguments_are_type_errors(run: Run, pair: Any) -> None:
    ours, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError):
            await loop.sock_recv(ours, "10")
        with pytest.raises(ValueError, match="negative"):
            await loop.sock_recv(ours, -1)
        with pytest.raises(TypeError):
            await loop.sock_recv_into(ours, b"read only")
        with pytest.raises(TypeError):
            await loop.sock_sendall(ours, "text")
        with pytest.raises(TypeError):
            await loop.sock_recv(ours)
        with pytest.raises(TypeError):
            await loop.sock_recv(ours, 1, 2)
        with pytest.raises(TypeError):
            await loop.sock_recv(ours, 1, wrong=2)

    run(main())


def test_arguments_by_name(run: Run, pair: Any) -> None:
    ours, peer = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(data=b"x", sock=peer)
        assert await loop.sock_recv_into(ours, buf=bytearray(1)) == 1

    peer.setblocking(False)
    run(main())
