"""The laboratory's loads against servers that do right and servers that do wrong: only right answers are counted."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tls_support import needs_openssl, server_context

if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory's loads exist on Linux alone", allow_module_level=True)

from tideloop._bench.loads import (
    DatagramLoad,
    HalfLoad,
    HandshakeLoad,
    HttpReply,
    ProxyLoad,
    StreamLoad,
    TlsLoad,
    message,
)
from tideloop._bench.workload import Load, WrongAnswer

pytestmark = pytest.mark.loop_kinds("asyncio")

SHORT_S = 0.1
MESSAGE = message(100)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[tuple[str, int]]:
    """A server with a thread for each connection; all of them end when the load has closed its connections."""
    threads: list[threading.Thread] = []

    def conversation(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                pass  # the load has left in the middle

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # shut down, below
            threads.append(threading.Thread(target=conversation, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


@contextmanager
def connected(load: Load, address: tuple[str, int]) -> Iterator[Load]:
    try:
        load.connect(address)
        yield load
    finally:
        load.close()


def answering(answer: Callable[[bytes], bytes]) -> Serve:
    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(answer(data))

    return serve


echo = answering(bytes)


def wrong(serve: Serve, load: Load) -> str:
    """What a load says of a server that does wrong."""
    with serving(serve) as address, pytest.raises(WrongAnswer) as caught, connected(load, address):
        load.run(SHORT_S)
    return str(caught.value)


class TestMessage:
    def test_a_message_is_one_line_of_its_size_and_the_same_each_time(self) -> None:
        assert len(message(1024)) == 1024
        assert message(1024) == message(1024)
        assert message(1024).index(b"\n") == 1023


class TestStreams:
    def test_operations_are_counted_and_timed(self) -> None:
        with serving(echo) as address, connected(StreamLoad(MESSAGE, connections=3), address) as load:
            measured = load.run(SHORT_S)
        assert measured.operations >= 3
        assert measured.latencies.total == measured.operations
        assert measured.wall_ns is not None
        assert measured.wall_ns >= SHORT_S * 1e9

    def test_only_those_talk_that_shall(self) -> None:
        seen: dict[int, int] = {}

        def serve(connection: socket.socket) -> None:
            while data := connection.recv(65536):
                seen[connection.fileno()] = seen.get(connection.fileno(), 0) + 1
                connection.sendall(data)

        with serving(serve) as address, connected(StreamLoad(MESSAGE, connections=3, talking=1), address) as load:
            operations = load.run(SHORT_S).operations
        assert sorted(seen.values()) == [1, 1, 1 + operations]

    def test_a_wrong_echo_is_named(self) -> None:
        said = wrong(answering(bytes.swapcase), StreamLoad(b"abcd", connections=1))
        assert said == 'wrong reply on connection 0: byte 0 of 4 differs: b"ABCD" instead of b"abcd"'

    def test_a_server_that_closes_is_named(self) -> None:
        assert wrong(lambda connection: None, StreamLoad(MESSAGE, connections=1)) in (
            "the server closed connection 0",
            "[Errno 104] Connection reset by peer",
        )

    def test_a_load_that_is_closed_can_be_closed_again(self) -> None:
        load = StreamLoad(MESSAGE)
        load.close()
        with pytest.raises(AssertionError, match="not connected"):
            load.run(SHORT_S)

    def test_a_host_has_to_be_an_address(self) -> None:
        with pytest.raises(WrongAnswer, match="no IP address: localhost"):
            StreamLoad(MESSAGE).connect(("localhost", 1))


def http(head: bytes, body: bytes) -> Serve:
    return answering(lambda data: b"HTTP/1.1 " + head + b"\r\n\r\n" + body)


class TestHttp:
    def test_a_reply_is_known_by_its_body(self) -> None:
        load = StreamLoad(GET, HttpReply(b"hello"), connections=2)
        serve = http(b"200 OK\r\nDate: today\r\ncontent-length: 5", b"hello")
        with serving(serve) as address, connected(load, address):
            assert load.run(SHORT_S).operations >= 2

    @pytest.mark.parametrize(
        ("head", "body", "said"),
        [
            (b"404 Not Found\r\nContent-Length: 5", b"hello", "status line"),
            (b"200 OK\r\nContent-Length: 5", b"hallo", "byte 1 of 5 differs"),
            (b"200 OK\r\nContent-Length: 6", b"hello!", "the body has 5 bytes"),
            (b"200 OK\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", "not framed by a content-length"),
        ],
    )
    def test_another_reply_is_wrong(self, head: bytes, body: bytes, said: str) -> None:
        assert said in wrong(http(head, body), StreamLoad(GET, HttpReply(b"hello"), connections=1))


class TestHalfLoad:
    def test_it_sends_half_of_what_the_server_can_do(self) -> None:
        load = HalfLoad(MESSAGE, connections=1)
        with serving(echo) as address, connected(load, address):
            load.run(SHORT_S)
            rate = load._rate
            assert rate is not None
            assert load.run(0.1).operations == pytest.approx(rate * 0.1, abs=1)


class TestDatagrams:
    def test_datagrams_come_back_whole(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("127.0.0.1", 0))

            def serve() -> None:
                while len(received := listener.recvfrom(2000)) and received[0] != b"end":
                    listener.sendto(*received)

            thread = threading.Thread(target=serve)
            thread.start()
            with connected(DatagramLoad(MESSAGE, connections=4), listener.getsockname()) as load:
                assert load.run(SHORT_S).operations >= 4
            listener.sendto(b"end", listener.getsockname())
            thread.join()


def secured(serve: Serve) -> Serve:
    context = server_context()

    def handshake_and_serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            serve(secure)

    return handshake_and_serve


@needs_openssl
class TestTls:
    def test_echoes_come_back_over_tls(self) -> None:
        with serving(secured(echo)) as address, connected(TlsLoad(MESSAGE, connections=2), address) as load:
            measured = load.run(SHORT_S)
        assert measured.operations >= 2
        assert measured.latencies.total == measured.operations

    def test_a_wrong_echo_is_named(self) -> None:
        assert "the echo is" in wrong(secured(answering(bytes.swapcase)), TlsLoad(MESSAGE, connections=1))

    def test_an_echo_that_turns_wrong_is_named(self) -> None:
        def serve(connection: socket.socket) -> None:
            connection.sendall(connection.recv(65536))
            connection.sendall(connection.recv(65536).swapcase())
            connection.recv(1)

        assert "the echo is" in wrong(secured(serve), TlsLoad(MESSAGE, connections=1))

    def test_each_handshake_is_one_connection(self) -> None:
        accepted: list[socket.socket] = []

        def serve(connection: socket.socket) -> None:
            accepted.append(connection)
            echo(connection)

        with serving(secured(serve)) as address, connected(HandshakeLoad(MESSAGE, concurrency=2), address) as load:
            measured = load.run(SHORT_S)
        # The first one was to see that the server answers.
        assert 2 <= measured.operations == len(accepted) - 1

    def test_a_wrong_echo_after_a_handshake_is_named(self) -> None:
        assert "the echo is" in wrong(secured(answering(bytes.swapcase)), HandshakeLoad(MESSAGE, concurrency=2))


def proxying(change: Callable[[bytes], bytes]) -> Serve:
    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(change(data))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the load has left

    def serve(client: socket.socket) -> None:
        port = b""
        while not port.endswith(b"\n"):
            port += client.recv(1)
        with socket.create_connection(("127.0.0.1", int(port))) as server:
            back = threading.Thread(target=copy, args=(server, client))
            back.start()
            copy(client, server)
            back.join()

    return serve


class TestProxy:
    def test_as_many_mib_as_were_wanted_go_each_way(self) -> None:
        with serving(proxying(bytes)) as address, connected(ProxyLoad(least_mib=5), address) as load:
            assert load.run(0.0).operations == 5
            assert load.run(0.0).operations == 5

    def test_one_changed_byte_is_found(self) -> None:
        seen = 0

        def change(data: bytes) -> bytes:
            nonlocal seen
            seen += len(data)
            return data if seen < 4 << 20 else data[:-1] + bytes([data[-1] ^ 1])

        assert wrong(proxying(change), ProxyLoad(least_mib=5)).startswith("wrong bytes between ")

    def test_a_lost_byte_is_found(self) -> None:
        lost = iter([True])
        said = wrong(proxying(lambda data: data[1:] if next(lost, False) else data), ProxyLoad(least_mib=1))
        assert said.startswith("wrong bytes between 0 and ")
